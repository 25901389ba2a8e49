"""Trackers that core brings."""

from __future__ import annotations

import json
from pathlib import Path

from xm.foundation.events import Event


class JsonLines:
    """Appends every event but progress to ``events.jsonl`` in the run's folder."""

    def __init__(self, run: Path) -> None:
        self.path = run / "events.jsonl"

    def __call__(self, event: Event) -> None:
        if event.kind not in ("embed", "step"):
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"event": event.kind, **event.data}) + "\n")
