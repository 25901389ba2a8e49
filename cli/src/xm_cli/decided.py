"""What a model decided, class by class and item by item; for ``xm eval``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from xm_cli.tables import NEITHER, count, print_table

if TYPE_CHECKING:
    from xm.evaluation import ClassFigures, Decisions, Wrong

WIDEST = 12
"""Classes of a table of confusions; of more, what was confused is listed."""


@dataclass(frozen=True)
class Shown:
    """What is to be shown of decisions.

    Attributes:
        per_class: figures of each class.
        confusion: what was taken for what.
        wrong: the items that were wrong.
    """

    per_class: bool
    confusion: bool
    wrong: bool

    def plain(self, found: Sequence[Decisions]) -> dict[str, Any]:
        """For JSON; nothing if nothing is to be shown."""
        if not (self.per_class or self.confusion or self.wrong):
            return {}
        return {"decisions": [self._plain(decided) for decided in found]}

    def _plain(self, decided: Decisions) -> dict[str, Any]:
        from xm.data import item_name

        said: dict[str, Any] = {"model": decided.result.model}
        if self.per_class:
            said["classes"] = [asdict(figures) for figures in decided.per_class()]
        if self.confusion:
            counts = decided.confusion().tolist()
            said["confusion"] = {"classes": [*decided.classes, None], "counts": counts}
        if self.wrong:
            said["wrong"] = [
                {**asdict(one), "item": one.item if isinstance(one.item, str) else item_name(one.item)}
                for one in decided.wrong()
            ]
        return said

    def print(self, found: Sequence[Decisions]) -> None:
        """Tables, below each other."""
        for decided in found:
            of = f" ({decided.result.model})" if len(found) > 1 else ""
            if self.per_class:
                print(f"\nEach class, in %{of}:\n")
                headers = ["class", "precision", "recall", "F1", "items", "taken for it"]
                print_table(headers, [_figures(one) for one in decided.per_class()], right=range(1, len(headers)))
            if self.confusion:
                _print_confusion(decided, of)
            if self.wrong:
                _print_wrong(decided.wrong(), len(decided.labels), of)


def _figures(one: ClassFigures) -> list[str]:
    parts = (f"{100 * part:.1f}" for part in (one.precision, one.recall, one.f1))
    return [one.name, *parts, str(one.n), str(one.predicted)]


def _print_confusion(decided: Decisions, of: str) -> None:
    counts, names = decided.confusion(), [*decided.classes, NEITHER]
    shown = decided.occurring
    columns = [*shown, *([len(names) - 1] if counts[:, -1].any() else [])]
    if len(shown) <= WIDEST:
        print(f"\nItems of a class (rows) by what they were taken for{of}:\n")
        headers = ["", *(names[k] for k in columns)]
        rows = [[names[i], *(str(counts[i, k]) for k in columns)] for i in shown]
        print_table(headers, rows, right=range(1, len(headers)))
        return
    print(f"\nWhat was taken for something else{of}:\n")
    pairs = sorted(_confused(decided), key=lambda pair: -pair[2])
    rows = [[names[i], names[k], str(n)] for i, k, n in pairs]
    print_table(["class", "taken for", "items"], rows, right=(2,))


def _confused(decided: Decisions) -> Iterator[tuple[int, int, int]]:
    for i, row in enumerate(decided.confusion().tolist()):
        for k, n in enumerate(row):
            if n and i != k:
                yield i, k, n


def _print_wrong(wrong: Sequence[Wrong], n: int, of: str) -> None:
    from xm.data import item_name

    print(f"\n{count(len(wrong), 'item')} of {n} wrong{of}" + (":\n" if wrong else "."))
    if not wrong:
        return
    sure = any(one.probability is not None for one in wrong)
    rows = [
        [item_name(one.item), one.label, one.predicted or NEITHER, *([_percent(one.probability)] if sure else [])]
        for one in wrong
    ]
    print_table(
        ["item", "class", "taken for", *(["probability in %"] if sure else [])], rows, right=(3,) if sure else ()
    )


def _percent(chance: float | None) -> str:
    return "" if chance is None else f"{100 * chance:.1f}"
