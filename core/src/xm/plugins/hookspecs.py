"""The hooks. A plugin implements any of them as a plain function marked with `xm.hookimpl`.

Every hook takes no argument and returns a list of specs. It is called once, when a name is first looked up;
it must import nothing heavy (no torch, no numpy, no pydantic).
"""

from __future__ import annotations

import pluggy

from xm.plugins.specs import (
    AlignerSpec,
    BenchmarkSpec,
    CommandSpec,
    DatasetSpec,
    EncoderSpec,
    ObjectiveSpec,
    PredictorSpec,
    Spec,
    StrategySpec,
    TrackerSpec,
    ViewSpec,
)

hookspec = pluggy.HookspecMarker("xm")
hookimpl = pluggy.HookimplMarker("xm")


class Hooks:
    """The hooks' signatures; docs/plugins.md has one example of each."""

    @hookspec
    def encoders(self) -> list[EncoderSpec]:  # type: ignore[empty-body]
        """Encoders: items of one modality to unit vectors in a named space."""

    @hookspec
    def strategies(self) -> list[StrategySpec]:  # type: ignore[empty-body]
        """Adaptation strategies: how a classifier is made from few samples of several modalities."""

    @hookspec
    def aligners(self) -> list[AlignerSpec]:  # type: ignore[empty-body]
        """Aligners: maps from one embedding space into another."""

    @hookspec
    def objectives(self) -> list[ObjectiveSpec]:  # type: ignore[empty-body]
        """Objectives: losses that a strategy can be asked to minimise."""

    @hookspec
    def datasets(self) -> list[DatasetSpec]:  # type: ignore[empty-body]
        """Datasets, and readers of a user's own data."""

    @hookspec
    def predictors(self) -> list[PredictorSpec]:  # type: ignore[empty-body]
        """Predictors: decision rules over a fitted model."""

    @hookspec
    def views(self) -> list[ViewSpec]:  # type: ignore[empty-body]
        """Views: other ways to see an item, for training, for testing and at test time."""

    @hookspec
    def trackers(self) -> list[TrackerSpec]:  # type: ignore[empty-body]
        """Trackers: listeners to the events of a run."""

    @hookspec
    def benchmarks(self) -> list[BenchmarkSpec]:  # type: ignore[empty-body]
        """Benchmarks: protocols that compare methods, for ``xm bench``."""

    @hookspec
    def commands(self) -> list[CommandSpec]:  # type: ignore[empty-body]
        """Commands added to the program `xm`."""


KINDS: dict[str, tuple[str, type[Spec]]] = {
    "encoders": ("encoder", EncoderSpec),
    "strategies": ("strategy", StrategySpec),
    "aligners": ("aligner", AlignerSpec),
    "objectives": ("objective", ObjectiveSpec),
    "datasets": ("dataset", DatasetSpec),
    "predictors": ("predictor", PredictorSpec),
    "views": ("view", ViewSpec),
    "trackers": ("tracker", TrackerSpec),
    "benchmarks": ("benchmark", BenchmarkSpec),
    "commands": ("command", CommandSpec),
}
"""By hook: what its specs are, in a word, and their type."""
