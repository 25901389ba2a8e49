"""What a plugin does wrong is its own fault: an error that names it, or a warning, and never an internal error."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import xm
from xm.evaluation.report import Report
from xm.foundation.errors import PluginError
from xm.foundation.events import Event, silent
from xm.plugins.plugin_manager import PluginManager

Run = Callable[..., Report]

HEAD = """
import torch
from torch import nn
from xm import *
from xm import AlignerSpec, BenchmarkSpec, DatasetSpec, EncoderSpec, ObjectiveSpec, PredictorSpec, StrategySpec
from xm import TrackerSpec, hookimpl
from xm.data import Dataset, Sample
from xm.alignment import Affine
from xm.learning import LinearProbe
from xm_toy import ToyImage

__version__ = "1.2"
"""

PROBE = "class P(LinearProbe):\n    def {method}:\n        {body}\n"
ENCODER = (
    "class P(ToyImage):\n    def fingerprint(self):\n        return 'p'\n    def trunk(self, items):\n        {body}\n"
)
RULE = "class P(Predictor):\n    def predict(self, model, inputs):\n        {body}\n"
OPENER = "def P(source, *, suffixes, cache):\n    {body}\n"
ALIGNER = (
    "class P(Aligner):\n    uses_pairs = True\n    def why_not(self, context):\n        return None\n"
    "    def fit(self, context):\n        {body}\n    def restore(self, tensors):\n        return Affine(**tensors)\n"
)


NUMBERS = itertools.count()
"""Of modules, so that no two have one name."""


def heard(events: list[Event]) -> list[str]:
    """Warnings."""
    return [str(event.data["message"]) for event in events if event.kind == "warning"]


@pytest.fixture
def broken(plugins: PluginManager, tmp_path: Path, toy: Any) -> Callable[..., str]:
    """Load a plugin, version 1.2, that gives one thing "p" of a kind: its name."""
    del toy

    def load(hook: str, spec: str, code: str) -> str:
        name = f"broken{next(NUMBERS)}"
        text = f"{HEAD}\n{code}\n@hookimpl\ndef {hook}():\n    return [{spec}(name='p', target='{name}:P'{{more}})]\n"
        more = {"EncoderSpec": ", modality='image', suffixes=('.toy',)", "BenchmarkSpec": ", modality='image'"}
        (tmp_path / f"{name}.py").write_text(text.replace("{more}", more.get(spec, "")))
        plugins.load_file(tmp_path / f"{name}.py")
        return name

    return load


FAULTS = [
    ("strategies", "StrategySpec", PROBE, "__init__(self, given=None)", "1 / 0", "ZeroDivisionError"),
    ("strategies", "StrategySpec", PROBE, "build(self, context)", "{}['a']", "KeyError: 'a'"),
    ("strategies", "StrategySpec", PROBE, "build(self, context)", "return 3", "build() gives int, not a model"),
    ("strategies", "StrategySpec", PROBE, "solve(self, model, context)", "return []", "solve() yields no candidate"),
    ("strategies", "StrategySpec", PROBE, "finish(self, model, context)", "return None", "finish() gives NoneType"),
    (
        "strategies",
        "StrategySpec",
        PROBE,
        "build(self, context)",
        "torch.zeros(2) @ torch.zeros(3)",
        "RuntimeError",
    ),
    ("predictors", "PredictorSpec", RULE, "", "raise ValueError('no')", "ValueError: no"),
    ("predictors", "PredictorSpec", RULE, "", "return torch.ones(2, 2)", "predict() gives"),
    ("predictors", "PredictorSpec", RULE, "", "return -model(inputs).softmax(1)", "probabilities below 0"),
    ("predictors", "PredictorSpec", RULE, "", "return model(inputs).sigmoid() + 1", "do not sum to 1"),
    ("encoders", "EncoderSpec", ENCODER, "", "raise ValueError('odd')", "fails on all"),
    ("encoders", "EncoderSpec", ENCODER, "", "return torch.zeros(1)", "not named tensors"),
    ("datasets", "DatasetSpec", OPENER, "", "return 1 / 0", "ZeroDivisionError"),
    ("datasets", "DatasetSpec", OPENER, "", "return []", "gives list, not an xm.Dataset"),
    (
        "datasets",
        "DatasetSpec",
        OPENER,
        "",
        "return Dataset('d', ('a', 'b'), (Sample('x', 'image', 7),))",
        "has the label 7, and there are 2 classes",
    ),
    ("aligners", "AlignerSpec", ALIGNER, "", "raise IndexError('far')", "IndexError: far"),
    ("aligners", "AlignerSpec", ALIGNER, "", "return 3", "makes int, not a map"),
    ("aligners", "AlignerSpec", "class P(Aligner):\n    pass\n", "", "", "abstract"),
    ("objectives", "ObjectiveSpec", "def P(logits, labels, weights):\n    {body}\n", "", "return 1 / 0", "Zero"),
    ("objectives", "ObjectiveSpec", "def P(logits, labels, weights):\n    {body}\n", "", "return logits", "a scalar"),
]
USED: dict[str, dict[str, Any]] = {
    "strategies": {"strategy": "p"},
    "predictors": {"predictor": "p"},
    "encoders": {"encoders": {"image": "p"}},
    "datasets": {"data": "p"},
    "aligners": {"aligner": "p", "aux": ("audio",)},
    "objectives": {"objective": "p", "set": {"solver": "adamw", "steps": 3}},
}
KINDS = {"strategies": "strategy"}


@pytest.mark.parametrize(("hook", "spec", "code", "method", "body", "said"), FAULTS, ids=lambda value: str(value)[:24])
def test_a_fault_names_plugin_kind_name_and_version(
    hook: str,
    spec: str,
    code: str,
    method: str,
    body: str,
    said: str,
    broken: Callable[..., str],
    run: Run,
    table: Path,
    tmp_path: Path,
) -> None:
    name = broken(hook, spec, code.replace("{method}", method).replace("{body}", body))
    with pytest.raises(PluginError) as caught:
        run(**{"data": str(table), "aux": ("text",), "baselines": False, **USED[hook]})
    error, kind = caught.value, KINDS.get(hook, hook.removesuffix("s"))
    assert (error.plugin, error.version, error.kind, error.name) == (name, "1.2", kind, "p"), str(error)
    assert str(error).startswith(f"{kind} 'p' (plugin {name} 1.2)") and said in str(error)
    assert "\n" not in str(error) and error.exit_code == 4
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_benchmark_that_fails(broken: Callable[..., str], plugins: PluginManager) -> None:
    name = broken("benchmarks", "BenchmarkSpec", "def P(spec, settings, plugins, listener):\n    return {}['a']")
    with pytest.raises(PluginError, match=rf"^benchmark 'p' \(plugin {name} 1.2\): KeyError: 'a'"):
        xm.bench("p", plugins=plugins, listener=silent)


@pytest.mark.parametrize(
    "code",
    [
        "def P(run):\n    raise OSError('no server')",
        "def P(run):\n    return lambda event: 1 / 0",
    ],
    ids=["made", "told"],
)
def test_a_tracker_that_fails_is_dropped(
    code: str, broken: Callable[..., str], run: Run, table: Path, events: list[Event]
) -> None:
    name = broken("trackers", "TrackerSpec", code)
    report = run(data=str(table), trackers=("jsonl", "p"))
    assert report.results and (Path(report.run) / "events.jsonl").exists()
    warned = [message for message in heard(events) if "tracker" in message]
    assert len(warned) == 1 and f"tracker 'p' (plugin {name} 1.2)" in warned[0]


def test_an_item_on_which_an_encoder_fails_costs_no_other(
    broken: Callable[..., str], run: Run, table: Path, events: list[Event]
) -> None:
    body = "if '9.toy' in [item.name for item in items]: raise ValueError('odd')\n        return super().trunk(items)"
    name = broken("encoders", "EncoderSpec", ENCODER.replace("{body}", body))
    whole = run(data=str(table), aux=("text",), encoders={"image": "toy-image"}, baselines=False)
    report = run(data=str(table), aux=("text",), encoders={"image": "p"}, baselines=False)
    assert report.results[0].n == whole.results[0].n - 5
    said = f"encoder 'p' (plugin {name} 1.2): ValueError: odd"
    assert any("9.toy" in message and said in message for message in heard(events))


@pytest.mark.parametrize("body", ["return 1 / 0", "return nn.Linear(2, 2)", "return None"])
def test_a_model_that_can_not_be_restored_is_told_in_training(
    body: str, broken: Callable[..., str], run: Run, table: Path, events: list[Event]
) -> None:
    name = broken("strategies", "StrategySpec", PROBE.format(method="restore(self, towers, tensors)", body=body))
    report = run(data=str(table), strategy="p", shots=(1, 2), baselines=False)
    assert len(report.results) == 2
    warned = [message for message in heard(events) if "restore()" in message]
    assert len(warned) == 1 and warned[0].startswith(f"strategy 'p' (plugin {name} 1.2): restore()")


def test_what_is_wrong_in_core_stays_an_internal_error(run: Run, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("xm.experiment.cells.adapt", fails)
    with pytest.raises(ZeroDivisionError):
        run(data=str(table))


@pytest.mark.parametrize("name", ["two words", "a,b", "a:b", "a/b", "", "-a", "tab\t", "a\nb"])
def test_names_that_can_not_be_typed_are_refused(name: str, plugins: PluginManager, tmp_path: Path, toy: Any) -> None:
    del toy
    text = f"{HEAD}\n@hookimpl\ndef strategies():\n    return [StrategySpec(name={name!r}, target='a:B')]\n"
    file = tmp_path / f"named{next(NUMBERS)}.py"
    file.write_text(text)
    plugins.load_file(file)
    assert name not in plugins.strategies and "linear" in plugins.strategies
    error = next(plugin.error for plugin in plugins.plugins() if plugin.name == file.stem)
    assert error is not None and error.startswith(f"strategy {name!r}: its name")
