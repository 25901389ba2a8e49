"""What the user says of classes, put to what the data say."""

from __future__ import annotations

from dataclasses import replace

from xm.data.class_texts import file_in
from xm.data.semantics import described, read_descriptions, read_semantics
from xm.data.types import DESCRIPTIONS, Dataset
from xm.experiment.settings import TrainSettings
from xm.foundation.errors import UsageError


def with_semantics(dataset: Dataset, settings: TrainSettings) -> Dataset:
    """The dataset with the settings' descriptions and semantics, each with a note of what is in it.

    Raises:
        DataError: for a file that is missing, or does not fit the classes.
        UsageError: for descriptions, if the data bring their class names as samples.
    """
    read = {name: read_semantics(path, dataset.classes) for name, path in settings.semantics.items()}
    if settings.descriptions is not None:
        if dataset.names:
            raise UsageError(
                f"--descriptions: of no use, as {dataset.name} brings its class names as samples; take it away"
            )
        path = settings.descriptions.expanduser()
        file = file_in(path, (dataset.name, *dataset.called)) if path.is_dir() else path
        read[DESCRIPTIONS] = read_descriptions(file, dataset.classes)
    notes = tuple(described(name, found, dataset.classes) for name, found in read.items())
    return replace(
        dataset,
        semantics={**dataset.semantics, **read},
        described_as=settings.descriptions_as,
        described=dataset.described or settings.descriptions is not None,
        notes=(*dataset.notes, *notes),
    )
