"""Whether what a reader of data opens is a dataset that can be learned from."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from typing import Any

from xm.data.content import item_name
from xm.data.types import Dataset, Sample
from xm.plugins.blame import fault
from xm.plugins.specs import DatasetSpec


def checked(found: Any, spec: DatasetSpec) -> Dataset:
    """The dataset, whose classes, samples, labels, splits and modalities were looked at.

    Two classes may have one name (`xm.data.naming.unique` tells them apart); a split may be any word.

    Raises:
        PluginError: that names the plugin, the reader, and the first thing that is not as it must be.
    """
    if not isinstance(found, Dataset):
        raise fault(spec, f"gives {type(found).__name__}, not an xm.Dataset")
    if amiss := _amiss(found):
        raise fault(spec, f"gives a dataset that is not sound: {amiss}")
    return found


def _amiss(found: Dataset) -> str:
    for name, values in {"classes": found.classes, "templates": found.templates, "notes": found.notes}.items():
        if isinstance(values, str) or not all(isinstance(value, str) for value in values):
            return f"{name} are not a tuple of texts"
    empty = [number for number, name in enumerate(found.classes) if not name.strip()]
    if empty:
        return f"class {empty[0]} has an empty name"
    drawn = [samples for draw in found.draws.values() for samples in draw.values()]
    for samples in (found.samples, found.names, *found.auxiliary.values(), *drawn):
        if amiss := _first(samples, len(found.classes)):
            return amiss
    unlabelled = [sample for sample in found.names if sample.label is None]
    return f"the class name {item_name(unlabelled[0].item)} has no label" if unlabelled else ""


def _first(samples: Iterable[Sample], classes: int) -> str:
    """What is wrong with the first sample of which anything is."""
    for number, sample in enumerate(samples):
        if not isinstance(sample, Sample):
            return f"sample {number} is of type {type(sample).__name__}, not an xm.Sample"
        label, place = sample.label, f"sample {number}"
        if not isinstance(sample.modality, str) or not sample.modality:
            return f"{place} has the modality {sample.modality!r}, where a word is wanted"
        if label is not None and (not isinstance(label, Integral) or isinstance(label, bool)):
            return f"{place} ({item_name(sample.item)}) has the label {label!r}, where a number from 0 is wanted"
        if label is not None and not 0 <= label < classes:
            return f"{place} ({item_name(sample.item)}) has the label {label}, and there are {classes} classes, from 0"
        for field, value in (("split", sample.split), ("group", sample.group), ("pair", sample.pair)):
            if value is not None and not isinstance(value, str):
                return f"{place} ({item_name(sample.item)}) has the {field} {value!r}, where a word is wanted"
    return ""
