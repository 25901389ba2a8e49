"""What is told while a command works: notes and warnings as lines, and progress bars on a terminal."""

from __future__ import annotations

import logging
import sys
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from xm.foundation import Event, leads

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Teller(AbstractContextManager["Teller"]):
    """An event listener that writes to standard error; also hears the logger "xm". A warning is told once."""

    def __init__(self, *, notes: bool = True) -> None:
        self.notes = notes
        self._told: set[str] = set()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._handler = _Handler(self)

    def __enter__(self) -> Teller:
        logging.getLogger("xm").addHandler(self._handler)
        if sys.stderr.isatty() and leads():
            self._bars = _bars()
            self._bars.start()
            self._tasks["start"] = self._bars.add_task("getting ready", total=None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("xm").removeHandler(self._handler)
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def __call__(self, event: Event) -> None:
        if not leads():
            return
        if event.kind == "note" and self.notes:
            self._line(str(event.data["message"]))
        elif event.kind == "warning":
            self.warn(str(event.data["message"]))
        elif event.kind == "embed":
            self._advance(f"embed {event.data['modality']}", event)
        elif event.kind == "cell":
            self._advance("fit and test", event)
        elif event.kind == "step":
            self._advance("steps", Event("step", {"done": event.data["step"], "total": event.data["steps"]}))

    def warn(self, message: str) -> None:
        """Tell a warning, once."""
        if message not in self._told:
            self._told.add(message)
            self._line(f"warning: {message}")

    def _line(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def _advance(self, name: str, event: Event) -> None:
        if self._bars is None:
            return
        if "start" in self._tasks:
            self._bars.remove_task(self._tasks.pop("start"))
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=event.data["total"])
        self._bars.update(self._tasks[name], completed=event.data["done"], total=event.data["total"])


class _Handler(logging.Handler):
    def __init__(self, teller: Teller) -> None:
        super().__init__(logging.WARNING)
        self.teller = teller

    def emit(self, record: logging.LogRecord) -> None:
        self.teller.warn(record.getMessage())


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f}/s" if task.speed else "", style="progress.data.speed")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
