"""Settings of the benchmarks' approaches, each chosen on class splits of seeds 101 to 103 (docs/croma.md).

All take 600 gradient steps on each of their two losses, or 1,200 on their only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ALL: dict[str, Any] = {"objective": "nce", "iterations": 120, "inner_steps": 5}

TUNED: Mapping[str, Mapping[str, Any]] = {
    "pre-training": {**_ALL, "align_lr": 3e-4, "adapt_lr": 1e-3},
    "unsupervised-meta": {**_ALL, "epsilon": 1.0, "align_lr": 3e-3, "adapt_lr": 1e-3},
    "align-classify": {**_ALL, "align_lr": 6e-3, "scale": 20.0, "adapt_lr": 1e-3},
    "align-meta-classify": {
        **_ALL,
        "epsilon": 0.3,
        "align_lr": 3e-3,
        "classify_lr": 3e-4,
        "scale": 20.0,
        "adapt_lr": 3e-3,
    },
    "croma": {**_ALL, "epsilon": 0.5, "align_lr": 3e-3, "classify_lr": 1e-3, "align_ways": 8, "adapt_lr": 3e-3},
    "oracle": {**_ALL, "epsilon": 0.3, "classify_lr": 1e-3, "scale": 20.0, "adapt_lr": 3e-3},
}
"""By approach: what differs from the defaults."""

_PAIRS: dict[str, Any] = {**_ALL, "align_ways": 8}

RETRIEVAL: Mapping[int, Mapping[str, Mapping[str, Any]]] = {
    5: {
        "no-align": _PAIRS,
        "align-few": {**_PAIRS, "adapt_steps": 5, "adapt_lr": 1e-1},
        "align": {**_PAIRS, "align_lr": 3e-4, "adapt_steps": 5, "adapt_lr": 3e-2},
        "croma": {**_PAIRS, "align_lr": 1e-3, "adapt_steps": 5, "adapt_lr": 3e-2},
    },
    50: {
        "no-align": _PAIRS,
        "align-few": {**_PAIRS, "adapt_steps": 50, "adapt_lr": 1e-2},
        "align": {**_PAIRS, "align_lr": 3e-4, "adapt_steps": 50, "adapt_lr": 1e-2},
        "croma": {**_PAIRS, "align_lr": 3e-4, "adapt_steps": 50, "adapt_lr": 1e-2},
    },
}
"""Of `xm_aligners.croma.retrieval`, by gradient steps on the few pairs and by approach; 5 is the authors' default."""
