"""What a run is scored on again: the test items of its training, or other data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xm.data.content import item_name
from xm.data.contents import Contents
from xm.data.open import open_dataset
from xm.data.types import Dataset, Sample
from xm.experiment.settings import TrainSettings, split_as
from xm.foundation.errors import DataError, UnknownNameError, UsageError
from xm.foundation.events import Event, Listener
from xm.foundation.layout import INDEX
from xm.plugins.config import validated
from xm.plugins.plugin_manager import PluginManager


def scored(
    index: Mapping[str, Any],
    folder: Path,
    data: str | None,
    seed: int,
    plugins: PluginManager,
    cache: Path,
    listener: Listener,
    *,
    classes: Sequence[str] | None,
) -> tuple[list[Sample], tuple[str, ...]]:
    """The target's samples, labelled by the classes, and these.

    Args:
        index: of the run.
        folder: of the run, for messages.
        data: other data, of which test is scored, or all where there are no splits; None: the run's own.
        seed: of the draw whose test is meant.
        plugins: that open the data.
        cache: where data that are made are kept.
        listener: hears a warning where all is scored.
        classes: the run's, and new ones behind them; None: new ones are those of the data that the run lacks.

    Raises:
        DataError: if the run's own data are gone or have changed, or other data do not fit.
        UsageError: if no data are named to take new classes from.
    """
    target, known = str(index["settings"]["modality"]), tuple(index["classes"] if classes is None else classes)
    if data is None:
        if classes is None:
            raise UsageError("--add-class data: name the data with --data; the run's own hold its own classes")
        samples: Sequence[Sample] = _own(index, target, seed, plugins, cache)[1]
    else:
        dataset = open_dataset(data, plugins, cache)
        test = [sample for sample in dataset.samples if sample.split == "test"]
        if not test:
            text = f"{data} has no splits: all of it is scored, and what was trained on, if that is in it"
            listener(Event("warning", {"message": text}))
        samples = [sample for sample in test or dataset.samples if sample.modality == target]
        if not samples:
            held = ", ".join(sorted({sample.modality for sample in dataset.samples})) or "none"
            raise DataError(f"{data} holds no {target} to score (its modalities: {held})")
        if classes is None:
            known = (*known, *(name for name in dict.fromkeys(dataset.classes) if name not in known))
        samples = _labelled(samples, dataset, known, folder)
    return [sample for sample in samples if sample.label is not None], known


def items_of(index: Mapping[str, Any], seed: int, plugins: PluginManager, cache: Path) -> dict[int, Any]:
    """The test items of training, by their numbers in the dataset (`xm.foundation.layout.TESTED`).

    Raises:
        DataError: if the run's own data are gone or have changed.
    """
    dataset, test = _own(index, str(index["settings"]["modality"]), seed, plugins, cache)
    tested = {id(sample.item) for sample in test}
    return {number: sample.item for number, sample in enumerate(dataset.samples) if id(sample.item) in tested}


def _own(
    index: Mapping[str, Any], target: str, seed: int, plugins: PluginManager, cache: Path
) -> tuple[Dataset, list[Sample]]:
    """The data of training, and their test items, which are the same ones still.

    Raises:
        UnknownNameError: if they were a plugin's, by a name or by its reader, and no plugin has that here.
    """
    settings = index["settings"]
    place = index.get("place") or settings["data"]
    name = str(index.get("place") or "").partition(":")[0]
    if name and not Path(place).is_absolute() and name not in plugins.datasets:
        raise UnknownNameError(f"the data of training: no plugin has the dataset {name!r} here", "dataset", name)
    try:
        opened = open_dataset(place, plugins, cache)
    except (UsageError, DataError) as error:
        raise DataError(f"the data of training: {error}; name them with --data") from None
    dataset = split_as(opened, validated(TrainSettings, settings, INDEX), seed)
    labelled = (sample for sample in dataset.samples if sample.modality == target and sample.label is not None)
    test = [sample for sample in labelled if sample.split == "test"]
    then = index.get("tests", {}).get(str(seed))
    if then and then != Contents().of(test):
        raise DataError(
            f"{place or index['dataset']}: has changed since training, so that its test items are others, "
            "which may have been trained on; name a folder of new items with --data"
        )
    return opened, test


def _labelled(samples: Sequence[Sample], dataset: Dataset, classes: tuple[str, ...], folder: Path) -> list[Sample]:
    """Samples of other data, by the run's labels.

    Raises:
        DataError: if a class was not in training, or two have one name.
    """
    if dataset.classes == classes:
        return list(samples)
    counts = Counter(classes)
    twice = [name for name in dataset.classes if counts[name] > 1]
    if twice:
        raise DataError(f"two classes of the run are called {twice[0]!r}, so other data can't say which is meant")
    known = {name: label for label, name in enumerate(classes)}
    found = []
    for sample in samples:
        name = None if sample.label is None else dataset.classes[sample.label]
        if name is not None and name not in known:
            raise DataError(
                f"{item_name(sample.item)}: class {name!r} was not in training ({folder}); a model that can take new "
                "classes in does so with --add-class data"
            )
        found.append(sample if name is None else replace(sample, label=known[name]))
    return found
