"""What a run folder holds.

``xm.json`` says what was done, with which plugins, and what came out; ``maps/<modality>.safetensors`` are the ways into
the home space; ``shots-1/seed-1/image+text/model.safetensors`` are the models, a baseline's below
``baselines/<strategy>/``, with what each said of test beside it.
"""

from __future__ import annotations

from pathlib import Path

FORMAT = 1
"""Of ``xm.json``; a run of another format is refused."""

INDEX = "xm.json"
MODEL = "model.safetensors"
TESTED = "tested.safetensors"
"""What a model said of test: ``label``, ``predicted`` and ``item``, its number in the dataset; (n,) each. With unseen
classes also ``restricted``: what it predicted among the seen ones, or the unseen ones, whichever an item is of."""

ALIGNMENT = "alignment"
"""The kind of a run that ``xm align`` wrote; a run of ``xm train`` says none."""

RULE = "predictor.safetensors"
"""What a predictor knows of the classes; only of one that needs to know something. It is beside the model, or, where
one rule is for all of a run, in the run's own folder."""

CENTRES = "centres.safetensors"
"""What embeddings are freed of before a model sees them, by modality; only where that was asked for."""


LEARNED = "learned.safetensors"
"""By content, what a run learned from with labels: ``key`` (n, 16), keys of items; and rows of it, (m,) int32 each, of
train and val of each task, by "shots-1/seed-1", and under ``start`` of the runs that it started from."""


def start_file(modality: str, depth: int) -> Path:
    """What a run took over of another run's tower, by names of its tail's state, below the run's folder."""
    return Path("start") / f"{modality}-{'all' if depth < 0 else depth}.safetensors"


KEPT = ".kept"
"""In an unfinished run: what each finished cell came to. `xm train` goes on with these cells, and removes it then."""

RESULTS = "results.json"
"""The results of a cell, a list; written last, so that a cell that has it is whole."""

ROWS = "rows.safetensors"
"""Of each of these results, which of the decisions on test it counts."""


def map_file(modality: str) -> Path:
    """Where the map of a modality is, below the run's folder."""
    return Path("maps") / f"{modality}.safetensors"
