"""The protocol: `xm.experiment.few_shot`, laid out by the language that was tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from xm import BenchmarkSpec
from xm.experiment import BenchReport, BenchSettings, BenchTable, few_shot
from xm.foundation import Listener, logged
from xm.plugins import PluginManager

ALL = "all"


@dataclass(frozen=True)
class ByLanguage(BenchReport):
    """A report whose table has a row for each strategy and language of test."""

    @property
    def tables(self) -> Sequence[BenchTable]:
        """Accuracies in %, mean ± standard deviation over seeds."""
        shots = sorted({one.shots for one in self.summary})
        cells = {
            (one.strategy, one.split, one.shots): f"{100 * one.mean:.1f} ± {100 * one.std:.1f}" for one in self.summary
        }
        keys = dict.fromkeys((strategy, split) for strategy, split, _ in cells)
        rows = [
            [strategy, _language(split), *(cells.get((strategy, split, k), "-") for k in shots)]
            for strategy, split in keys
        ]
        seeds = ", ".join(map(str, dict.fromkeys(result.seed for result in self.results)))
        title = (
            f"{self.name}: accuracy in % by language of test, mean and standard deviation over seeds {seeds}, by shots"
        )
        return [BenchTable(title, ["strategy", "tested in", *map(str, shots)], rows)]


def _language(split: str) -> str:
    return split.partition("=")[2] or ALL


def crosslingual(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> BenchReport:
    """All strategies, learned in one language, tested in each of several; see the plugin's README.

    Raises:
        XMError: as `few_shot` does.
    """
    made = few_shot(spec, settings, plugins, listener)
    return ByLanguage(**{field.name: getattr(made, field.name) for field in fields(made)})
