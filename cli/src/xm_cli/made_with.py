"""What a run or an index was made with, told where it is missing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from xm import PluginError
from xm.foundation import UnknownNameError
from xm.plugins import manager

KINDS = ("encoder", "strategy", "aligner", "predictor", "dataset")
"""What plugins give to a run."""
SHOWN = 5
"""Packages that an error names."""


@contextmanager
def made_with(folder: Path, versions: Mapping[str, str], command: str, given: Collection[str] = ()) -> Iterator[None]:
    """Around the use of a folder: a name in it that no plugin has here is told with what brings it.

    Args:
        folder: of a run or an index.
        versions: of the packages that it was made with, as it keeps them.
        command: that was typed, such as "predict runs/1 …".
        given: names that were typed, and are not of the folder.

    Raises:
        PluginError: in place of the error of the unknown name.
    """
    try:
        yield
    except UnknownNameError as error:
        if error.kind not in KINDS or error.name in given:
            raise
        known = {f"xm-{plugin.name}" for plugin in manager().plugins()}  # a plugin's package may be a family's now
        gone = [f"{name}=={number}" for name, number in versions.items() if not (name in known or _installed(name))]
        packages = " ".join(gone[:SHOWN]) + (" …" if len(gone) > SHOWN else "")
        install = f"pip install {packages}; or, " if gone else ""
        raise PluginError(
            f"{folder}: was made with {error.kind} {error.name!r}, which no plugin has here; type: {install}"
            f"xm --plugin FILE {command}" + (", if it is a file" if gone else ", with the file that has it")
        ) from error


def _installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
