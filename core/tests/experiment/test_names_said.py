"""Class names that say nothing to an encoder that reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xm.evaluation.report import Report

Run = Callable[..., Report]
IDS = ("n00000001", "n00000002", "n00000003")


def test_ids_are_warned_of_where_names_are_read(
    run: Run, toy: Any, tmp_path: Path, warnings: Callable[[], list[str]]
) -> None:
    folder = toy.write_folder(tmp_path / "ids", classes=IDS)
    run(data=str(folder))
    assert not warnings()
    run(data=str(folder), aux=["text"])
    (said,) = (text for text in warnings() if "say nothing" in text)
    assert "'n00000001'" in said and "classes.txt" in said
    (folder / "classes.txt").write_text("".join(f"{name}\tkind {name[-1]}\n" for name in IDS))
    before = len(warnings())
    run(data=str(folder), aux=["text"])
    assert not any("say nothing" in text for text in warnings()[before:])
