"""Fitting all cells of an experiment: what is there already is taken up, the rest is shared among the processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TypeAlias

from xm.data.task import Task
from xm.evaluation.report import Result
from xm.evaluation.significance import Hits
from xm.experiment.cells import Cells
from xm.experiment.writer import RunWriter
from xm.foundation.distributed import gather, share, world
from xm.foundation.events import Event, Listener

Cell: TypeAlias = tuple[str, tuple[str, ...], int, int]
"""Strategy, auxiliary modalities, shots and seed of a model."""


def fit_all(
    cells: Cells,
    wanted: Sequence[Cell],
    tasks: Mapping[tuple[int, int], Task],
    writer: RunWriter,
    tell: Listener,
    listener: Listener,
) -> tuple[list[Result], dict[str, Hits]]:
    """The results of all cells, in order, and what their models had right, by what was `scored`.

    Args:
        cells: fits and tests a model.
        wanted: the cells.
        tasks: by shots and seed.
        writer: keeps what is finished.
        tell: hears of cells that are fitted now.
        listener: hears of those that were there before, too; trackers heard of them when they were made.
    """
    places = [writer.place(name, aux, tasks[shots, seed]) for name, aux, shots, seed in wanted]
    kept = writer.kept(places)
    found = {place: cell.results for place, cell in kept.items()}
    hits = {scored: hit for cell in kept.values() for scored, hit in cell.hits.items()}
    before = len(found)
    if found:
        tell(Event("note", {"message": f"going on: {before} of {len(places)} cells are there"}))
    for done, results in enumerate(found.values(), start=1):
        listener(_cell(results, done, len(places)))
    for done, i in enumerate(share([i for i, place in enumerate(places) if place not in kept]), start=1):
        (name, aux, shots, seed), place = wanted[i], places[i]
        tested = cells.fit(name, tasks[shots, seed], aux, place)
        found[place] = tested.results
        hits |= tested.hits
        writer.keep(tested)
        tell(_cell(found[place], min(before + done * world(), len(places)), len(places)))
    found = {place: results for part in gather(found) for place, results in part.items()}
    hits = {scored: hit for part in gather(hits) for scored, hit in part.items()}
    return [result for place in places for result in found[place]], hits


def _cell(results: Sequence[Result], done: int, total: int) -> Event:
    """What is told of a cell: its result on all of test."""
    return Event("cell", {"done": done, "total": total, **asdict(results[0])})
