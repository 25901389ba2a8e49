"""``xm align``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xm_cli.options import Columns, Encoders, Json, Reader, WithEncoders, source_of
from xm_cli.progress import Teller
from xm_cli.results import figure
from xm_cli.tables import print_json, print_table, warn_of_plugins

if TYPE_CHECKING:
    from xm.alignment import AlignReport, Diagnosis, Look

NO_SETTINGS = ("as_json", "reader", "columns")
"""Parameters that are no settings."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(cls=WithEncoders)
def align(
    anchor: Annotated[
        str, typer.Option(metavar="NAME", help="The modality whose space the others come into.", show_default=False)
    ],
    new: Annotated[str, typer.Option(metavar="A,B", help="The modalities that come there.", show_default=False)],
    pairs: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|weak|stems|own",
            help="A table of two columns; a label or tag in common; equal file names; else as the data say.",
        ),
    ] = None,
    partners: Annotated[
        int | None, typer.Option(metavar="N", help="Weak pairs of an item, of all it could have; else 4.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="A dataset's name, a folder or a file; else the default data.")
    ] = None,
    reader: Reader = None,
    columns: Columns = None,
    encoders: Encoders = None,
    aligner: Annotated[str | None, typer.Option(metavar="NAME", help="How; else the first that applies.")] = None,
    aligner_set: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="The aligner's own settings; repeatable.")
    ] = None,
    objective: Annotated[str | None, typer.Option(metavar="NAME", help="What the aligner minimises.")] = None,
    holdout: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Pairs that are looked at, not learned from; else 0.2.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of whatever is drawn; else 1.")] = None,
    device: Annotated[str | None, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The run's folder; else a new one below runs/.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(metavar="DIR", help="The cache's folder.", envvar="XM_CACHE")] = None,
    as_json: Json = False,
) -> None:
    """Bring encoders that share no space into one, and save them as encoders.

    The run's folder can be named wherever an encoder is asked for. An interrupted alignment goes on where it was, if
    the same command is given again.
    """
    data = source_of(data, reader=reader, columns=columns)
    given = {name: value for name, value in locals().items() if value is not None and name not in NO_SETTINGS}
    from xm.alignment import AlignSettings
    from xm_cli.settings import parsed

    settings = {name: parsed(name, value, "flag", AlignSettings) for name, value in given.items()}
    warn_of_plugins()
    with Teller() as teller:
        import xm

        report = xm.align(listener=teller, **settings)
    if as_json:
        print_json(report.to_json())
        return
    _print(report)


def _print(report: AlignReport) -> None:
    for diagnosis in report.diagnoses:
        how = "held out" if diagnosis.held_out else "learned from"
        print(f"{diagnosis.modality} and {report.anchor}, on {diagnosis.pairs} pairs that were {how}:\n")
        print_table(["", "before", "after"], list(_rows(report.anchor, diagnosis)), right=(1, 2))
        print()
    if report.probe is not None:
        print(_probe(report))
    print(f"Run folder: {report.run}")
    for modality in report.ways:
        print(f"Use it:     --{modality}-encoder {report.run}")


def _rows(anchor: str, diagnosis: Diagnosis) -> list[list[str]]:
    """A row for each figure of the two looks."""

    def figures(look: Look) -> dict[str, str]:
        named: dict[str, str] = {}
        for way, found in (
            (f"{diagnosis.modality} to {anchor}", look.found),
            (f"{anchor} to {diagnosis.modality}", look.finds),
        ):
            named |= {
                f"R@{k} in %, {way}": figure(value, 0, 1)
                for k, value in ((1, found.r1), (5, found.r5), (10, found.r10))
            }
            named[f"median rank of {found.n}, {way}"] = f"{found.median_rank:g}"
        return named | {
            "cosine distance of pairs": f"{look.found.cosine:.3f}",
            "modality gap": f"{look.geometry.gap:.3f}",
            "alignment": f"{look.geometry.alignment:.3f}",
            f"uniformity of {diagnosis.modality}": f"{look.geometry.uniformity_source:.3f}",
            f"uniformity of {anchor}": f"{look.geometry.uniformity_target:.3f}",
        }

    before, after = figures(diagnosis.before), figures(diagnosis.after)
    return [[name, before[name], after[name]] for name in before]


def _probe(report: AlignReport) -> str:
    probe = report.probe
    assert probe is not None
    what = f"A probe on {report.anchor} alone ({probe.n} items, {probe.classes} classes, cross-validated)"
    if probe.after is None:
        return f"{what}: {figure(probe.before, 0, 1)} %, as before: {report.anchor} was not moved."
    verdict = "; the alignment hurts it" if probe.hurt else ""
    return f"{what}: {figure(probe.before, 0, 1)} % before, {figure(probe.after, 0, 1)} % after{verdict}."
