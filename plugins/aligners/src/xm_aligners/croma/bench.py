"""The benchmarks `croma`, `croma-noise` and `croma-pairs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xm import BenchmarkSpec
from xm.experiment import BenchReport, BenchSettings
from xm.foundation import Event, Listener, logged
from xm.plugins import PluginManager
from xm_aligners.croma.approaches import APPROACHES
from xm_aligners.croma.protocol import Protocol

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Of wrong labels, and of wrong pairs."""

COUNTS = (1, 2, 5, 10, 20, 60)
"""Of pairs of each class."""


@dataclass(frozen=True)
class Variant:
    """One way to draw tasks.

    Attributes:
        name: follows the approach's in tables; "" for none.
        task: settings of the draw.
    """

    name: str = ""
    task: Mapping[str, Any] = field(default_factory=dict)


def croma(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """CroMA, its baselines and the oracle, on every task (Liang et al., 2021, table 2)."""
    return _run(spec, settings, plugins, listener, tuple(APPROACHES), (Variant(),))


def noise(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """A share of the few-shot labels is wrong (the paper's figure on noisy labels)."""
    variants = tuple(Variant(f"noise {share:g}", {"noise": share}) for share in SHARES)
    return _run(spec, settings, plugins, listener, ("croma", "oracle"), variants)


def pairs(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """Alignment against supervision: number and quality of the pairs (the paper's last figure).

    The oracle learns from the same target items, told what their partners are: as many labels as there are pairs, and
    as many wrong ones.
    """
    number = tuple(Variant(f"pairs {count}", {"pairs": count}) for count in COUNTS)
    quality = tuple(Variant(f"wrong {share:g}", {"wrong": share}) for share in SHARES[1:])
    return _run(spec, settings, plugins, listener, ("croma", "align-classify", "oracle"), (*number, *quality))


def _run(
    spec: BenchmarkSpec,
    settings: BenchSettings,
    plugins: PluginManager,
    listener: Listener,
    approaches: Sequence[str],
    variants: Sequence[Variant],
) -> BenchReport:
    protocol = Protocol(spec, settings, plugins, listener, approaches)
    notes = list(_told(protocol.notes, listener))
    results = [result for variant in variants for result in protocol.results(variant.name, variant.task)]
    comparisons = [found for variant in variants for found in protocol.comparisons(variant.name)]
    notes += _told([line for variant in variants for line in protocol.differences(variant.name)], listener)
    return BenchReport(
        spec.name, tuple(results), tuple(comparisons), {}, tuple(notes), settings.model_dump(mode="json")
    )


def _told(notes: Sequence[str], listener: Listener) -> Sequence[str]:
    """The notes, after the listener has heard them."""
    for note in notes:
        listener(Event("note", {"message": note}))
    return notes
