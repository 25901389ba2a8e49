"""Printing: tables that are never cut off when piped, one JSON object, and lines on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

WIDE = 10_000
"""Columns when standard output is no terminal: tables take what they need."""


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table on standard output; the columns `right` are numbers. No colour, and ASCII lines where need be."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for i, header in enumerate(headers):
        table.add_column(Text(header), justify="right" if i in right else "left", no_wrap=i in right)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE, highlight=False)
    with console.capture() as captured:  # rich would end the program at a closed pipe
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def warn(message: str) -> None:
    """A warning on standard error."""
    print(f"warning: {message}", file=sys.stderr)


def warn_of_plugins() -> None:
    """A warning for each plugin that could not be used."""
    from xm.plugins import manager

    for plugin in manager().plugins():
        if plugin.error:
            warn(f"plugin {plugin.name!r} is left out: {plugin.error}")


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
