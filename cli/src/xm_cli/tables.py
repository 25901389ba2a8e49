"""Printing: tables that fit a terminal and are whole when piped, one JSON object, and lines on standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any

WIDE = 10_000
"""Columns of the screen when standard output is none: tables take what they need, a line a row."""

GAP = 3
"""Signs between two columns."""

LEAST = 12
"""Signs that a column of words keeps, however narrow the screen is."""


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table on standard output; the columns `right` are numbers. No colour, and ASCII lines where need be.

    On a terminal, or in as many columns as COLUMNS says, words are folded so that it fits; numbers never are.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = _fitted(headers, rows, right)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, (header, width) in enumerate(zip(headers, widths, strict=True)):
        table.add_column(Text(header), justify="right" if i in right else "left", width=width, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(file=sys.stdout, width=max(sum(widths) + GAP * len(widths), 1), highlight=False)
    with console.capture() as captured:  # rich would end the program at a closed pipe
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _fitted(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> list[int]:
    """The width of each column: what it needs, and less, of the widest first, until all fit the screen."""
    from rich.cells import cell_len

    def longest(texts: Iterable[str]) -> int:
        return max((cell_len(line) for text in texts for line in text.splitlines()), default=1)

    widths, least = [], []
    for i, header in enumerate(headers):
        cells = [row[i] for row in rows]
        widths.append(max(longest([header, *cells]), 1))
        least.append(max(longest(cells), longest(header.split())) if i in right else min(widths[i], LEAST))
    room = _columns() - GAP * (len(widths) - 1)
    while sum(widths) > room:
        wide = [i for i, width in enumerate(widths) if width > least[i]]
        if not wide:
            break
        widths[max(wide, key=lambda i: widths[i])] -= 1
    return widths


def _columns() -> int:
    """Of the screen."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


NEITHER = "none of these"
"""What is printed of an item on which a decision rule abstains."""

_TRACES: list[bool] = []
"""Not empty with --debug."""


def show_traces(wanted: bool) -> None:
    """Whether a plugin that fails as it is loaded is told of with files and lines, from now on."""
    _TRACES[:] = [True] if wanted else []


def warn(message: str) -> None:
    """A warning on standard error."""
    print(f"warning: {message}", file=sys.stderr)


def warn_of_plugins() -> None:
    """A warning for each plugin that could not be used; with --debug, where that was raised."""
    from xm.plugins import manager

    for plugin in manager().plugins():
        if plugin.error:
            warn(f"plugin {plugin.name!r} is left out: {plugin.error}")
            if _TRACES and plugin.trace:
                print(plugin.trace, file=sys.stderr)


def encodable(text: str, plain: str) -> str:
    """`text` if standard output can show it, else `plain`."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return plain
    return text


def count(n: int, one: str, more: str = "") -> str:
    """ "1 pair", "2 pairs"; `more` is the plural if it is no "s"."""
    return f"{n} {one if n == 1 else more or one + 's'}"
