"""xm plugins check, on the mistakes that authors make."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Xm = Callable[..., Any]

ENCODER = """
from xm import Encoder, EncoderSpec, UsageError, hookimpl


class Colours(Encoder):
    modality, suffixes, space, dim = "image", (".png",), "colours", 64

    def __init__(self, argument: str = "") -> None:
        pass

    def fingerprint(self) -> str:
        return "1"

    def trunk(self, items):
        return {}


@hookimpl
def encoders():
    return [EncoderSpec(name="colours", target="own:Colours", modality="image", suffixes=(".png",))]
"""

STRATEGY = """
from xm import Predictor, Strategy, StrategySpec, hookimpl


class Median(Strategy):
    def build(self, context):
        return None


@hookimpl
def strategies():
    return [StrategySpec(name="median", target="own:Median")]
"""

OTHERS = """
from xm import (Aligner, AlignerSpec, BenchmarkSpec, DatasetSpec, ObjectiveSpec, PairObjective, Predictor,
                PredictorSpec, StepObjective, TrackerSpec, hookimpl)

class Rule(Predictor):
    scope = "all"
    def predict(self, model, inputs):
        return None

class Map(Aligner):
    def why_not(self, context):
        return None
    def fit(self, context):
        return None

class Distance(PairObjective):
    def forward(self, batch):
        return None

class Fading(StepObjective):
    def __call__(self, logits, labels, weights=None):
        return None

class Short(StepObjective):
    def __call__(self, logits, labels):
        return None

class Unwritten(StepObjective):
    pass

def loss(logits, labels):
    return 0

def open_it(source):
    return None

def table():
    return None

def bench(spec, settings):
    return None

@hookimpl
def predictors():
    return [PredictorSpec(name="rule", target="own:Rule")]

@hookimpl
def aligners():
    return [AlignerSpec(name="map", target="own:Map")]

@hookimpl
def objectives():
    own = {"loss": "loss", "distance": "Distance", "fading": "Fading", "short": "Short", "unwritten": "Unwritten"}
    return [ObjectiveSpec(name=name, target=f"own:{target}") for name, target in own.items()]

@hookimpl
def datasets():
    return [DatasetSpec(name="data", target="own:open_it")]

@hookimpl
def trackers():
    return [TrackerSpec(name="table", target="own:table")]

@hookimpl
def benchmarks():
    return [BenchmarkSpec(name="race", target="own:bench", modality="image")]
