"""Search: an index over the items of one modality, asked by items of any modality that shares its space.

From Python: `build` and `open_index`. From the command line: ``xm search build`` and ``xm search find``.
"""

from __future__ import annotations

import lazy_loader

from xm import CommandSpec, hookimpl

__getattr__, _, __all__ = lazy_loader.attach_stub(__name__, __file__)  # hooks are found by dir(), which stays as it is


@hookimpl
def commands() -> list[CommandSpec]:
    about = {"group": "search", "group_summary": "Find items by items of any modality."}
    return [
        CommandSpec(
            name="build",
            target="xm_search.command:building",
            summary="Make an index over the items of one modality.",
            kept="nothing was kept",
            **about,
        ),
        CommandSpec(
            name="find",
            target="xm_search.command:finding",
            summary="Find the items of an index nearest to a file or to words.",
            kept="nothing was kept",
            **about,
        ),
    ]
