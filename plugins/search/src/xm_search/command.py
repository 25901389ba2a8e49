"""``xm search``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xm import UsageError
from xm.plugins import manager
from xm_cli import (
    Columns,
    Device,
    Encoders,
    Json,
    Reader,
    Teller,
    WithEncoders,
    count,
    made_with,
    print_json,
    print_table,
    references,
    source_of,
    warn_of_plugins,
)

if TYPE_CHECKING:
    from xm_search.building import Hit, Index

building = typer.Typer(add_completion=False, rich_markup_mode=None)
finding = typer.Typer(add_completion=False, rich_markup_mode=None)


@building.command(cls=WithEncoders)
def build(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A folder; or a dataset's name or file.", show_default=False)
    ],
    modality: Annotated[
        str, typer.Option("-m", "--modality", metavar="NAME", help="Of the items.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The index, a new folder.", show_default=False)],
    reader: Reader = None,
    columns: Columns = None,
    encoders: Encoders = None,
    device: Device = "auto",
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="The cache's folder.", envvar="XM_CACHE")] = None,
    as_json: Json = False,
) -> None:
    """Make an index over the items of one modality.

    Of a folder, the files at any depth whose suffix is of the modality. Items that can't be read are left out with a
    warning. Files are kept by their paths relative to the index: move them together.
    """
    named = references(encoders)
    others = sorted(named.keys() - {modality})
    if others:
        raise UsageError(f"--{others[0]}-encoder: the index is of {modality}; name another encoder when you search")
    warn_of_plugins()
    with Teller() as teller:
        from xm_search.building import build as build_index

        index = build_index(
            source_of(source, None, reader, columns) or source,
            modality=modality,
            out=out,
            encoder=named.get(modality),
            device=device,
            cache=cache,
            listener=teller,
        )
    if as_json:
        print_json({"index": str(out), "items": len(index), **{k: v for k, v in index.about.items() if k != "items"}})
        return
    about = index.about
    print(f"Index:  {out}: {count(len(index), f'{modality} item')}, {about['dim']} dimensions, space {about['space']}")
    print(f"Ask it: xm search find {out} FILE")


@finding.command(cls=WithEncoders)
def find(
    folder: Annotated[Path, typer.Argument(metavar="INDEX", help="The index.", show_default=False)],
    queries: Annotated[list[str], typer.Argument(metavar="QUERY", help="Files, or words.", show_default=False)],
    modality: Annotated[
        str | None, typer.Option("-m", "--modality", metavar="NAME", help="Of the queries; else by suffix, or words.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Items shown per query.")] = 5,
    encoders: Encoders = None,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a query, each on its line.")] = False,
) -> None:
    """Find the items of an index that are nearest to a file or to words; the score is their cosine.

    What ends with a suffix that an encoder reads is a file, and so is any file if --modality is given; all else is
    words. A query's encoder is the one that shares the index's space, if it is not named; one of
    another space is brought there where that takes no pairs.
    """
    warn_of_plugins()
    named = references(encoders)
    asked = [_query(text, modality) for text in queries]
    with Teller() as teller:
        from xm_search.building import open_index

        index = open_index(folder, encoders=named, device=device, listener=teller)
        typed = {reference.partition(":")[0] for reference in named.values()}
        with made_with(folder, {}, f"search find {folder} …", typed):
            found = index.find(asked, k=k, modality=modality)
    for text, hits in zip(queries, found, strict=True):
        if as_json:
            print(json.dumps({"query": text, "results": [_plain(hit) for hit in hits]}, ensure_ascii=False))
        else:
            _print(text, hits, index, alone=len(queries) == 1)


def _query(text: str, modality: str | None) -> Path | str:
    """A file, or words.

    Raises:
        DataError: if it ends like a file, and there is none.
        UsageError: if it is a folder.
    """
    from xm.data import missing, modality_of

    path = Path(text).expanduser()
    if modality_of(path.name, manager().suffixes()) is not None:
        if not path.is_file():
            raise missing(path, "file")
        return path
    if _is(path.is_dir) and (modality is None or len(path.parts) > 1):
        words = "" if len(path.parts) > 1 else "; if it is a word, say of what kind: --modality NAME"
        raise UsageError(f"{text}: is a folder; name the files in it to ask for, such as {path / '*'}{words}")
    return path if modality is not None and _is(path.is_file) else text


def _is(asked: Callable[[], bool]) -> bool:
    try:
        return asked()
    except (OSError, ValueError):  # words too long for a name, or that can't be one
        return False


def _plain(hit: Hit) -> dict[str, Any]:
    return {"rank": hit.rank, "score": round(hit.score, 6), "item": str(hit.item)}


def _print(query: str, hits: Sequence[Hit], index: Index, *, alone: bool) -> None:
    if not alone:
        print(f"{query}\n")
    rows = [[str(hit.rank), f"{hit.score:.3f}", str(hit.item)] for hit in hits]
    print_table(["rank", "score", index.modality], rows, right=(0, 1))
    if not alone:
        print()
