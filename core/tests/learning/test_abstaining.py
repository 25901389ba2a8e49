"""Rules that abstain, from probabilities to a run's figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xm
from xm import PluginError, Predictor, PredictorSpec, Stream
from xm.evaluation.report import Report
from xm.foundation.files import read_tensors
from xm.foundation.layout import TESTED
from xm.learning.predictor import NONE, Argmax, decisions
from xm.plugins.plugin_manager import PluginManager
from xm.testing import PredictorConformance

Train = Callable[..., Report]


class Unsure(Predictor):
    """None of the classes, unless one has most of the probability."""

    abstains = True

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.no_grad():
            p: Tensor = model(inputs).softmax(dim=1)
        return p.where(p.max(dim=1, keepdim=True).values > 0.9, 0.0)


class Silent(Unsure):
    """Abstains from everything."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        return 0 * super().predict(model, inputs)


class Loud(Unsure):
    """More than certain."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        return super().predict(model, inputs) + 0.3


def test_none_of_them_where_the_rest_is_larger_than_any() -> None:
    p = torch.tensor([[0.5, 0.3], [0.3, 0.2], [0.5, 0.0], [0.0, 0.0]])
    assert decisions(Unsure(), p).tolist() == [0, NONE, 0, NONE]
    assert decisions(Unsure(), p, among=torch.tensor([1])).tolist() == [1, NONE, NONE, NONE]
    assert decisions(Argmax(), p).tolist() == [0, 0, 0, 0]
    assert decisions(Argmax(), p, among=torch.tensor([1])).tolist() == [1, 1, 1, 1]


@pytest.fixture
def unsure(plugins: PluginManager, toy: Any) -> None:
    toy.Unsure = Unsure
    plugins.predictors["unsure"] = PredictorSpec(name="unsure", target="xm_toy:Unsure")


@pytest.mark.usefixtures("unsure")
def test_what_it_abstains_from_is_a_miss_and_coverage_beside_it(
    run: Train, table: Path, plugins: PluginManager, tmp_path: Path
) -> None:
    report = run(data=str(table), aux=("text",), predictor="unsure", set={"scale": 20}, shots=(2,))
    plain = run(data=str(table), aux=("text",), set={"scale": 20}, shots=(2,))
    assert all(result.coverage is None for result in plain.results)
    some = []
    for result in report.results:
        tested = read_tensors(Path(report.run) / result.model / TESTED)
        decided = tested["predicted"] != NONE
        assert result.coverage == pytest.approx(float(decided.float().mean()))
        assert result.value == pytest.approx(float((tested["predicted"] == tested["label"]).float().mean()))
        assert result.value <= result.coverage
        some.append(0 < result.coverage < 1)
    assert any(some), "nothing was abstained from"
    loaded = xm.load(report.run, plugins=plugins, device="cpu", cache=tmp_path / "other")
    for result in report.results:
        again = loaded.evaluate(pick=result.model)
        assert (again.value, again.coverage) == (result.value, result.coverage)
    files = sorted((table.parent / "images").glob("*/*.toy"))
    found = loaded.predict(files)
    assert {p.abstained for p in found} == {True, False}
    assert all((p.label is None) == p.abstained and p.error is None for p in found)


def test_a_rule_that_abstains_and_does_not_say_so_is_told(
    run: Train, table: Path, plugins: PluginManager, toy: Any
) -> None:
    class Hidden(Unsure):
        abstains = False

    toy.Hidden = Hidden
    plugins.predictors["hidden"] = PredictorSpec(name="hidden", target="xm_toy:Hidden")
    with pytest.raises(PluginError, match=r"gives probabilities that do not sum to 1; .*abstains = True"):
        run(data=str(table), predictor="hidden")


@pytest.mark.parametrize(
    ("rule", "check", "said"),
    [
        (Silent, "test_beats_chance", "abstains from everything"),
        (Loud, "test_probabilities", "probabilities sum to"),
    ],
)
def test_the_kit_catches(rule: type[Predictor], check: str, said: str, toy: Any) -> None:
    setattr(toy, rule.__name__, rule)
    spec = PredictorSpec(name="rule", target=f"xm_toy:{rule.__name__}")
    given = (spec, 200) if check == "test_probabilities" else (spec,)
    with pytest.raises(AssertionError, match=said):
        getattr(PredictorConformance(), check)(*given)
    toy.Unsure = Unsure
    sound = PredictorSpec(name="rule", target="xm_toy:Unsure")
    getattr(PredictorConformance(), check)(*(sound, *given[1:]))
