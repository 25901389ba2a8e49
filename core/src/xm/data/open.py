"""From what follows ``--data`` to a dataset."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path

from xm.data.checks import looked_over
from xm.data.columns import COLUMNS, METADATA
from xm.data.paths import missing, modalities_of, suffixes_among
from xm.data.soundness import checked
from xm.data.types import Dataset, Opener
from xm.foundation.errors import DataError, UsageError, unknown
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import DatasetSpec

_REMOTE = re.compile(r"pipe:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_PATTERN = re.compile(r"[{*?[]")
_COLUMNS = re.compile(rf"(.+?)\?((?:{'|'.join(COLUMNS)}|{re.escape(METADATA)}[^=&]+)=.*)", re.DOTALL)
_COMPRESSED = {".gz": "gunzip", ".tgz": "gunzip", ".bz2": "bunzip2", ".xz": "unxz", ".zst": "unzstd"}
"""What unpacks files of a suffix."""


def open_dataset(source: str | Path | None, manager: PluginManager, cache: Path) -> Dataset:
    """Open the default dataset (None), one by its name, or a folder or file by a reader that opens its kind.

    A name goes before a folder of the same name; ``./digits`` is the folder. A `Path` is never a name. A pattern
    of several files (``"shards-{000..099}.tar"``, ``"shards-*.tar"``) goes to the reader of its suffix. Of several
    readers of a suffix those that look at the file say whose it is; ``"READER:PATH"`` names one. ``"MODALITY:PATH"``
    takes what encoders of that modality read, as theirs; names of readers go first. Names of columns may follow a
    table, ``"PATH?label=kind"``.

    Raises:
        UsageError: for an unknown name, a URL or a command.
        DataError: if there is no such folder or file, nothing can open it, or what is in it does not fit.
        PluginError: if the reader gives no sound dataset.
    """
    spec, where, suffixes = _find(source, manager)
    opener: Opener = spec.load()
    try:
        return looked_over(checked(opener(where, suffixes=suffixes, cache=cache), spec))
    except DataError as error:
        inside = _inside(Path(where), manager) if "/" in spec.opens else None
        raise DataError(f"{error}; or name what it holds: --data '{inside}'") if inside else error from None


def located(source: str | Path | None, manager: PluginManager) -> str | None:
    """What stands for the same data in any folder: a name as it is, a path or pattern as an absolute one."""
    if source is None:
        return None
    if asked := _with_columns(source):
        return f"{located(asked[0], manager)}?{asked[1]}"
    if chosen := _named(source, manager):
        return f"{chosen[0].name}:{located(Path(chosen[1]), manager)}"
    if inside := _of_modality(source, manager):
        return f"{inside[0]}:{located(inside[1], manager)}"
    if isinstance(source, str) and any(name == source and not spec.opens for name, spec in manager.datasets.items()):
        return source
    return os.path.abspath(Path(source).expanduser())  # noqa: PTH100 - resolve would follow links


def _find(source: str | Path | None, manager: PluginManager) -> tuple[DatasetSpec, str, Mapping[str, str]]:
    """The reader, what it is given, and the suffixes that it is to know."""
    specs = manager.datasets
    suffixes: Mapping[str, str] = manager.suffixes()
    by_name = sorted(name for name, spec in specs.items() if not spec.opens)
    if source is None:
        for spec in specs.values():
            if spec.default:
                return spec, spec.name, suffixes
        known = f" (or a name: {', '.join(by_name)})" if by_name else ""
        raise UsageError(f"no dataset is the default: name a folder or file with --data{known}")
    if isinstance(source, str) and source in by_name:
        return specs[source], source, suffixes
    if _REMOTE.match(str(source)):
        raise UsageError(f"--data {source}: data are read from disk; store the files first, then give their path")
    path = Path(source).expanduser()
    if _exists(path):
        return _reader(path, manager), str(path), suffixes
    if asked := _with_columns(source):
        spec, where, suffixes = _find(asked[0], manager)
        if not spec.columns:
            raise UsageError(f"--data {source}: {spec.name} has no columns that could be named; leave out --columns")
        return spec, f"{where}?{asked[1]}", suffixes
    if chosen := _named(source, manager):
        spec, where = chosen
        if not _exists(Path(where)) and not _PATTERN.search(where):
            raise missing(Path(where), "file or folder")
        return spec, where, suffixes
    if inside := _of_modality(source, manager):
        modality, rest = inside
        spec, where, suffixes = _find(rest, manager)
        if not spec.opens:
            raise UsageError(f"--data {source}: {rest} is a dataset's name; a folder or file was expected")
        return spec, where, suffixes_among(suffixes, {modality})
    pattern = _fitting(path, manager) if _PATTERN.search(str(source)) else None
    if pattern:
        return pattern, str(path), suffixes
    if isinstance(source, str) and source in specs:
        kinds = " or ".join("a folder" if kind == "/" else f"a {kind} file" for kind in specs[source].opens)
        raise UsageError(f"--data {source}: that is a reader, not data; give it {kinds} instead")
    if isinstance(source, Path) or path.suffix or os.sep in source or "/" in source:
        raise missing(path, "file or folder")
    near = difflib.get_close_matches(source, sorted(file.name for file in Path().iterdir()), n=1)
    if near and not difflib.get_close_matches(source, by_name, n=1):
        raise DataError(f"{source}: no such folder or file; did you mean {near[0]}?")
    raise UsageError(f"{unknown('dataset', source, by_name)}, and there is no folder or file of that name")


def _named(source: str | Path, manager: PluginManager) -> tuple[DatasetSpec, str] | None:
    """The reader and the path of ``"READER:PATH"``."""
    if not isinstance(source, str) or _exists(Path(source)):
        return None
    name, colon, path = source.partition(":")
    spec = manager.datasets.get(name) if colon and path else None
    return (spec, str(Path(path).expanduser())) if spec is not None and spec.opens else None


def _of_modality(source: str | Path, manager: PluginManager) -> tuple[str, str] | None:
    """The modality and the rest of ``"MODALITY:PATH"``."""
    if not isinstance(source, str) or _exists(Path(source)):
        return None
    modality, colon, rest = source.partition(":")
    return (modality, rest) if colon and rest and modality in modalities_of(manager.suffixes()) else None


def _with_columns(source: str | Path) -> tuple[str, str] | None:
    """What is before and behind the "?" of ``"PATH?label=kind"``."""
    if not isinstance(source, str) or _exists(Path(source)):
        return None
    found = _COLUMNS.fullmatch(source)
    return (found[1], found[2]) if found else None


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a pattern of many files may be longer than a name can be
        return False


def _inside(folder: Path, manager: PluginManager) -> Path | None:
    """What to open in place of a folder: its one file of a kind that can be opened, or a pattern of several."""
    found = sorted(path for path in folder.glob("[!.]*") if path.is_file() and _fitting(path, manager))
    if len(found) < 2:
        return found[0] if found else None
    return folder / f"*{found[0].suffix}"


def _reader(path: Path, manager: PluginManager) -> DatasetSpec:
    """The spec that opens such a path.

    Raises:
        DataError: if there is none.
    """
    found = _fitting(path, manager)
    if found:
        return found
    kinds = sorted({kind for spec in manager.datasets.values() for kind in spec.opens})
    readable = ", ".join("folders" if kind == "/" else kind for kind in kinds) or "nothing"
    raise DataError(f"{path}: no plugin opens such a file (what can be opened: {readable})")


def _fitting(path: Path, manager: PluginManager) -> DatasetSpec | None:
    """The spec that opens what has such a name; of several, the one with the longest suffix, or that it looks like.

    Raises:
        DataError: if none opens it, but one opens what is compressed in it; or several do.
    """
    name = "/" if _exists(path) and path.is_dir() else path.name.lower().rstrip("}")
    fits = [(len(kind), spec) for spec in manager.datasets.values() for kind in spec.opens if name.endswith(kind)]
    if fits:
        longest = max(length for length, _ in fits)
        return _one_of(path, [spec for length, spec in fits if length == longest])
    if path.suffix.lower() in _COMPRESSED:
        inner = path.with_suffix(".tar" if path.suffix.lower() == ".tgz" else "")
        if _fitting(inner, manager):
            raise DataError(f"{path}: is compressed; unpack it ({_COMPRESSED[path.suffix.lower()]}), then give {inner}")
    return None


def _one_of(path: Path, specs: list[DatasetSpec]) -> DatasetSpec:
    """The one whose look says yes, else the one that does not look.

    Raises:
        DataError: if that leaves several, or none.
    """
    looks = {spec.name: spec.fits(path) for spec in specs} if len(specs) > 1 and path.is_file() else {}
    for wanted in (True, None):
        left = [spec for spec in specs if looks.get(spec.name) is wanted]
        if len(left) == 1:
            return left[0]
        if left:
            names = sorted(spec.name for spec in left)
            raise DataError(f"{path}: {' and '.join(names)} open such files; say which: --data {names[0]}:{path}")
    names = sorted(looks)
    raise DataError(f"{path}: looks like none of what {' and '.join(names)} read; name one: --data {names[0]}:{path}")
