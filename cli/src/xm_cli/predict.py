"""``xm predict``."""

from __future__ import annotations

import csv
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xm import DataError, UsageError
from xm_cli.made_with import made_with
from xm_cli.named import answers, classifier, refuse_runs
from xm_cli.options import (
    AddClass,
    AlignerName,
    Descriptions,
    Device,
    Encoders,
    Only,
    Pick,
    Templates,
    WithEncoders,
    names_of,
    references,
)
from xm_cli.progress import Teller
from xm_cli.tables import NEITHER, print_json, print_table, warn, warn_of_plugins

if TYPE_CHECKING:
    from xm import Run
    from xm.evaluation import Prediction
    from xm.plugins import PluginManager

FAILED = 3
"""The exit code if an item could not be read."""


_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


class Format(StrEnum):
    """How predictions are printed."""

    table = "table"
    json = "json"
    csv = "csv"


app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=WithEncoders)
def predict(
    run: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="A run folder; not with --classes.", show_default=False),
    ] = None,
    files: Annotated[
        list[str] | None, typer.Argument(metavar="FILES", help="Files, or folders of them.", show_default=False)
    ] = None,
    texts: Annotated[
        list[str] | None, typer.Option("--text", metavar="TEXT", help="A text to classify; repeatable.")
    ] = None,
    modality: Annotated[
        str | None, typer.Option("-m", "--modality", metavar="NAME", help="Of the files; else by their suffix.")
    ] = None,
    pick: Pick = None,
    add_class: AddClass = None,
    only: Only = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B|FILE",
            help="Instead of RUN: classes by name alone, or a file of names, one a line; repeatable.",
        ),
    ] = None,
    encoders: Encoders = None,
    templates: Templates = None,
    descriptions: Descriptions = None,
    aligner: AlignerName = None,
    top: Annotated[int, typer.Option(min=1, metavar="N", help="Classes shown per item.", show_default=True)] = 3,
    format_: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    device: Device = "auto",
) -> None:
    """Classify files, folders of files, or texts with a model of a run, or by the names of classes alone (--classes).

    JSON and CSV hold the probability of every class; --top is for the table. An item that can't be read is named on
    standard error; the others are printed, and the exit code is 3. Whether models of a strategy take in new classes
    says xm plugins show NAME. Encoders, templates, descriptions and an aligner are for --classes: a run has its own.
    """
    by_run = {"pick": pick, "add-class": add_class, "only": only}
    by_names = {"encoder": encoders, "template": templates, "descriptions": descriptions, "aligner": aligner}
    if wrong := [name for name, value in (by_names if classes is None else by_run).items() if value]:
        way = (
            "goes with --classes: a run has its own" if classes is None else "is for a run's models, not for --classes"
        )
        raise UsageError(f"--{wrong[0]} {way}; take it away")
    if classes is not None:
        files = [*([run] if run is not None else []), *(files or ())]
        refuse_runs(files)
    elif run is None:
        raise UsageError(
            "Missing argument 'RUN' (see xm predict --help); without a run, name classes: "
            'xm predict --classes "a cat,a dog" FILES'
        )
    if not files and not texts:
        raise UsageError("nothing to predict: name files or folders, or give --text")
    for file in files or ():
        if _REMOTE.match(file):
            raise UsageError(f"{file}: files are read from disk; store it first, then give its path")
    warn_of_plugins()
    if run is None or classes is not None:
        with Teller() as teller:
            made = classifier(
                classes or (),
                encoders=references(encoders),
                templates=templates or (),
                descriptions=descriptions,
                aligner=aligner,
                device=device,
                listener=teller,
            )
            head, names, found = answers(made, files or (), texts or (), modality)
    else:
        head, names, found = _of_run(Path(run), files or (), texts or (), modality, pick, add_class or (), only, device)
    for prediction in found:
        if prediction.error is not None:
            warn(f"{prediction.item}: {prediction.error}{_as_text(prediction.item)}")
    chosen = Format.json if as_json else format_
    if chosen is Format.json:
        print_json({**head, "predictions": [_plain(p) for p in found]})
    elif chosen is Format.csv:
        _print_csv(found, names)
    else:
        _print_table(found, top)
    if any(prediction.error is not None for prediction in found):
        raise typer.Exit(FAILED)


