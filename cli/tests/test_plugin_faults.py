"""Plugins that fail, in every hook: a line that names plugin, version, kind and name, exit code 4, no traceback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from failing_plugins import HEAD, TRAIN

Xm = Callable[..., Any]

KEY = "KeyError: 'key'"


@dataclass(frozen=True)
class Case:
    """A plugin in a file, the command that meets it, and what is said behind "KIND 'bad' (plugin broken 1.2): "."""

    kind: str
    code: str
    said: str
    args: tuple[str, ...] = TRAIN
    spec: str = ""

    def source(self) -> str:
        hook = {"strategy": "strategies"}.get(self.kind, f"{self.kind}s")
        spec = f'{self.kind.title()}Spec(name="bad", target="broken:Bad"{self.spec})'
        return f"{HEAD}\n{self.code}\n\n@hookimpl\ndef {hook}():\n    return [{spec}]\n"


def strategy(body: str, said: str) -> Case:
    return Case("strategy", f"class Bad(LinearProbe):\n    {body}", said, (*TRAIN, "--strategy", "bad"))


def model(body: str, said: str) -> Case:
    code = f"""
class Other(torch.nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.towers = inner, inner.towers
    def forward(self, x):
        logits = self.inner(x)
        return {body}

class Bad(LinearProbe):
    def finish(self, model, context):
        return Other(model)
"""
    return Case("strategy", code, said, (*TRAIN, "--strategy", "bad"))


def predictor(body: str, said: str) -> Case:
    head = "class Bad(Argmax):\n    def predict(self, model, inputs):\n        p = super().predict(model, inputs)\n"
    code = f"{head}        {body}"
    return Case("predictor", code, said, (*TRAIN, "--predictor", "bad"))


def objective(body: str, said: str) -> Case:
    code = f"def Bad(logits, labels, weights=None):\n    {body}"
    return Case("objective", code, said, (*TRAIN, "--set", "solver=adamw", "--objective", "bad"))


def encoder(body: str, said: str, *args: str) -> Case:
    code = f"class Bad(Words):\n    suffixes = ()\n    def __init__(self, argument): pass\n    {body}"
    return Case("encoder", code, said, (*(args or TRAIN), "--word-encoder", "bad"), ', modality="word"')


def dataset(body: str, said: str) -> Case:
    toys = "toy_plugin.open_toys(source, suffixes=suffixes, cache=cache)"
    code = f"def Bad(source, *, suffixes, cache):\n    toys = {toys}\n    {body}"
    return Case("dataset", code, said, ("data", "show", "bad"))


def aligner(body: str, said: str) -> Case:
    head = "class Bad(Aligner):\n    def why_not(self, context): return None\n    def restore(self, x): return None\n"
    code = f"{head}    {body}"
    args = ("align", "--anchor", "word", "--new", "sign", "--data", "toys", "--pairs", "weak", "--out", "run")
    return Case("aligner", code, said, (*args, "--aligner", "bad"))


MAP = """def fit(self, context):
        class Map(torch.nn.Module):
            def forward(self, x): return x['features']%s
        return Map()"""
FAULT = f"{KEY}; this is a fault of the plugin, see it with --debug"
CASES = {
    "strategy init": strategy("__init__ = boom", FAULT),
    "strategy depths": strategy("depths = boom", FAULT),
    "strategy depths None": strategy("def depths(self, *rest): return None", "depths() gives NoneType, not a mapping"),
    "strategy readings": strategy("def readings(self, *rest): return {'a': 1}", "readings() gives 'a': int"),
    "strategy build": strategy("build = boom", FAULT),
    "strategy build None": strategy("def build(self, context): pass", "build() gives NoneType, not a model"),
    "strategy calls xm wrongly": strategy(
        "def build(self, context): return context.adapt(3)",
        "AttributeError: 'int' object has no attribute 'depths'; xm raised it where the plugin calls it; see it",
    ),
    "strategy calls torch wrongly": strategy(
        "def build(self, context): return torch.zeros(2) @ torch.zeros(3)", "RuntimeError: "
    ),
    "strategy solve None": strategy("def solve(self, *rest): return None", "solve() gives NoneType, not candidates"),
    "strategy solve nothing": strategy("def solve(self, *rest): yield from ()", "solve() yields no candidate"),
    "strategy finish": strategy("def finish(self, model, context): return 3", "finish() gives int, not a model"),
    "strategy record": strategy(
        "def finish(self, model, context):\n        context.record['x'] = torch.ones(1)\n        return model",
        "what it records holds more than plain values",
    ),
    "strategy no strategy": Case(
        "strategy", "class Bad:\n    def __init__(self, settings): pass", "the target 'broken:Bad' gives Bad, which is",
        (*TRAIN, "--strategy", "bad"),
    ),
    "strategy import": Case(
        "strategy", "", "target 'broken:Bad' does not exist", (*TRAIN, "--strategy", "bad")
    ),
    "model": model("boom(logits)", FAULT),
    "model tuple": model("(logits, 1)", "its model gives tuple, not logits"),
    "model shape": model("logits.T", "its model gives logits (3, 18); (18, 3), (n, classes), are wanted"),
    "model labels": model("logits.round().long()", "its model gives logits of type torch.int64"),
    "predictor": predictor("return boom(p)", FAULT),
    "predictor labels": predictor("return p.argmax(1)", "predict() gives torch.int64 (3,) for 3 items"),
    "predictor None": predictor("return None", "predict() gives NoneType, not probabilities"),
    "predictor sums": predictor("return p / 2", "gives probabilities that do not sum to 1"),
    "predictor negative": predictor("return torch.stack([p[:, 0] - 1, p[:, 1] + 1, p[:, 2]], 1)", "predict() gives"),
    "predictor classes": predictor("return p[:, :2]", "predict() gives probabilities of 2 classes, and there are 3"),
    "objective": objective("return boom(logits)", FAULT),
    "objective rows": objective("return logits.sum(1)", "gives a loss of shape (3,), not a scalar"),
    "objective number": objective("return 3.0", "gives a loss of type float, not a tensor"),
    "encoder init": encoder("__init__ = boom", FAULT),
    "encoder trunk": encoder("trunk = boom", "fails on all "),
    "encoder embed": encoder(
        "trunk = boom", "fails on all ", "embed", "toys", "--modality", "word", "--out", "bank.safetensors"
    ),
    "encoder shape": encoder("def trunk(self, items): return torch.ones(3, 4)", "trunk gives a Tensor, not named tens"),
    "encoder fingerprint": encoder("fingerprint = boom", FAULT),
    "dataset": dataset("return boom(source)", FAULT),
    "dataset None": dataset("pass", "gives NoneType, not an xm.Dataset"),
    "dataset label": dataset(
        "return replace(toys, classes=toys.classes[:2])",
        "gives a dataset that is not sound: sample 48 (riverTree) has the label 2".replace("T", "t"),
    ),
    "dataset label word": dataset(
        "return replace(toys, samples=(replace(toys.samples[0], label='apple'),))",
        "gives a dataset that is not sound: sample 0 (appletree) has the label 'apple', where a number from 0 is",
    ),
    "dataset modality": dataset(
        "return replace(toys, samples=(replace(toys.samples[0], modality=None),))",
        "gives a dataset that is not sound: sample 0 has the modality None",
    ),
    "dataset split": dataset(
        "return replace(toys, samples=(replace(toys.samples[0], split=1),))",
        "gives a dataset that is not sound: sample 0 (appletree) has the split 1, where a word is wanted",
    ),
    "aligner": aligner("def fit(self, context): return boom(context)", FAULT),
    "aligner None": aligner("def fit(self, context): pass", "makes NoneType, not a map"),
    "aligner shape": aligner(MAP % "[:, :5]", "makes a map that gives (8, 5) for 8 items; (8, 64) is wanted"),
    "aligner NaN": aligner(MAP % " / 0", "makes a map that gives numbers that are not finite"),
    "benchmark": Case("benchmark", "Bad = boom", FAULT, ("bench", "bad"), ', modality="word"'),
    "benchmark None": Case(
        "benchmark", "def Bad(*rest): pass", "the target 'broken:Bad' gives NoneType, which is no xm.BenchReport",
        ("bench", "bad"), ', modality="word"',
    ),
    "command": Case("command", "def Bad(): boom(1)", FAULT, ("bad",)),
    "command number": Case("command", "Bad = 3", "broken:Bad is not a function with Typer annotations", ("bad",)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fault_of_a_plugin_is_the_plugins(case: Case, xm: Xm, options: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(case.source())
    options += ["--plugin", "broken.py"]
    done = xm(*case.args)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("warning: left out", "note: "))]
    assert done.exit_code == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert lines[-1].startswith(f"error: {case.kind} 'bad' (plugin broken 1.2): {case.said}"), lines[-1]
    assert not list(tmp_path.glob("run*")), "something half-written is left"
