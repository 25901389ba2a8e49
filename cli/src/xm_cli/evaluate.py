"""``xm eval``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from xm import UsageError
from xm_cli.decided import Shown
from xm_cli.made_with import made_with
from xm_cli.options import Columns, Device, Features, Json, Only, Pick, Reader, RunFolder, names_of, source_of
from xm_cli.progress import Teller
from xm_cli.tables import print_json, warn_of_plugins

if TYPE_CHECKING:
    from xm.evaluation import Decisions


def evaluate(
    run: RunFolder,
    data: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="A dataset's name, a folder or a file; else the run's own data."),
    ] = None,
    features: Features = None,
    reader: Reader = None,
    columns: Columns = None,
    pick: Pick = None,
    all_: Annotated[bool, typer.Option("--all", help="Every model of the run.")] = False,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="accuracy, balanced-accuracy or macro-f1; else the run's.")
    ] = None,
    present: Annotated[
        bool, typer.Option("--present", help="Decide among the classes that the data hold, not all of the run's.")
    ] = False,
    add_class: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|data",
            help="A new class for the model, or all that the data have and the run lacks; repeatable.",
        ),
    ] = None,
    only: Only = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Precision, recall and F1 of each class, and how many items it has.")
    ] = False,
    wrong: Annotated[bool, typer.Option("--wrong", help="The items that were not taken for what they are.")] = False,
    confusion: Annotated[
        bool, typer.Option("--confusion", help="How many items of each class were taken for which.")
    ] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Score one model of a run, or all, on the test items of its own or of other data.

    Of the run's own data --per-class, --wrong and --confusion show what was decided in training, which the run keeps:
    nothing is encoded again.
    """
    if all_ and pick:
        raise UsageError("--all and --pick exclude each other")
    if add_class and "data" in add_class and len(add_class) > 1:
        raise UsageError("--add-class data takes in all classes of the data: give it alone")
    data = source_of(data, features, reader, columns)
    warn_of_plugins()
    with Teller(notes=False) as teller:
        import xm
        from xm.evaluation import Report, versions
        from xm.foundation import Event

        opened = xm.load(run, device=device, listener=teller)
        picks = list(dict.fromkeys(result.model for result in opened.results)) if all_ else [pick]
        found: list[Decisions] = []
        kept = (per_class or wrong or confusion) and not (data or present or add_class or only)
        new: list[str] | Literal["data"] = "data" if add_class == ["data"] else add_class or []
        known = {*opened.classes, *(add_class or ())}
        for wanted in picks:
            with made_with(run, opened.index.get("versions", {}), f"eval {run} …"):
                decided = (
                    opened.tested(wanted, metric=metric, items=wrong)
                    if kept
                    else opened.decisions(
                        data, pick=wanted, metric=metric, present=present, add_classes=new, only=names_of(only, known)
                    )
                )
            found.append(decided)
            teller(Event("cell", {"done": len(found), "total": len(picks)}))
        results = [decided.result for decided in found]
        report = Report(tuple(results), (), (), (), str(run), versions(opened.plugins))
    shown = Shown(per_class, confusion, wrong)
    if as_json:
        print_json({**report.to_json(), **shown.plain(found)})
        return
    from xm_cli.results import print_report

    print_report(report, str(opened.index["settings"]["strategy"]) if all_ else results[0].strategy)
    if not all_:
        print(f"Model: {run / results[0].model}")
    shown.print(found)
