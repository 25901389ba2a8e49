"""Experiments with unseen classes, and new classes for their models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import xm
from xm.evaluation.report import Report, Result
from xm.experiment.figures import by_class, confined, harmonic, restricted
from xm.experiment.tested import RESTRICTED
from xm.foundation.errors import DataError, RunError, UsageError
from xm.foundation.files import read_tensors
from xm.learning.model import EMBEDDING
from xm.learning.predictor import Argmax
from xm.learning.stream import Stream
from xm.plugins.plugin_manager import PluginManager
from xm.testing import installed

Train = Callable[..., Report]
ROWS = [
    "test",
    "test:seen",
    "test:unseen",
    "test:harmonic",
    "test:generalised-seen",
    "test:generalised-unseen",
    "test:generalised-harmonic",
]


def by_split(report: Report, strategy: str = "linear") -> dict[str, Result]:
    return {r.split: r for r in report.results if r.strategy == strategy and r.aux == ("text",)}


def test_rows_are_of_seen_and_unseen_classes(run: Train, table: Path) -> None:
    report = run(aux=("text",), data=str(table), unseen="half", shots=(2,))
    for strategy in ("linear", "zero-shot"):
        found = by_split(report, strategy)
        assert list(found) == ROWS
        assert [found[name].n for name in ROWS] == [40, 24, 16, 40, 24, 16, 40]
        for kind in ("", "generalised-"):
            one, other, both = (found[f"test:{kind}{what}"].value for what in ("seen", "unseen", "harmonic"))
            assert both == pytest.approx(harmonic(one, other))
        assert found["test:seen"].value >= found["test:generalised-seen"].value
        assert found["test:unseen"].value >= found["test:generalised-unseen"].value
        whole = found["test:generalised-seen"].value * 24 + found["test:generalised-unseen"].value * 16
        assert found["test"].value == pytest.approx(whole / 40)
    assert by_split(report, "zero-shot")["test:unseen"].value > 0.7
    assert by_split(report)["test"].labels == {"train": 6, "val": 6}
    assert by_split(report)["test"].record["unseen"] == ["hen", "owl"]
    index = json.loads((Path(report.run) / "xm.json").read_text())
    assert index["unseen"] == {"1": ["hen", "owl"]}
    unseen, honest = [note for note in report.notes if note.startswith("Unseen")]
    assert unseen == "Unseen: 2 of 5 classes have no image in train and val (hen, owl)."
    assert "may have met these classes" in honest
    assert {c.split for c in report.comparisons} == {name for name in ROWS if "harmonic" not in name}


def test_a_number_of_classes_is_others_by_seed(run: Train, table: Path) -> None:
    report = run(data=str(table), unseen="2", seeds=(1, 2, 3), baselines=False)
    index = json.loads((Path(report.run) / "xm.json").read_text())
    assert {len(names) for names in index["unseen"].values()} == {2}
    assert len({tuple(names) for names in index["unseen"].values()}) > 1
    assert next(note for note in report.notes if note.startswith("Unseen")).startswith(
        "Unseen: 2 of 5 classes have no image in train and val (by each seed others; by the first "
    )


def test_one_unseen_class_is_decided_among_all(run: Train, table: Path, tmp_path: Path) -> None:
    """Among itself alone it would always be right."""
    file = tmp_path / "unseen.txt"
    file.write_text("cow\n", encoding="utf-8")
    report = run(aux=("text",), data=str(table), unseen=str(file))
    assert list(by_split(report)) == ["test", *ROWS[4:]]
    assert by_split(report)["test"].record["unseen"] == ["cow"]


def test_pairs_of_unseen_classes_are_not_learned_from(run: Train, table: Path) -> None:
    whole, part = (run(aux=("audio",), data=str(table), unseen=unseen) for unseen in (None, "half"))
    said = [next(n for n in report.notes if n.startswith("audio: ")) for report in (whole, part)]
    assert said[0].endswith("from 30 pairs") and said[1].endswith("from 18 pairs")


def test_metrics_are_those_of_the_settings(run: Train, table: Path) -> None:
    report = run(data=str(table), unseen="half", metric="balanced-accuracy", baselines=False)
    assert {r.metric for r in report.results} == {"balanced-accuracy"}


def test_too_few_classes_to_learn_from_are_one_line(run: Train, table: Path) -> None:
    with pytest.raises(UsageError, match="--unseen 4: 4 of 5 classes would be unseen"):
        run(data=str(table), unseen="4")


def test_decisions_on_test_are_kept_with_those_among_the_own_kind(run: Train, table: Path) -> None:
    report = run(aux=("text",), data=str(table), unseen="half")
    found = by_split(report)
    tested = read_tensors(Path(report.run) / found["test"].model / "tested.safetensors")
    for what, rows in (("seen", tested["label"] < 3), ("unseen", tested["label"] >= 3)):
        right = (tested[RESTRICTED] == tested["label"])[rows].float().mean()
        assert found[f"test:{what}"].value == pytest.approx(float(right))
        assert set(tested[RESTRICTED][rows].tolist()) <= ({0, 1, 2} if what == "seen" else {3, 4})


def test_where_a_rule_leaves_nothing_logits_decide() -> None:
    """Softmax in single precision is zero for what is more than some hundred behind."""
    logits = torch.tensor([[500.0, 0.0, 1.0, -3.0], [0.0, 1.0, 2.0, 3.0]])
    inputs = Stream("any", {EMBEDDING: torch.arange(2.0)[:, None]})

    class Fixed(torch.nn.Module):
        def forward(self, stream: Stream) -> torch.Tensor:
            return logits[stream.x[EMBEDDING][:, 0].long()]

    scores = logits.softmax(dim=1)
    assert not scores[0, 1:].any()
    found = restricted(Argmax(), Fixed(), inputs, scores, torch.tensor([3, 0]), {0, 1})
    assert found.tolist() == [2, 1]
    among = confined(Fixed(), inputs, scores, [2, 1])
    assert among.sum(dim=1).tolist() == pytest.approx([1, 1]) and not among[:, [0, 3]].any()
    assert among.argmax(dim=1).tolist() == [2, 2]


def test_test_must_hold_both_kinds() -> None:
    with pytest.raises(DataError, match="test holds no item of an unseen class"):
        by_class(torch.tensor([0, 1, 1]), 4, {0, 1})
    with pytest.raises(DataError, match="test holds no item of a seen class"):
        by_class(torch.tensor([3]), 4, {0, 1})
    assert harmonic(0.0, 0.0) == 0


@pytest.fixture
def load(plugins: PluginManager, tmp_path: Path) -> Callable[..., xm.Run]:
    return lambda report: xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "other cache")


@pytest.fixture
def known(run: Train, table: Path, tmp_path: Path) -> Report:
    """A run that knows three of the classes."""
    lines = table.read_text().splitlines()
    part = table.with_name("part.csv")
    part.write_text("\n".join(line for line in lines if not set(line.split(",")) & {"hen", "owl"}) + "\n")
    return run(aux=("text",), data=str(part), templates=("a {}", "the {}"))


def zero_shot(report: Report) -> str:
    return next(r.model for r in report.results if r.strategy == "zero-shot")


def test_a_model_takes_in_classes_of_other_data(known: Report, load: Callable[..., xm.Run], table: Path) -> None:
    run, pick = load(known), zero_shot(known)
    with pytest.raises(DataError, match=r"class 'hen' was not in training .* with --add-class data"):
        run.evaluate(str(table), pick=pick)
    found = run.evaluate(str(table), pick=pick, add_classes="data")
    assert (found.n, found.record["added"]) == (40, ["hen", "owl"]) and found.value > 0.7
    assert found == run.evaluate(str(table), pick=pick, add_classes=["hen", "owl"])
    new = run.evaluate(str(table), pick=pick, add_classes="data", only=["hen", "owl"])
    assert new.n == 16 and new.value > 0.7
    with pytest.raises(UsageError, match="name the data with --data"):
        run.evaluate(pick=pick, add_classes="data")


def test_predictions_are_of_old_and_new_classes_or_of_some(
    known: Report, load: Callable[..., xm.Run], table: Path
) -> None:
    run, pick = load(known), zero_shot(known)
    items = sorted((table.parent / "images" / "owl").iterdir())
    found = run.predict(items, pick=pick, add_classes=["owl", "hen"])
    assert list(found[0].probabilities) == ["cat", "cow", "dog", "owl", "hen"]
    assert sum(p.label == "owl" for p in found) > len(items) / 2
    some = run.predict(items[:3], pick=pick, add_classes=["owl"], only=["owl", "cat"])
    assert list(some[0].probabilities) == run.candidates(["owl"], ["owl", "cat"]) == ["cat", "owl"]
    assert all(sum(p.probabilities.values()) == pytest.approx(1) for p in some)
    before = run.predict(items[:3], pick=pick)
    assert list(before[0].probabilities) == list(run.classes)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"add_classes": ["cow"]}, "--add-class cow: is a class of the run already"),
        ({"add_classes": [" "]}, "a class needs a name"),
        ({"only": ["owl"]}, "unknown class 'owl'"),
    ],
)
def test_wrong_classes_are_one_line(
    known: Report, load: Callable[..., xm.Run], given: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        load(known).predict(["cat 1"], modality="text", pick=zero_shot(known), **given)


def test_a_strategy_that_can_not_says_which_can(known: Report, load: Callable[..., xm.Run]) -> None:
    with pytest.raises(UsageError, match=r"'linear' can't take new classes .*; train with one that can: zero-shot"):
        load(known).predict(["cat 1"], modality="text", add_classes=["owl"])


def test_a_run_of_before_refuses_in_a_line(known: Report, load: Callable[..., xm.Run]) -> None:
    path = Path(known.run) / "xm.json"
    index = json.loads(path.read_text())
    assert index.pop("names")["templates"] == ["a {}", "the {}"]
    path.write_text(json.dumps(index))
    with pytest.raises(RunError, match=r"does not say how class names were read.*; train again"):
        load(known).predict(["cat 1"], modality="text", pick=zero_shot(known), add_classes=["owl"])


@pytest.mark.parametrize("centre", ["none", "unlabelled"])
def test_names_need_not_be_auxiliary(
    run: Train, table: Path, load: Callable[..., xm.Run], plugins: PluginManager, centre: str
) -> None:
    """The way home of class names is kept beside, and what they are freed of."""
    plugins.register(installed("tip-adapter"), "tip-adapter")
    report = run(data=str(table), strategy="tip-adapter", unlabelled="rest", centre=centre)
    again = load(report)
    assert again.index["names"]["modality"] == "text" and "text" not in again.index["ways"]
    found = again.predict([table.parent / "images" / "owl" / "0.toy"], add_classes=["newt"])
    assert len(found[0].probabilities) == 6 and sum(found[0].probabilities.values()) == pytest.approx(1)
    tensors = Path(report.run, report.results[0].model, "centres.safetensors")
    assert tensors.exists() == (centre == "unlabelled")
    if tensors.exists():
        assert "text" in read_tensors(tensors)
