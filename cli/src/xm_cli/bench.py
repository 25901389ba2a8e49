"""``xm bench``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from xm import BenchmarkSpec, UsageError
from xm.plugins import manager
from xm_cli.options import (
    Columns,
    Descriptions,
    DescriptionsAs,
    Encoders,
    Features,
    Reader,
    Templates,
    Unseen,
    Where,
    WithEncoders,
    source_of,
)
from xm_cli.progress import Teller
from xm_cli.tables import warn_of_plugins

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=WithEncoders)
def bench(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="A benchmark: see xm plugins list; or your own data.", show_default=False),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="A folder or file; else the dataset of the benchmark's name.")
    ] = None,
    features: Features = None,
    reader: Reader = None,
    columns: Columns = None,
    modality: Annotated[
        str | None, typer.Option("-m", "--modality", metavar="NAME", help="The target, of your own data.")
    ] = None,
    aux: Annotated[str | None, typer.Option(metavar="A,B", help="Auxiliary modalities, of your own data.")] = None,
    strategies: Annotated[
        str | None, typer.Option("--strategy", "--strategies", metavar="A,B", help="Which; else all that apply.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STRATEGY.NAME=VALUE", help="A strategy's own setting; repeatable."),
    ] = None,
    encoders: Encoders = None,
    templates: Templates = None,
    descriptions: Descriptions = None,
    descriptions_as: DescriptionsAs = None,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Instead of few-shot: base-to-new, cross-dataset, domains, or a plugin's."),
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="A,B", help="Other datasets that models are scored on: of cross-dataset.")
    ] = None,
    unseen: Unseen = None,
    where: Where = None,
    shots: Annotated[str | None, typer.Option(metavar="1,2,4", help="Samples per class of the target.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="1,2,3", help="Seeds of draws and fits.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A cut, as the benchmark says: mostly 2 shots and seed 1, if not named.")
    ] = False,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The runs' folder; those in it are not made again.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="The cache's folder.", envvar="XM_CACHE")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the tables in LaTeX, for booktabs.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV: a row for each cell, with mean, std and what they are over.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, on one line.")] = False,
) -> None:
    """Compare strategies on a benchmark's data: accuracy, differences and their intervals, label cost and time.

    Every strategy that applies runs on the same draws, with and without auxiliary modalities. Runs are kept in a
    folder, one a strategy; an interrupted benchmark goes on where it was. Your own data are a folder, a file or a
    dataset's name: xm bench photos --aux text. Under a name of your own results add up, call by call: xm bench mine
    --data photos --aux text --seeds 4,5.
    """
    forms = {"--markdown": markdown, "--latex": latex, "--csv": as_csv, "--json": as_json}
    if len(asked := [flag for flag, given in forms.items() if given]) > 1:
        raise UsageError(f"{' and '.join(asked)}: print one form at a time")
    if (reader or columns) and data is None and name not in manager().benchmarks:
        name, data = None, name
    data = source_of(data, features, reader, columns)
    given = {name.rstrip("_"): value for name, value in locals().items() if value is not None}
    from xm.experiment import BenchSettings
    from xm_cli.settings import parsed

    spec = manager().benchmarks.get(protocol or name or "") or BenchmarkSpec(name="", target="", modality="")
    cut = spec.quick if quick else {}
    flags = {**cut, **{n: v for n, v in given.items() if n in BenchSettings.model_fields}}
    settings = {n: parsed(n, value, "flag", BenchSettings) for n, value in flags.items()}
    warn_of_plugins()
    with Teller() as teller:
        import xm

        report = xm.bench(name, listener=teller, **settings)
    if as_json:
        print(json.dumps(report.to_json(), ensure_ascii=False, default=str))
    elif as_csv:
        from xm_cli.bench_forms import write_csv

        write_csv(report, sys.stdout)
    elif latex:
        from xm_cli.bench_forms import as_latex

        print("\n".join(as_latex(report)))
    else:
        from xm_cli.bench_tables import left_out, print_tables, tables

        folder = report.settings.get("out")
        below = [*left_out(report), *([f"Run folders: {folder}"] if folder and not markdown else ())]
        print_tables(tables(report), below, markdown)