"""


@pytest.fixture(autouse=True)
def again() -> Iterator[None]:
    yield
    sys.modules.pop("own", None)


@pytest.fixture
def check(xm: Xm, toy: list[str], tmp_path: Path) -> Callable[[str, str], Any]:
    """`xm --plugin own.py plugins check NAME`, of a file of that text."""

    def run(text: str, name: str) -> Any:
        sys.modules.pop("own", None)
        (tmp_path / "own.py").write_text(text)
        toy[:] = ["--plugin", "own.py"]
        return xm("plugins", "check", name)

    return run


def test_what_is_right_is_ok(check: Callable[[str, str], Any]) -> None:
    for text, name, kind, suite in [
        (ENCODER, "colours", "encoder", "EncoderConformance"),
        (STRATEGY, "median", "strategy", "StrategyConformance"),
        (OTHERS, "fading", "objective", "ObjectiveConformance"),
    ]:
        done = check(text, name)
        assert (done.exit_code, done.stdout.splitlines()) == (
            0,
            [f"{kind} {name}: ok", f"loads; for what it computes, run the suite xm.testing.{suite}"],
        )


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("(Encoder)", "", "Colours is no xm.Encoder: derive the class from it"),
        ("def fingerprint", "def fingerprnt", "Colours does not write fingerprint"),
        (
            "def trunk(self, items)",
            "def trunk(self)",
            "Colours.trunk(self) does not take what it is called with: self, ",
        ),
        (
            ', argument: str = ""',
            "",
            "Colours() does not take what it is called with: the argument behind the colon of",
        ),
        ('modality, suffixes, space, dim = "image",', "suffixes, space, dim =", "Colours has no attribute 'modality'"),
        ('"colours", 64', '"", 64', "Colours has a wrong attribute 'space' ''"),
        ('"colours", 64', '"colours", 0', "Colours has a wrong attribute 'dim' 0: a whole number above 0"),
        ('dim = "image"', 'dim = "audio"', "modality: the spec says 'image', Colours says 'audio'"),
        ('(".png",), "col', '(".png", ".jpg"), "col', "suffixes: the spec says .png, Colours says .png, .jpg"),
        (".png", ".PNG", "suffix '.PNG': write it in lower case, with its dot"),
        ('return "1"', "return None", "Colours.fingerprint() gives None, not a text"),
        ("def trunk", "def to(self, device): pass\n    def trunk", "Colours.to(device) gives None, not the encoder"),
        ("        pass", '        raise ValueError("no\\nfile")', "ValueError: no file"),
        ("        pass", '        raise UsageError("say which")', "say which"),
        ("own:Colours", "own:Colors", "target 'own:Colors' does not exist"),
        ("own:Colours", "own:__name__", "'own' can't be called"),
    ],
)
def test_mistakes_of_encoders(check: Callable[[str, str], Any], right: str, wrong: str, said: str) -> None:
    assert right in ENCODER
    done = check(ENCODER.replace(right, wrong), "colours")
    assert done.exit_code == 4
    (line,) = done.stdout.splitlines()
    assert line.startswith("encoder colours: error: ") and said in line


def test_an_encoder_that_wants_an_argument_is_fine(check: Callable[[str, str], Any]) -> None:
    text = ENCODER.replace("        pass", '        raise UsageError("say which")')
    done = check(text.replace('modality="image",', 'modality="image", argument="which",'), "colours")
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "encoder colours: ok, but wants an argument: say which")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("(Strategy)", "(Predictor)", "Median is no xm.Strategy"),
        ("def build", "def bild", "Median does not write build(self, context)"),
        ("(self, context)", "(self)", "Median.build(self) does not take what it is called with: self, context"),
        (
            "    def build",
            "    config_type = dict\n    def build",
            "Median.config_type is <class 'dict'>: derive a class",
        ),
    ],
)
def test_mistakes_of_strategies(check: Callable[[str, str], Any], right: str, wrong: str, said: str) -> None:
    done = check(STRATEGY.replace(right, wrong), "median")
    assert done.exit_code == 4
    assert done.stdout.startswith(f"strategy median: error: {said}")
    assert len(done.stdout.splitlines()) == 1


def test_mistakes_of_other_kinds(check: Callable[[str, str], Any]) -> None:
    for name, said in [
        ("rule", "predictor rule: error: Rule.scope is 'all', not 'item' or 'set'"),
        ("map", "aligner map: error: Map does not write restore"),
        ("loss", "objective loss: error: loss(logits, labels) does not take what it is called with: logits, labels, w"),
        ("distance", "objective distance: error: Distance is an objective of pairs: say so in its spec, pairs=True"),
        ("unwritten", "objective unwritten: error: Unwritten does not write __call__"),
        ("short", "objective short: error: Short(logits, labels) does not take what it is called with: logits, labels"),
        ("data", "dataset data: error: open_it(source) does not take what it is called with: source, *, suffixes"),
        ("table", "tracker table: error: table() does not take what it is called with: the run's folder"),
        (
            "race",
            "benchmark race: error: bench(spec, settings) does not take what it is called with: spec, settings, p",
        ),
    ]:
        done = check(OTHERS, name)
        assert done.exit_code == 4
        assert done.stdout.startswith(said), done.stdout


def test_a_name_of_another_plugin_is_told(check: Callable[[str, str], Any]) -> None:
    done = check(STRATEGY.replace('"median"', '"linear"'), "linear")
    assert done.exit_code == 4
    first, second, _ = done.stdout.splitlines()
    assert first == "strategy linear: ok"
    assert second == "plugin own: error: strategy 'linear' is already registered by 'linear'; choose another name"


def test_a_file_whose_hook_fails_is_told_where_a_name_is_unknown(check: Callable[[str, str], Any], xm: Xm) -> None:
    text = ENCODER.replace("[EncoderSpec", "EncoderSpec").replace(")]", ")")
    done = check(text, "colours")
    assert (done.exit_code, done.stderr) == (4, "error: own.py: encoders() must return a list, not an EncoderSpec\n")
    assert xm("plugins", "show", "colours").stderr == done.stderr
    done = check(ENCODER.replace("@hookimpl", ""), "colours")
    assert done.exit_code == 4
    assert "has a function named as a hook (encoders) but none marked @hookimpl" in done.stderr
