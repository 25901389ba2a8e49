"""Data: samples, datasets, readers, splits and few-shot tasks."""

from xm.data.content import content_key, item_name
from xm.data.splits import DEFAULT_FRACTIONS, group_by, split_dataset
from xm.data.task import Draws, Task
from xm.data.types import SPLITS, Dataset, Opener, Sample, View

__all__ = [
    "DEFAULT_FRACTIONS",
    "SPLITS",
    "Dataset",
    "Draws",
    "Opener",
    "Sample",
    "Task",
    "View",
    "content_key",
    "group_by",
    "item_name",
    "split_dataset",
]
