"""``xm encoders``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xm.plugins import manager
from xm_cli.options import Columns, Encoders, Reader, Templates, WithEncoders, source_of
from xm_cli.progress import Teller
from xm_cli.results import NOTHING, figure, joined, row_label
from xm_cli.tables import warn_of_plugins

if TYPE_CHECKING:
    from xm.experiment import BenchTable, Compared, EncoderReport

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=WithEncoders)
def compare(
    modality: Annotated[
        str, typer.Option("-m", "--modality", metavar="NAME", help="The target, whose encoders are compared.")
    ],
    encoders: Annotated[str, typer.Option(metavar="A,B,C", help="Of the target: NAME or NAME:ARGUMENT each.")],
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="A dataset's name, a folder or a file; else the default data.")
    ] = None,
    reader: Reader = None,
    columns: Columns = None,
    aux: Annotated[str | None, typer.Option(metavar="A,B", help="Auxiliary modalities; zero-shot needs one.")] = None,
    aux_encoders: Encoders = None,
    strategy: Annotated[str | None, typer.Option(metavar="NAME", help="How to adapt.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STRATEGY.NAME=VALUE", help="A strategy's own setting; repeatable."),
    ] = None,
    templates: Templates = None,
    shots: Annotated[str | None, typer.Option(metavar="1,2,4", help="Samples per class of the target.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="1,2,3", help="Seeds of draws and fits.")] = None,
    items: Annotated[
        int | None, typer.Option(metavar="N", help="Test items on which seconds and memory are measured; 0: not.")
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The runs' folder; those in it are not made again.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="The cache's folder.", envvar="XM_CACHE")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on one line.")] = False,
) -> None:
    """Compare encoders on your data: few-shot accuracy, zero-shot, seconds and memory an item, with intervals.

    All train on the same draws. With --aux text there are zero-shot rows too. Memory is that of a process of its own.
    """
    data = source_of(data, reader=reader, columns=columns)
    given = {name.rstrip("_"): value for name, value in locals().items() if value is not None}
    from xm.experiment import CompareSettings
    from xm_cli.settings import parsed

    settings = {n: parsed(n, v, "flag", CompareSettings) for n, v in given.items() if n in CompareSettings.model_fields}
    warn_of_plugins()
    with Teller() as teller:
        import xm

        report = xm.compare_encoders(listener=teller, **settings)
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False, default=str))
        return
    from xm_cli.bench_tables import print_tables

    below = [f"Left out: {reference} ({why})" for reference, why in report.left_out.items()]
    below += [f"{one.encoder} was trained alone: {one.alone}" for one in report.encoders if one.alone]
    if not report.settings["aux"]:
        below.append("For zero-shot rows name an auxiliary modality whose encoder reads names: --aux text")
    print_tables(tables(report), below, markdown)


def tables(report: EncoderReport) -> list[BenchTable]:
    """What was reached and what it costs; then each encoder against the first."""
    found = [_reached(report)]
    differences = _differences(report)
    return [*found, differences] if differences.rows else found


def _reached(report: EncoderReport) -> BenchTable:
    from xm.experiment import BenchTable

    strategy, first = report.settings["strategy"], report.encoders[0].results[0]
    shots = sorted({s.shots for one in report.encoders for s in one.summary})
    rows = [
        [one.encoder, row_label(first.target, aux), *(cells.get(k, NOTHING) for k in shots), *cost]
        for one in report.encoders
        for cost in [_cost(one)]
        for aux, cells in _cells(one, strategy).items()
    ]
    seeds = sorted({r.seed for one in report.encoders for r in one.results})
    spread = f"mean and standard deviation over seeds {joined(seeds)}" if len(seeds) > 1 else f"seed {seeds[0]}"
    free = ", ".join(spec.name for spec in manager().strategies.values() if spec.baseline)
    title = (
        f"{report.name}: {first.metric} of {strategy} in % on {first.n} {first.target} items of test, {spread}, by "
        f"shots{f' (0: {free})' if 0 in shots else ''}"
    )
    below = "ms: an item, from file to vector. MB: of the process at most, and for each further item of a batch."
    headers = ["encoder", "learned from", *map(str, shots), "ms", "MB", "MB an item"]
    return BenchTable(title, headers, rows, below=[below])


def _cells(one: Compared, strategy: str) -> dict[tuple[str, ...], dict[int, str]]:
    """Figures by auxiliary modalities and shots; baselines stand at 0 shots."""
    found: dict[tuple[str, ...], dict[int, str]] = {}
    for s in sorted(one.summary, key=lambda s: (len(s.aux), s.aux)):
        if s.strategy == strategy or s.shots == 0:
            found.setdefault(s.aux, {}).setdefault(s.shots, figure(s.mean, s.std, s.seeds))
    return found


def _cost(one: Compared) -> list[str]:
    if one.cost is None:
        return [NOTHING] * 3
    return [f"{1000 * one.cost.seconds:.3g}", f"{one.cost.megabytes:.0f}", f"{one.cost.per_item:.1f}"]


def _differences(report: EncoderReport) -> BenchTable:
    from xm.experiment import BenchTable, points

    shots = sorted({c.shots for one in report.encoders for c in one.against_first})
    target = report.encoders[0].results[0].target
    rows = []
    for one in report.encoders:
        cells: dict[tuple[str, ...], dict[int, str]] = {}
        for c in sorted(one.against_first, key=lambda c: (len(c.aux), c.aux)):
            if c.strategy == report.settings["strategy"] or c.shots == 0:
                cells.setdefault(c.aux, {}).setdefault(c.shots, points(c))
        rows += [
            [one.encoder, row_label(target, aux), *(found.get(k, NOTHING) for k in shots)]
            for aux, found in cells.items()
        ]
    title = (
        f"Against {report.encoders[0].encoder}, in points, with 95 % intervals over seeds and test items; * where they "
        "do not hold zero"
    )
    return BenchTable(title, ["encoder", "learned from", *map(str, shots)], rows)
