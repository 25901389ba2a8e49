"""Modules under the names that they had before core got rooms: they forward, with a warning, for one release."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ROOMS = {
    "alignment": "aligner aligning diagnosis maps pairing",
    "encoders": "bank bank_export bank_writer embedding encoder items pipeline soundness speed store",
    "evaluation": "geometry metrics report retrieval significance",
    "experiment": "benchmark drawing home pool run scored settings views writer",
    "foundation": "device distributed errors events files layout new_folder",
    "learning": ("checkpoint lbfgs loop model objectives predictor probe quasi_newton sampler strategy stream sweep"),
    "plugins": "builtin config hookspecs hub registry specs trackers",
}
MOVED = {f"xm.{name}": f"xm.{room}.{name}" for room, names in ROOMS.items() for name in names.split()} | {
    "xm.align_settings": "xm.alignment.settings",
    "xm.learning.maps": "xm.alignment.maps",
    "xm.aligned": "xm.encoders.aligned",
    "xm.nearest": "xm_search.nearest",
    "xm.search": "xm_search",
    "xm.search_index": "xm_search.index",
    "xm.search_items": "xm_search.items",
}
"""Old name to new. `xm.alignment`, `xm.encoders`, `xm.experiment` and `xm.plugins` were modules, and are rooms."""


class Moved(MetaPathFinder, Loader):
    """Finds a module by its old name. It is asked last, so that it costs nothing where names are of today."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        old = module.__name__
        new = MOVED[old]
        text = f"{old} is now {new}; import what is public from {new.rpartition('.')[0] or new}"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        sys.modules[old] = importlib.import_module(new)


def install() -> None:
    """Ask for old names too."""
    sys.meta_path.append(Moved())
