"""What a suite of strategies stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor, nn

from xm.learning.context import Context, adapt
from xm.learning.strategy import Strategy, make_strategy
from xm.learning.stream import Stream
from xm.plugins.plugin_manager import manager
from xm.plugins.specs import StrategySpec
from xm.testing import synthetic as synthetic

AUX = ((), synthetic.AUXILIARY[:1], synthetic.AUXILIARY)
"""Uni-modal, with names, and with names and another modality."""


class StrategySuite:
    """The settings, contexts and models of a suite."""

    settings: ClassVar[Mapping[str, Any]] = {}
    semantics: ClassVar[Mapping[str, Literal["texts", "matrix", "triples"]]] = {}

    @pytest.fixture
    def spec(self) -> StrategySpec:
        raise NotImplementedError("give a fixture `spec` that returns the StrategySpec")

    def make(self, spec: StrategySpec) -> Strategy:
        """A new strategy with the suite's settings."""
        return make_strategy(spec, self.settings, manager())

    def context(self, spec: StrategySpec, aux: tuple[str, ...] = AUX[1], **more: Any) -> Context:
        """A new context, with samples of the target if the strategy needs them. No modality at all: skipped."""
        if not spec.needs_target and not aux:
            pytest.skip("a strategy without samples of the target needs an auxiliary modality")
        depths, readings = self.depths(spec, aux), self.make(spec).readings(synthetic.TARGET, aux)
        given = {"target": spec.needs_target, "unlabelled": spec.needs_unlabelled, "readings": readings, **more}
        return synthetic.context(aux, depths=depths, semantics=self.semantics, **given)

    def depths(self, spec: StrategySpec, aux: tuple[str, ...]) -> Mapping[str, int]:
        """How deep the strategy opens encoders."""
        return self.make(spec).depths(synthetic.TARGET, aux, synthetic.NAMES)

    def held_out(self, spec: StrategySpec, aux: tuple[str, ...] = AUX[1]) -> Stream:
        """Trunk outputs of the target that no context holds, with the strategy's readings: 200 samples."""
        return synthetic.also(synthetic.held_out(), self.make(spec).readings(synthetic.TARGET, aux))

    def adapted(self, spec: StrategySpec, context: Context) -> nn.Module:
        return adapt(self.make(spec), context)


def logits_of(model: nn.Module, stream: Stream) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(stream)
    return logits


def labels_of(stream: Stream) -> Tensor:
    assert stream.y is not None
    return stream.y