def _of_run(
    run: Path,
    files: Sequence[str],
    texts: Sequence[str],
    modality: str | None,
    pick: str | None,
    add_class: Sequence[str],
    only: Sequence[str] | None,
    device: str,
) -> tuple[dict[str, Any], Sequence[str], list[Prediction]]:
    """What a run says: what is printed of it in JSON, the classes, and the predictions."""
    with Teller(notes=False) as teller:
        import xm

        opened = xm.load(run, device=device, listener=teller)
        classes = {"add_classes": add_class, "only": names_of(only, {*opened.classes, *add_class})}
        found: list[Prediction] = []
        with made_with(run, opened.index.get("versions", {}), f"predict {run} …"):
            if files:
                ways = [modality] if modality else list(opened.index["ways"])
                paths = list(expand(map(Path, files), ways, opened.plugins))
                found += opened.predict(paths, modality=modality, pick=pick, **classes)
            if texts:
                found += opened.predict(texts, modality=modality or _reads_names(opened), pick=pick, **classes)
        head = {"run": str(run), "model": opened.pick(pick).model}
        return head, opened.candidates(**classes), found


def expand(paths: Iterable[Path], ways: Sequence[str], plugins: PluginManager) -> Iterable[Path]:
    """Files as they are; of folders, at any depth, the files that an encoder of some modalities reads.

    Hidden files and litter are passed over, as in training.

    Raises:
        DataError: for a folder without such a file.
    """
    from xm.data import files_below, modality_of

    suffixes = plugins.suffixes().among(ways)
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = [file for file in files_below(path) if modality_of(file, suffixes)]
        if not inside:
            raise DataError(
                f"{path}: no file in it is of {' or '.join(ways)} (suffixes: {', '.join(sorted(suffixes))})"
            )
        yield from inside


def _reads_names(run: Run) -> str:
    """The modality of the run whose items are texts."""
    for modality in run.index["ways"]:
        if run.encoder(modality).accepts_names:
            return str(modality)
    raise UsageError(f"--text: no modality of this run reads texts (its modalities: {', '.join(run.index['ways'])})")


def _as_text(item: object) -> str:
    """How to give what was meant as a text, not as a file; "" if it looks like a file's path."""
    if not isinstance(item, Path) or item.suffix or item.exists():
        return ""
    return f"; if it is a text: --text {shlex.quote(str(item))}"


def _best(prediction: Prediction) -> list[tuple[str, float]]:
    return sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])


def _plain(prediction: Prediction) -> dict[str, Any]:
    return {
        "item": str(prediction.item),
        "label": prediction.label,
        "abstained": prediction.abstained,
        "probabilities": dict(_best(prediction)),
        "error": prediction.error,
    }


def _print_csv(predictions: Iterable[Prediction], classes: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["item", "label", "error", *(f"p({name})" for name in classes)])
    for p in predictions:
        chances = (f"{p.probabilities[name]:.6f}" if p.probabilities else "" for name in classes)
        writer.writerow([p.item, p.label or (NEITHER if p.abstained else ""), p.error or "", *chances])


def _print_table(predictions: Sequence[Prediction], top: int) -> None:
    rows = []
    for p in predictions:
        best = [f"{name} {100 * chance:.1f}" for name, chance in _best(p)[:top]]
        best = [NEITHER, *best] if p.abstained else best
        rows.append([str(p.item), ", ".join(best) if p.error is None else f"(can't be read: {p.error})"])
    print_table(["item", "probability in %"], rows)
