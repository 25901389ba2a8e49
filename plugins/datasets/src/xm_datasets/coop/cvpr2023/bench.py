"""The benchmark: `xm.bench` on each dataset of the eleven that is at hand, and their means."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from xm import BenchmarkSpec, DataError, UsageError
from xm.evaluation import Hits, Result
from xm.experiment import BenchReport, BenchSettings, bench, load, run_of
from xm.foundation import Event, Listener, logged, silent
from xm.plugins import PluginManager
from xm_datasets.coop.cvpr2023.intervals import Interval, accuracy, mean
from xm_datasets.coop.cvpr2023.published import DATASETS, gained, published
from xm_datasets.coop.cvpr2023.report import Cell, Figure, PaperReport, part
from xm_datasets.coop.draws import FOLDER, drawn
from xm_datasets.coop.place import VARIABLE, data_folder, looking_below, why_absent
from xm_datasets.coop.records import RECORDS

STRATEGIES = ("linear", "zero-shot")
"""Those that are run where the user names none."""

LIKE = ", ".join(f"{RECORDS[name].folder}/" for name in DATASETS[:2])


def cvpr2023(
    spec: BenchmarkSpec, settings: BenchSettings, plugins: PluginManager, listener: Listener = logged
) -> PaperReport:
    """The linear probe with and without text, and zero-shot, on the datasets below XM_DATA or `settings.data`.

    Each dataset is a benchmark of its own name (`xm.bench`), whose runs are in a folder of their own: that benchmark's,
    or one in `settings.out`. So what is finished is not made again. A dataset that is not there is left out, and told.

    Raises:
        UsageError: if no folder is named, or it is none.
        DataError: if none of the eleven datasets can be read below it.
        XMError: for what is wrong with settings or encoders.
    """
    folder = _folder(settings.data)
    given = {**spec.settings, "strategies": STRATEGIES, **_asked(settings)}
    with looking_below(folder):
        absent = {name: why for name in DATASETS if (why := why_absent(RECORDS[name])) is not None}
        there = [name for name in DATASETS if name not in absent]
        if not there:
            raise DataError(_none(folder, absent))
        for name, why in absent.items():
            if (folder / RECORDS[name].folder).is_dir():
                listener(Event("warning", {"message": f"{name} is left out: {why}"}))
        found: dict[str, BenchReport] = {}
        for done, name in enumerate(there, 1):
            listener(Event("note", {"message": f"{name}: dataset {done} of {len(there)}"}))
            out = settings.out and settings.out / name
            try:
                found[name] = bench(name, listener=listener, plugins=plugins, **given, **({"out": out} if out else {}))
            except DataError as error:
                absent[name] = str(error)
                listener(Event("warning", {"message": f"{name} is left out: {error}"}))
        if not found:
            raise DataError(next(absent[name] for name in there))
        own = {name: _without_a_draw(name, report) for name, report in found.items()}
    return _report(spec, settings, given, folder, found, {n: absent[n] for n in DATASETS if n in absent}, own, plugins)


def _folder(data: str | None) -> Path:
    """Where the datasets are."""
    named = data or os.environ.get(VARIABLE)
    if not named:
        raise UsageError(
            f"where are the datasets? name the folder that holds {LIKE}, …: --data DIR, or export {VARIABLE}=DIR"
        )
    folder = Path(named).expanduser()
    if not folder.is_dir():
        flag = "--data" if data else VARIABLE
        raise UsageError(f"{flag} {named}: no such folder; name the one that holds {LIKE}, …")
    return folder


def _none(folder: Path, absent: Mapping[str, str]) -> str:
    """Why there is nothing to run: what is wrong with the first dataset whose folder is there, or that none is."""
    begun = [name for name in absent if (folder / RECORDS[name].folder).is_dir()]
    if begun:
        return absent[begun[0]]
    return (
        f"{folder}: none of the eleven datasets is in it ({LIKE}, …); give the folder that holds them, as "
        f"{RECORDS[DATASETS[0]].url.partition('#')[0]} lays them out: --data DIR, or export {VARIABLE}=DIR"
    )


def _asked(settings: BenchSettings) -> dict[str, Any]:
    """What the user gave for every dataset; an empty list is not given."""
    given = settings.model_dump(include=settings.model_fields_set - {"data", "out", "modality", "aux"})
    return {name: value for name, value in given.items() if value not in (None, (), {})}


def _without_a_draw(name: str, report: BenchReport) -> bool:
    """Whether the dataset lacks a published draw for some of the shots and seeds."""
    there = drawn(data_folder(RECORDS[name]) / FOLDER)
    return any(r.shots and (r.shots, r.seed) not in there for r in report.results)


def _report(
    spec: BenchmarkSpec,
    settings: BenchSettings,
    given: Mapping[str, Any],
    folder: Path,
    found: Mapping[str, BenchReport],
    missing: Mapping[str, str],
    own: Mapping[str, bool],
    plugins: PluginManager,
) -> PaperReport:
    results = {name: [r for r in report.results if r.split == "test"] for name, report in found.items()}
    accuracies = {name: _accuracies(report, plugins) for name, report in found.items()}
    gains = {name: _gains(report) for name, report in found.items()}
    parts = [replace(r, split=part(n), record={"dataset": n, **r.record}) for n, rs in results.items() for r in rs]
    encoders = given["encoders"]
    used = {**settings.model_dump(mode="json"), **given, "data": str(folder), "datasets": list(found)}
    return PaperReport(
        name=spec.name,
        results=(*_means(list(results.values())), *parts),
        comparisons=tuple(replace(c, split=part(n)) for n, report in found.items() for c in report.comparisons),
        left_out={f"{s} on {n}": why for n, report in found.items() for s, why in report.left_out.items()},
        notes=tuple(dict.fromkeys(note for report in found.values() for note in report.notes)),
        settings={**used, "out": str(settings.out or Path("runs/bench"))},
        datasets=tuple(found),
        missing=missing,
        drawn_here=tuple(name for name, lacks in own.items() if lacks),
        as_published=spec.modality in encoders
        and {**spec.settings["encoders"], **encoders} == spec.settings["encoders"],
        means=tuple(Figure.of(c, mean(i), published(c[:2], c[2])) for c, i in _in_all(accuracies.values())),
        gains=tuple(Figure.of(c, mean(i), gained(c[:2], c[2])) for c, i in _in_all(gains.values())),
    )


def _in_all(found: Iterable[Mapping[Cell, Interval]]) -> Iterator[tuple[Cell, list[Interval]]]:
    """Cells that every dataset has, with their figures."""
    first, *others = found
    for cell in first:
        if all(cell in other for other in others):
            yield cell, [one[cell] for one in (first, *others)]


def _accuracies(report: BenchReport, plugins: PluginManager) -> dict[Cell, Interval]:
    """Each row's accuracy with its interval, from the decisions that the runs keep."""
    hits: dict[Cell, list[Hits]] = {}
    out = Path(report.settings["out"])
    tested = [r for r in report.results if r.split == "test"]
    folders = [run_of(out, r) for r in tested]
    runs = {folder: load(folder, plugins=plugins, listener=silent) for folder in dict.fromkeys(folders)}
    for r, folder in zip(tested, folders, strict=True):
        decided = runs[folder].tested(r.model)
        right = (decided.labels == decided.predicted).numpy()
        hits.setdefault((r.strategy, r.aux, r.shots), []).append(Hits(np.arange(len(right)), right))
    return {cell: accuracy(seeds) for cell, seeds in hits.items()}


def _gains(report: BenchReport) -> dict[Cell, Interval]:
    """What rows of the reference have more than its row of the target alone."""
    return {(c.strategy, c.aux, c.shots): Interval.of(c) for c in report.comparisons if c.strategy == c.against}


def _means(results: Sequence[Sequence[Result]]) -> Iterator[Result]:
    """Means over datasets, of every row and seed that all of them have."""
    cells: dict[tuple[str, tuple[str, ...], int, int], list[Result]] = {}
    for r in (r for listed in results for r in listed):
        cells.setdefault((r.strategy, r.aux, r.shots, r.seed), []).append(r)
    for found in cells.values():
        if len(found) == len(results):
            yield replace(
                found[0],
                value=fmean(r.value for r in found),
                n=sum(r.n for r in found),
                val=None,
                labels={split: sum(r.labels.get(split, 0) for r in found) for split in found[0].labels},
                model="",
                record={"datasets": len(found)},
                seconds=sum(r.seconds for r in found),
            )
