"""``xm train``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from xm_cli.options import (
    AlignerName,
    Columns,
    Descriptions,
    DescriptionsAs,
    Encoders,
    Features,
    Json,
    Reader,
    Templates,
    Unseen,
    Where,
    WithEncoders,
    source_of,
)
from xm_cli.progress import Teller
from xm_cli.tables import print_json, warn_of_plugins

NO_SETTINGS = ("features", "reader", "columns", "config", "print_config", "as_json")
"""Parameters that are no settings."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    cls=WithEncoders,
    epilog="Every setting is also a variable (XM_SHOTS=1,2) and a key of the file (shots = [1, 2]); flags go first, "
    "then variables. --print-config shows values and where they came from.",
)
def train(
    modality: Annotated[str | None, typer.Option("-m", "--modality", metavar="NAME", help="The target.")] = None,
    aux: Annotated[str | None, typer.Option(metavar="A,B", help="Auxiliary modalities; every subset is run.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="A dataset's name, a folder or a file; else the default data.")
    ] = None,
    features: Features = None,
    reader: Reader = None,
    columns: Columns = None,
    encoders: Encoders = None,
    strategy: Annotated[str | None, typer.Option(metavar="NAME", help="How to adapt.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="The strategy's own settings; repeatable. Values may be JSON."
        ),
    ] = None,
    baselines: Annotated[
        bool | None, typer.Option("--baselines/--no-baselines", help="Run the baseline strategies too, or not.")
    ] = None,
    aligner: AlignerName = None,
    aligner_set: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="The aligner's own settings; repeatable.")
    ] = None,
    objective: Annotated[str | None, typer.Option(metavar="NAME", help="What is minimised.")] = None,
    objective_set: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="The objective's own settings; repeatable.")
    ] = None,
    predictor: Annotated[str | None, typer.Option(metavar="NAME", help="The decision rule.")] = None,
    predictor_set: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="The predictor's own settings; repeatable.")
    ] = None,
    shots: Annotated[str | None, typer.Option(metavar="1,2,4", help="Samples per class of the target.")] = None,
    seeds: Annotated[str | None, typer.Option(metavar="1,2,3", help="Seeds of draws and fits.")] = None,
    aux_shots: Annotated[
        int | None, typer.Option(metavar="N", help="Per class and auxiliary modality; else as shots.")
    ] = None,
    val_shots: Annotated[
        int | None, typer.Option(metavar="N", help="Per class for val; else shots, at most 4.")
    ] = None,
    unseen: Unseen = None,
    label_noise: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of the target's labels in train and val, made wrong.")
    ] = None,
    unlabelled: Annotated[
        str | None,
        typer.Option(
            metavar="rest|split|DIR",
            help="Items to learn from without labels: what draws leave of train, the split 'unlabelled', or a folder.",
        ),
    ] = None,
    unlabelled_limit: Annotated[
        int | None, typer.Option(metavar="N", help="Unlabelled items per modality, at most.")
    ] = None,
    centre: Annotated[
        str | None,
        typer.Option(metavar="none|unlabelled", help="Free embeddings of their mean over unlabelled items."),
    ] = None,
    group_by: Annotated[
        str | None, typer.Option(metavar="REGEX", help="On the path: what it matches is not split.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(metavar="T,V,T", help="Train, val, test fractions where data have no splits.")
    ] = None,
    resplit: Annotated[
        bool | None, typer.Option("--resplit/--no-resplit", help="Draw splits anew for each seed, or once.")
    ] = None,
    templates: Templates = None,
    descriptions: Descriptions = None,
    descriptions_as: DescriptionsAs = None,
    semantics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE", help="What else is known of classes: texts, a matrix or triples; repeatable."
        ),
    ] = None,
    where: Where = None,
    views: Annotated[
        str | None, typer.Option(metavar="A,B", help="More views of the target's train items: flip, crop1, noise:0.1 …")
    ] = None,
    test_view: Annotated[
        str | None, typer.Option(metavar="A,B", help="Views of test that models are scored on too: noise, blur:2 …")
    ] = None,
    start: Annotated[
        list[Path] | None,
        typer.Option("--start", metavar="RUN", help="A run whose tuned encoders training starts from; repeatable."),
    ] = None,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="accuracy, balanced-accuracy or macro-f1.")] = None,
    trackers: Annotated[
        list[str] | None, typer.Option("--tracker", metavar="NAME", help="Listener to events; repeatable.")
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")] = None,
    precision: Annotated[str | None, typer.Option(metavar="NAME", help="float32, bfloat16 or float16.")] = None,
    on_error: Annotated[
        str | None, typer.Option(metavar="skip|fail", help="What an item that can't be read does.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder; else a new one below runs/.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="The cache's folder.")] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Settings as a file.")] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show each setting and where it came from, and exit.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a classifier of one modality with few samples of it and of others, and test it.

    Every subset of the auxiliary modalities is run, with every number of shots and every seed. Models and results go to
    a run folder.
    """
    given = {name.rstrip("_"): value for name, value in locals().items()}
    flags = {name: value for name, value in given.items() if name not in NO_SETTINGS}
    flags["data"] = source_of(data, features, reader, columns)
    from xm_cli.settings import gather, listing, resolve, values

    settings = gather(flags, os.environ, config)
    if print_config:
        _print_config(listing(settings), as_json)
        return
    strategy = resolve(settings).strategy  # what is wrong is told before torch is imported
    warn_of_plugins()
    with Teller() as teller:
        import xm

        report = xm.train(listener=teller, **values(settings))
    if as_json:
        print_json(report.to_json())
        return
    from xm_cli.results import print_report

    print_report(report, strategy)
    print(f"Run folder: {report.run}\nUse it:     xm predict {report.run} FILE")


def _print_config(settings: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json({name: {"value": s.value, "source": s.source} for name, s in settings.items()})
        return
    width = max(map(len, settings))
    for name, s in settings.items():
        print(f"{name:<{width}} = {json.dumps(s.value, ensure_ascii=False)}  ({s.source})")
