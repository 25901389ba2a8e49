"""``xm embed``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xm.plugins import manager
from xm_cli.options import Columns, Encoders, Json, Reader, WithEncoders, source_of
from xm_cli.progress import Teller
from xm_cli.tables import count, print_json, warn_of_plugins

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=WithEncoders)
def embed(
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="The bank, .safetensors; or .npz or .parquet.", show_default=False)
    ],
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="A dataset's name, a folder or a file; else the default data.")
    ] = None,
    modalities: Annotated[
        str | None, typer.Option("-m", "--modality", metavar="A,B", help="Which; else all that the data hold.")
    ] = None,
    reader: Reader = None,
    columns: Columns = None,
    encoders: Encoders = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Threads that read; else as many as processors, at most 8.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="float32, bfloat16, float16; or auto: the fastest here that is near enough."),
    ] = None,
    on_error: Annotated[
        str | None, typer.Option(metavar="skip|fail", help="What an item that can't be read does.")
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="The cache's folder.", envvar="XM_CACHE")] = None,
    as_json: Json = False,
) -> None:
    """Embed a whole dataset into a file that every command takes for its data; .parquet is for other programs.

    Embedding that was killed goes on where it was, if the same command is given again. Under torchrun the processes
    divide the items.
    """
    data = source_of(data, reader=reader, columns=columns)
    given = {k: v for k, v in locals().items() if v is not None and k not in ("as_json", "out", "reader", "columns")}
    from xm.encoders import EmbedSettings
    from xm_cli.settings import parsed

    settings = {name: parsed(name, value, "flag", EmbedSettings) for name, value in given.items()}
    warn_of_plugins()
    with Teller() as teller:
        import xm

        done = xm.embed(settings.pop("data", None), out, listener=teller, **settings)
    if as_json:
        print_json(done.to_json())
        return
    for name, rows in done.rows.items():
        print(f"{name}: {count(rows, 'row')}")
    rate = f", {done.embedded / done.seconds:.1f} a second" if done.embedded and done.seconds else ""
    print(
        f"{count(done.embedded, 'item')} embedded in {done.seconds:.1f} s{rate}; {len(done.failed)} could not be read"
    )
    print(f"Bank:   {out}")
    if any(out.name.lower().endswith(kind) for spec in manager().datasets.values() for kind in spec.opens):
        print(f"Use it: xm train --modality NAME --data {out}")
