"""A broken predictor does not get through the kit."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

from xm import PluginError, Predictor, PredictorSpec, Reading, Stream, UsageError
from xm.learning.model import class_means
from xm.plugins.config import Config
from xm.testing import PredictorConformance

Scope = Literal["item", "set"]


class Sound(Predictor):
    """The softmax, a little nearer to classes of like names; nothing is wrong with it."""

    def prepare(self, classes: Sequence[str], read_names: Callable[[], Stream | None]) -> Mapping[str, Tensor]:
        texts = read_names()
        if texts is None:
            return {"like": torch.eye(len(classes))}
        names = class_means(texts, len(classes))
        return {"like": 0.1 * (names @ names.T) + torch.eye(len(classes))}

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.no_grad():
            return (model(inputs).softmax(dim=1) @ self.tensors["like"]).softmax(dim=1)


class Logits(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with torch.no_grad():
            logits: Tensor = model(inputs)
        return logits - logits.amin(dim=1, keepdim=True)


class Negative(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        p = super().predict(model, inputs)
        return 10 * p - 9 / p.shape[1]


class Infinite(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        return super().predict(model, inputs) / 0


class Decisions(Sound):
    """Classes instead of probabilities."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        return super().predict(model, inputs).argmax(dim=1)


class Graph(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        logits: Tensor = model(inputs)
        return logits.softmax(dim=1)


class Wrong(Sound):
    """The least probable class."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        return (-super().predict(model, inputs)).softmax(dim=1)


class Batchwise(Sound):
    """Centres the items of a batch together, and says that it judges each alone."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        p = super().predict(model, inputs).log()
        return (p - p.mean(dim=0)).softmax(dim=1)


class Together(Batchwise):
    scope: ClassVar[Scope] = "set"


class Growing(Sound):
    """Remembers what it saw."""

    seen = 0.0

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        self.seen += len(inputs) / 1000
        return (super().predict(model, inputs).log() / (1 + self.seen)).softmax(dim=1)


class Peeking(Sound):
    """Reads the labels where there are some."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        p = super().predict(model, inputs)
        return p if inputs.y is None else torch.eye(p.shape[1])[inputs.y]


class Random(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        p = super().predict(model, inputs)
        return (p.log() + 0.01 * torch.randn_like(p)).softmax(dim=1)


class Threads(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().predict(model, inputs)


class Adapting(Sound):
    """Minimises the entropy, and does not clean up."""

    def entropy(self, model: nn.Module, inputs: Stream) -> None:
        p = model(inputs).softmax(dim=1)
        torch.special.entr(p).sum(dim=1).mean().backward()

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        self.entropy(model, inputs)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= 0.01 * parameter.grad
        model.zero_grad()
        return super().predict(model, inputs)


class Gradients(Adapting):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        self.entropy(model, inputs)
        return Sound.predict(self, model, inputs)


class Training(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        return super().predict(model.train(), inputs)


class Freezing(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        return super().predict(model.requires_grad_(False), inputs)


class InPlace(Sound):
    """Scales the inputs where they are."""

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        for value in inputs.x.values():
            value *= 2
        return super().predict(model, inputs)


class Restless(Sound):
    """Wants another reading each time."""

    asked = 0

    def readings(self, modality: str) -> Mapping[str, Reading]:
        Restless.asked += 1
        return {f"view {Restless.asked}": Reading(view="crop1")}


class Words(Sound):
    def readings(self, modality: str) -> Mapping[str, Any]:
        return {"mirror": "flip"}


class Overwriting(Sound):
    """Scales a reading where it is."""

    def readings(self, modality: str) -> Mapping[str, Reading]:
        return {"mirror": Reading(view="flip")}

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        for value in inputs.also["mirror"].values():
            value *= 2
        return super().predict(model, inputs)


class Forgetful(Sound):
    """Keeps to itself what a run should keep."""

    like: Tensor | None = None

    def prepare(self, classes: Sequence[str], read_names: Callable[[], Stream | None]) -> Mapping[str, Tensor]:
        self.like = super().prepare(classes, read_names)["like"].flip(0)
        return {}

    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        like = torch.eye(5) if self.like is None else self.like
        with torch.no_grad():
            return (model(inputs).softmax(dim=1) @ like).softmax(dim=1)


class Insisting(Sound):
    """Fails in its own way where no encoder reads names."""

    def prepare(self, classes: Sequence[str], read_names: Callable[[], Stream | None]) -> Mapping[str, Tensor]:
        assert read_names() is not None, "no names"
        return super().prepare(classes, read_names)


class Calling(Sound):
    def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
        with socket.socket() as connection:
            connection.connect(("localhost", 9))
        return super().predict(model, inputs)


class Unexplained(Sound):
    class Its(Config):
        power: float = Field(2.0)

    config_type: ClassVar[type[Config]] = Its


SUITE = PredictorConformance()
Check = Callable[[PredictorSpec], None]


def spec(predictor: type[Predictor]) -> PredictorSpec:
    return PredictorSpec(name=predictor.__name__.lower(), target=f"{__name__}:{predictor.__name__}")


def probabilities(given: PredictorSpec) -> None:
    SUITE.test_probabilities(given, 200)


CASES: list[tuple[type[Predictor], Check, str]] = [
    (Logits, probabilities, "sums"),
    (Negative, probabilities, "a probability is negative"),
    (Infinite, probabilities, "not finite"),
    (Decisions, probabilities, r"int64 \(200,\) for 200 items; probabilities \(n, classes\) are wanted"),
    (Graph, probabilities, "graph"),
    (Wrong, SUITE.test_beats_chance, "accuracy"),
    (Batchwise, SUITE.test_items_are_judged_alone, "not close"),
    (Growing, SUITE.test_items_are_judged_alone, "not close"),
    (Growing, SUITE.test_deterministic, "other probabilities"),
    (Peeking, SUITE.test_never_sees_labels, "labels change the probabilities"),
    (Random, SUITE.test_deterministic, "other probabilities"),
    (Random, SUITE.test_leaves_the_process_alone, "torch's random state"),
    (Threads, SUITE.test_leaves_the_process_alone, "torch's threads"),
    (Adapting, SUITE.test_leaves_the_model_alone, "weights were changed"),
    (Gradients, SUITE.test_leaves_the_model_alone, "gradients were left"),
    (Training, SUITE.test_leaves_the_model_alone, "training mode"),
    (Freezing, SUITE.test_leaves_the_model_alone, "can be trained"),
    (InPlace, SUITE.test_leaves_the_model_alone, "inputs were changed"),
    (Restless, SUITE.test_readings, "other readings each time"),
    (Words, SUITE.test_readings, "no readings"),
    (Overwriting, SUITE.test_leaves_the_model_alone, "readings were changed"),
    (Insisting, SUITE.test_without_names, "no names"),
    (Unexplained, SUITE.test_settings, "has no description"),
]


@pytest.mark.parametrize(("predictor", "check", "said"), CASES, ids=lambda part: getattr(part, "__name__", None))
def test_it_is_caught(predictor: type[Predictor], check: Check, said: str) -> None:
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]), pytest.raises((AssertionError, PluginError), match=said):
            check(spec(predictor))
    finally:
        torch.set_num_threads(threads)


def test_other_decisions_after_restoring_are_caught(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        SUITE.test_restore(spec(Forgetful), tmp_path)


@pytest.mark.parametrize("check", list(dict.fromkeys(check for _, check, _ in CASES)), ids=lambda c: c.__name__)
@pytest.mark.parametrize("predictor", (Sound, Together))
def test_a_sound_one_is_not(predictor: type[Predictor], check: Check) -> None:
    if predictor is Together and check == SUITE.test_items_are_judged_alone:
        with pytest.raises(pytest.skip.Exception, match="sees all items together"):
            check(spec(predictor))
    else:
        check(spec(predictor))


def test_a_sound_one_restores(tmp_path: Path) -> None:
    SUITE.test_restore(spec(Sound), tmp_path)


def test_a_predictor_that_is_not_registered_is_caught() -> None:
    with pytest.raises(AssertionError, match="unknown predictor 'sound'"):
        SUITE.test_registered_lazily(spec(Sound))


def test_connections_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="a network connection was opened"):
        SUITE.test_works_offline(spec(Calling), monkeypatch)


def test_settings_reach_the_predictor() -> None:
    class Sharp(PredictorConformance):
        settings: ClassVar[Mapping[str, Any]] = {"sharp": 2}

    with pytest.raises(UsageError, match="unknown setting 'sharp'"):
        Sharp().make(spec(Sound))
