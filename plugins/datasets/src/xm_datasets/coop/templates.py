"""Sentences around class names, by the names that Lin et al. (CVPR 2023) gave the sets."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Any

from xm import Dataset
from xm_datasets.coop.records import Record

DEFAULT = "hand_crafted"

PLAIN = {"classname": ("{}",), "vanilla": ("a photo of a {}.",)}
"""The sets that are the same for every dataset."""


@cache
def _published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("xm_datasets.coop").joinpath("templates.json").read_text(encoding="utf-8"))
    return found


def template_sets(record: Record) -> dict[str, tuple[str, ...]]:
    """All sets of a dataset: ``classname``, ``vanilla``, ``hand_crafted`` (Tip-Adapter's choice) and ``mined``."""
    whose = record.templates or record.name
    return PLAIN | {name: tuple(_published()[name][whose]) for name in ("hand_crafted", "mined")}


def named(record: Record, dataset: Dataset) -> Dataset:
    """The dataset under its record's name, with its templates; hand-crafted ones are the default."""
    sets = template_sets(record)
    return replace(dataset, name=record.name, called=record.called, templates=sets[DEFAULT], template_sets=sets)
