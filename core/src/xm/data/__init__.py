"""Data: samples, datasets, readers, splits and few-shot tasks."""

from xm.data.types import SPLITS, Dataset, Opener, Sample

__all__ = ["SPLITS", "Dataset", "Opener", "Sample"]
