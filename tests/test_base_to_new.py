"""Every strategy with unseen classes, on the default task: figures, or a refusal in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import xm
from xm.foundation import UsageError
from xm.plugins import manager
from xm.testing import installed

QUICK: dict[str, dict[str, Any]] = {
    "class-adaptive-probe": {"max_iter": 20},
    "clip-adapter": {"steps": 20},
    "lp++": {"iterations": 20},
    "tip-adapter-f": {"epochs": 2},
    "zpe": {},
}
"""Settings of strategies that would take long."""

SPLITS = ["test"] + [f"test:{kind}{what}" for kind in ("", "generalised-") for what in ("seen", "unseen", "harmonic")]

pytestmark = [pytest.mark.slow, pytest.mark.whole]


@pytest.mark.parametrize("name", sorted(manager().strategies))
def test_every_strategy_has_figures_of_unseen_classes(name: str, tmp_path: Path) -> None:
    """A model that gives no numbers would end in an error."""
    installed("digits")
    given: dict[str, Any] = {"templates": ("{}", "the {}")} if name == "zpe" else {}
    if manager().strategies.find(name).needs_unlabelled:
        given["unlabelled"] = "rest"
    try:
        report = xm.train(
            "image",
            aux=["text"],
            shots=[2],
            seeds=[1],
            unseen="half",
            strategy=name,
            set=QUICK.get(name, {}),
            out=tmp_path / "run",
            **given,
        )
    except UsageError as error:
        pytest.skip(f"{name} does not apply: {error}")
    for aux in {r.aux for r in report.results if r.strategy == name}:
        assert [r.split for r in report.results if (r.strategy, r.aux) == (name, aux)] == SPLITS
    assert all(0 <= r.value <= 1 for r in report.results)
