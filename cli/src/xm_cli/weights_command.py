"""``xm weights``."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xm import UsageError
from xm.foundation import unknown
from xm.plugins import in_bytes
from xm_cli.options import Json
from xm_cli.progress import Teller
from xm_cli.tables import count, print_json, print_table, warn_of_plugins

if TYPE_CHECKING:
    from xm.plugins.hub_cache import Repository

DAY = 86_400

References = Annotated[
    list[str] | None,
    typer.Argument(metavar="ENCODER", help="As after --image-encoder: NAME or NAME:ARGUMENT.", show_default=False),
]


def list_(encoders: References = None, as_json: Json = False) -> None:
    """List pretrained weights: whether they are here, their size, licence and source, and the encoders that use them.

    Of the encoders named; else of all that can be used here, and what else the Hugging Face hub's cache holds.
    """
    warn_of_plugins()
    with Teller():
        from xm.encoders import pretrained

        found = pretrained(encoders or ())
    shown: list[dict[str, Any]] = [
        {
            "name": one.weights.name,
            "here": one.weights.here,
            "size": one.weights.size,
            "licence": one.weights.licence,
            "source": one.weights.source,
            "encoders": list(one.encoders),
            "files": [str(path) for path in one.weights.paths],
        }
        for one in found
    ]
    if as_json:
        print_json({"weights": shown})
        return
    if not shown:
        print("no pretrained weights" + (": these encoders have none" if encoders else " here"))
        return
    rows = [[str(w["name"]), "yes" if w["here"] else "no", *_told(w), ", ".join(w["encoders"]) or "-"] for w in shown]
    print_table(["weights", "here", "size", "licence", "source", "encoders"], rows, right=(2,))
    if absent := [w for w in shown if not w["here"] and w["encoders"]]:
        print(f"\nNot here: xm weights get {' '.join(w['encoders'][0] for w in absent)}")


def _told(weights: dict[str, Any]) -> list[str]:
    size = "?" if weights["size"] is None else in_bytes(weights["size"])
    return [size, weights["licence"] or "not stated", weights["source"]]


def get(
    encoders: Annotated[
        list[str],
        typer.Argument(metavar="ENCODER", help="As after --image-encoder: NAME or NAME:ARGUMENT.", show_default=False),
    ],
) -> None:
    """Download what encoders need, so that they work without network: weights, configuration, tokenizer.

    Size and licence are told before. Encoders of other modalities that share the weights are made ready too.
    """
    warn_of_plugins()
    with Teller() as teller:
        from xm.encoders import bring, pretrained

        for reference in encoders:
            brought = bring(reference, listener=teller)
            held = ", ".join(one.weights.name for one in pretrained((reference,))) or "it has no weights"
            print(f"{reference}: {'downloaded' if brought else 'is here'} ({held})")


def prune(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="ORG/NAME", help="Repositories to take away whole.", show_default=False),
    ] = None,
    days: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Take those away whole that were not read for so long.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it, without asking.")] = False,
) -> None:
    """Take weights out of the Hugging Face hub's cache, which other programs use too: it is shown and asked before.

    Without names and --days, only old revisions: those that no branch or tag of theirs points to any more. Weights
    that a package carries go with the package (pip uninstall).
    """
    from xm.plugins.hub_cache import delete, repositories

    chosen = _chosen({repo.name: repo for repo in repositories()}, names, days)
    commits = [commit for found in chosen.values() for commit in found]
    freed = delete(commits, dry=True)
    if not commits:
        print("nothing to take away")
        return
    for name, found in chosen.items():
        print(f"{name}: {count(len(found), 'revision')}")
    if not yes and not (sys.stdin.isatty() and typer.confirm(f"Free {in_bytes(freed)}?")):
        print(f"nothing was taken away; {in_bytes(freed)} would be free with --yes")
        return
    print(f"{in_bytes(delete(commits))} are free")


def _chosen(
    repositories: dict[str, Repository], names: list[str] | None, days: int | None
) -> dict[str, tuple[str, ...]]:
    """Commits to take away, by repository.

    Raises:
        UsageError: for a name that the cache does not hold, or names beside days.
    """
    if names and days is not None:
        raise UsageError("--days chooses repositories itself; take the names away, or --days")
    for name in names or ():
        if name not in repositories:
            raise unknown("repository in the cache", name, repositories, "xm weights list")
    if names:
        found = {name: repositories[name].commits for name in names}
    elif days is not None:
        before = time.time() - days * DAY
        found = {repo.name: repo.commits for repo in repositories.values() if repo.used < before}
    else:
        found = {repo.name: repo.old for repo in repositories.values()}
    return {name: commits for name, commits in found.items() if commits}
