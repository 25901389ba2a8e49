"""The settings of an experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from xm.data.splits import DEFAULT_FRACTIONS, group_by, split_dataset
from xm.data.types import DESCRIPTIONS, Dataset
from xm.data.unlabelled import LIMIT, NONE
from xm.data.where import Condition, restricted
from xm.evaluation.metrics import METRICS
from xm.foundation.errors import UsageError, unknown
from xm.plugins.config import Config


class TrainSettings(Config):
    """What ``xm train`` and `xm.train` take. Every field is a flag of the same name."""

    modality: str = Field(description="the target modality")
    aux: tuple[str, ...] = Field((), description="auxiliary modalities; every subset of them is run")
    data: str | None = Field(None, description="a dataset's name, a folder or a file; none: the default dataset")
    encoders: dict[str, str] = Field({}, description="modality to encoder, NAME or NAME:ARGUMENT")
    strategy: str = Field("linear", description="how to adapt")
    set: dict[str, Any] = Field({}, description="the strategy's own settings")
    baselines: bool = Field(True, description="run the baseline strategies too")
    aligner: str | None = Field(None, description="between spaces; none: the first that applies")
    objective: str = Field("cross-entropy", description="what is minimised")
    objective_set: dict[str, Any] = Field({}, description="the objective's own settings")
    aligner_set: dict[str, Any] = Field({}, description="the aligner's own settings")
    predictor: str | None = Field(None, description="the decision rule; none: the strategy's own, else argmax")
    predictor_set: dict[str, Any] = Field({}, description="the predictor's own settings")
    shots: tuple[int, ...] = Field((1, 2, 4, 8, 16), min_length=1, description="samples per class of the target")
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="of the draws")
    aux_shots: int | None = Field(None, ge=0, description="per class and auxiliary modality; none: as shots")
    val_shots: int | None = Field(None, ge=0, description="per class for val; none: shots, at most 4 (CoOp)")
    unseen: str | None = Field(
        None,
        description="classes without a sample of the target in train and val: half (the second), a number of them, or "
        "a file of their names",
    )
    label_noise: float = Field(0.0, ge=0, le=1, description="share of the target's labels made wrong, in train and val")
    unlabelled: str = Field(
        NONE, description="items to learn from without labels: rest (of train), split, or a folder; none"
    )
    unlabelled_limit: int = Field(LIMIT, gt=0, description="of unlabelled items, per modality")
    centre: Literal["none", "unlabelled"] = Field(
        "none", description="what embeddings are freed of: nothing, or their mean over unlabelled items"
    )
    group_by: str | None = Field(None, description="regular expression on the path: what must not be split")
    split: tuple[float, float, float] = Field(
        DEFAULT_FRACTIONS, description="train, val, test where the data have no splits (CoOp's)"
    )
    resplit: bool = Field(False, description="draw the splits anew for each seed; with groups, rotate them")
    templates: tuple[str, ...] = Field(
        (), description="sentences around a class name, or names of such (classname, or the dataset's); none: its own"
    )
    descriptions: Path | None = Field(
        None,
        description="texts by class name, which enter where class names do: JSON, a table class,text, or a folder of "
        "such by dataset",
    )
    descriptions_as: Literal["texts", "samples", "templates"] = Field(
        "texts",
        description="what descriptions are: texts, in train and in classifiers of names; samples, in train alone; "
        "templates, in classifiers of names alone",
    )
    semantics: dict[str, Path] = Field(
        {}, description="what else is known of classes, a file by name: texts, a matrix of attributes, or triples"
    )
    where: tuple[str, ...] = Field(
        (), description="conditions on the target's samples: train.NAME=VALUE[,VALUE], test.NAME=VALUE[,VALUE]"
    )
    views: tuple[str, ...] = Field((), description="of the target's train items, beside themselves: flip, crop1, crop2")
    test_view: tuple[str, ...] = Field((), description="views of test that models are scored on besides: noise, blur:2")
    start: tuple[Path, ...] = Field((), description="runs whose tuned encoders, or more, training goes on from")
    metric: str = Field("accuracy", description="accuracy, balanced-accuracy or macro-f1")
    trackers: tuple[str, ...] = Field(("jsonl",), description="listeners to the run's events")
    device: str = Field("auto", description="auto, cpu, cuda, mps")
    precision: Literal["float32", "bfloat16", "float16"] = Field("float32", description="of forward passes in training")
    on_error: Literal["skip", "fail"] = Field("skip", description="what an unreadable item does")
    out: Path | None = Field(None, description="the run's folder; none: a new one below runs/")
    cache: Path | None = Field(None, description="the cache's folder; none: XM_CACHE or the platform's")

    @model_validator(mode="after")
    def _check(self) -> Self:
        wrong = [*self._twice(), *self._templates(), *self._where()]
        if self.modality in self.aux:
            wrong.append(f"{self.modality} is the target; take it out of aux")
        if self.aligner_set and self.aligner is None:
            wrong.append("aligner_set is of use with a named aligner only; name it with --aligner")
        if self.centre == "unlabelled" and self.unlabelled == NONE:
            wrong.append("centre=unlabelled needs unlabelled items; say where they are: --unlabelled rest, or a folder")
        if min(self.shots) < 0:
            wrong.append("shots can't be negative")
        if not all(math.isfinite(part) for part in self.split):
            wrong.append("split needs three numbers")
        if self.metric not in METRICS:
            wrong.append(str(unknown("metric", self.metric, METRICS)))
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _twice(self) -> Iterator[str]:
        for name in ("aux", "shots", "seeds", "trackers", "views", "test_view"):
            values = getattr(self, name)
            repeated = [value for value in dict.fromkeys(values) if values.count(value) > 1]
            if repeated:
                yield f"{name} names {repeated[0]} twice"

    def _where(self) -> Iterator[str]:
        if self.descriptions and DESCRIPTIONS in self.semantics:
            yield f"--descriptions FILE and --semantics {DESCRIPTIONS}=FILE are the same; give one of them"
        if self.descriptions_as != "texts" and self.descriptions is None:
            yield f"descriptions_as={self.descriptions_as} is of descriptions: name them with --descriptions FILE"
        try:
            _ = self.conditions
        except UsageError as error:
            yield str(error)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Of `where`."""
        return tuple(Condition.parse(text) for text in self.where)

    def _templates(self) -> Iterator[str]:
        for template in self.templates:
            if template.replace("-", "_").isidentifier():
                continue  # a name
            try:
                fits = template.format("\0").count("\0") == 1
            except (IndexError, KeyError, ValueError):
                fits = False
            if not fits:
                yield f"template {template!r} needs one {{}}, for the class name, and no other braces"


def with_templates(dataset: Dataset, given: Sequence[str]) -> Dataset:
    """The dataset with other templates: sentences, or names of its `template_sets`; "classname" is the bare name.

    Raises:
        UsageError: for an unknown name, or if the data bring their class names as samples.
    """
    if given and dataset.names:
        raise UsageError(f"templates are of no use: {dataset.name} brings its class names; take --template away")
    known = {"classname": ("{}",), **dataset.template_sets}
    chosen: list[str] = []
    for template in given:
        if "{" not in template and template not in known:
            raise unknown("template", template, known)
        chosen += known.get(template, (template,))
    return replace(dataset, templates=tuple(dict.fromkeys(chosen)) or dataset.templates)


def split_as(dataset: Dataset, settings: TrainSettings, seed: int) -> Dataset:
    """The dataset with groups and splits as the settings want them for a seed, and what `where` leaves of the target.

    Seeds count from 1, splits from 0.
    """
    if settings.group_by:
        dataset = group_by(dataset, settings.group_by)
    dataset = split_dataset(dataset, fractions=settings.split, seed=seed - 1 if settings.resplit else 0)
    return restricted(dataset, settings.modality, settings.conditions)
