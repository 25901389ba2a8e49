"""``xm predict --classes``: by the names of classes alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xm import DataError, UsageError
from xm.foundation import Listener
from xm_cli.tables import count

if TYPE_CHECKING:
    from xm.evaluation import Prediction
    from xm.experiment import ByNames


def class_names(given: Iterable[str]) -> list[str]:
    """Names from a repeatable flag: with commas between, or a file of them, one a line.

    Raises:
        DataError: for a file that is no text.
    """
    found: list[str] = []
    for text in given:
        path = Path(text).expanduser()
        if path.suffix and path.is_file():
            try:
                found += path.read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"--classes {path}: can't be read as text ({error})") from None
        else:
            found += text.split(",")
    return [name for part in found if (name := part.strip())]


def refuse_runs(files: Iterable[str]) -> None:
    """Raise a UsageError if one of the files is a run folder."""
    from xm.encoders import is_run

    for file in files:
        if is_run(file):
            raise UsageError(
                f"{file}: is a run folder, whose classes are its own; with --classes name files alone, or take "
                "--classes away (--add-class NAME adds a class to a run's)"
            )


def classifier(classes: Iterable[str], *, listener: Listener, **settings: Any) -> ByNames:
    """The classifier of these flags; the listener hears how encoders were chosen."""
    from xm.experiment import ByNames

    return ByNames(class_names(classes), listener=listener, **settings)


def answers(
    made: ByNames, files: Sequence[str], texts: Sequence[str], modality: str | None
) -> tuple[Mapping[str, Any], Sequence[str], list[Prediction]]:
    """What is printed of the classifier in JSON, the classes, and the predictions."""
    found: list[Prediction] = []
    if files:
        found += made.predict(_files(made, files, modality), modality=modality)
    if texts:
        found += made.predict(texts, modality=modality or _reads_names(made))
    return {"classes": list(made.classes), "encoders": made.used}, made.classes, found


def _reads_names(made: ByNames) -> str:
    """The modality of texts."""
    for chosen in made.namers():
        return chosen.encoder.modality
    raise UsageError("--text: no encoder reads texts; name one with --text-encoder NAME")


def _files(made: ByNames, files: Sequence[str], modality: str | None) -> list[Path]:
    """The files, and those in folders.

    Raises:
        UsageError: for a folder that holds files of several modalities, if none is named.
    """
    from xm.data import modality_of
    from xm_cli.predict import expand

    suffixes = made.plugins.suffixes()
    ways = [modality] if modality else made.plugins.modalities()
    found: list[Path] = []
    for file in files:
        inside = list(expand([Path(file)], ways, made.plugins))
        kinds = [str(modality or modality_of(path, suffixes)) for path in inside]
        if Path(file).is_dir() and len(set(kinds)) > 1:
            held = " and ".join(count(kinds.count(kind), f"{kind} file") for kind in sorted(set(kinds)))
            raise UsageError(
                f"{file}: holds {held}; say which are meant: --modality {max(sorted(set(kinds)), key=kinds.count)}"
            )
        found += inside
    return found
