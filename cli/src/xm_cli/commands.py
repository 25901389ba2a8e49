"""Groups of commands that know names and summaries, and import a command when it is asked for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from xm import CommandSpec, PluginError
from xm.foundation import unknown
from xm.plugins import fault, load_target, manager, reserve


@dataclass(frozen=True)
class Entry:
    """A command that is not imported yet.

    Attributes:
        target: a function with Typer annotations, or a `typer.Typer`.
        summary: a sentence for the list of commands.
        kept: what an interruption leaves, in words.
        spec: of a plugin's command.
    """

    target: str
    summary: str
    kept: str = ""
    spec: CommandSpec | None = None

    @classmethod
    def of(cls, spec: CommandSpec) -> Entry:
        """A plugin's command."""
        return cls(spec.target, spec.summary, spec.kept, spec)


GOES_ON = "what was done is kept, and the same command goes on with it"

OWN: Mapping[str, Mapping[str, Entry]] = {
    "": {
        "train": Entry(
            "xm_cli.train:app", "Train with few samples of several modalities, and test.", "nothing was kept"
        ),
        "align": Entry("xm_cli.align:app", "Bring encoders that share no space into one.", GOES_ON),
        "embed": Entry("xm_cli.embed:app", "Embed a whole dataset into one file.", GOES_ON),
        "eval": Entry("xm_cli.evaluate:evaluate", "Score a run again, on its own or other data."),
        "predict": Entry("xm_cli.predict:app", "Classify files, folders of files, or texts."),
        "bench": Entry(
            "xm_cli.bench:app", "Compare strategies on a benchmark's data, or yours, as the papers' tables do.", GOES_ON
        ),
        "doctor": Entry("xm_cli.doctor:doctor", "Show versions, devices, plugins and encoders, and what is missing."),
    },
    "data": {
        "list": Entry("xm_cli.data_command:list_", "List datasets and readers of data."),
        "show": Entry("xm_cli.data_command:show", "Count what is in a dataset, a folder or a file."),
    },
    "plugins": {
        "list": Entry("xm_cli.plugins_command:list_", "List plugins and what each adds."),
        "show": Entry(
            "xm_cli.plugins_command:show", "Show an encoder, strategy, dataset … or plugin, with its settings."
        ),
        "check": Entry("xm_cli.plugins_command:check", "Make the thing of that name, and say whether it works."),
    },
    "encoders": {
        "compare": Entry(
            "xm_cli.encoders_command:app", "Compare encoders on your data: accuracy, seconds, memory.", GOES_ON
        ),
    },
    "weights": {
        "list": Entry("xm_cli.weights_command:list_", "List pretrained weights, with size, licence and source."),
        "get": Entry("xm_cli.weights_command:get", "Download what encoders need, to go offline."),
        "prune": Entry("xm_cli.weights_command:prune", "Take weights out of the Hugging Face hub's cache."),
    },
}
"""The program's own commands, by group and name; the group "" is the program itself."""

GROUPS = {
    "data": "Look at datasets.",
    "encoders": "Compare encoders.",
    "plugins": "Look at plugins.",
    "weights": "Pretrained weights: what is here, getting them, taking them away.",
}

for _group_name, _commands in OWN.items():
    reserve(_group_name, _commands)
reserve("", GROUPS)


def _quick(params: list[Any]) -> list[Any]:
    """Parameters with False for flags that are not given: Typer coerces a None, and imports pydantic for it."""
    for param in params:
        if getattr(param, "is_bool_flag", False) and not param.secondary_opts and param.default is None:
            param.default = False
    return params


class Command(TyperCommand):
    """A command that takes flags without importing pydantic."""

    def get_params(self, ctx: Any) -> Any:
        return _quick(super().get_params(ctx))


class Commands(TyperGroup):
    """A group whose commands are the program's own, then those of plugins."""

    group = ""

    def entries(self) -> dict[str, Entry]:
        """Commands of this group by name. A plugin can't take a name of the program's own."""
        specs = manager().commands.values()
        found = {spec.name: Entry.of(spec) for spec in specs if spec.group == self.group}
        return found | dict(OWN.get(self.group, {}))

    def groups(self) -> dict[str, str]:
        """Groups below this one, with their summaries."""
        if self.group:
            return {}
        found: dict[str, str] = {}
        for spec in manager().commands.values():
            if spec.group and not found.get(spec.group):
                found[spec.group] = spec.group_summary
        return {group: summary or f"Commands of plugins: {group}." for group, summary in found.items()} | GROUPS

    def list_commands(self, ctx: Any) -> list[str]:
        own = [*OWN.get(self.group, {}), *(GROUPS if not self.group else ())]
        return [*own, *sorted({*self.entries(), *self.groups()} - {*own})]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in self.groups():
            return _group(cmd_name, self.groups()[cmd_name])
        entry = self.entries().get(cmd_name)
        return entry and build(cmd_name, entry)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.list_commands(ctx) and not args[0].startswith("-"):
            raise unknown(f"{self.group} command".strip(), args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if ctx.invoked_subcommand in self.entries():
                ctx.obj.kept = self.entries()[ctx.invoked_subcommand].kept
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        summaries = {name: entry.summary for name, entry in self.entries().items()} | self.groups()
        with formatter.section("Commands"):
            formatter.write_dl([(name, summaries[name]) for name in self.list_commands(ctx)])

    def get_params(self, ctx: Any) -> Any:
        return _quick(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])


def _group(name: str, summary: str) -> Commands:
    made = Commands(name=name, help=summary, rich_markup_mode=None)
    made.group = name
    return made


def build(name: str, entry: Entry) -> Any:
    """The command itself.

    Raises:
        PluginError: if its target does not load, or is no function that Typer can read.
    """
    target: typer.Typer | Callable[..., Any] = entry.spec.load() if entry.spec else load_target(entry.target)
    wrong = f"{entry.target} is not a function with Typer annotations"
    if not callable(target):
        raise _wrong(entry, wrong)
    try:
        command = get_command(target if isinstance(target, typer.Typer) else _app(target, entry.summary))
    except (RuntimeError, TypeError, AssertionError) as error:
        raise _wrong(entry, f"{wrong}: {error}") from error
    command.name = name
    return command


def _wrong(entry: Entry, what: str) -> PluginError:
    return fault(entry.spec, what) if entry.spec else PluginError(what)


def _app(target: Callable[..., Any], summary: str) -> typer.Typer:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(cls=Command, help=inspect.getdoc(target) or summary)(target)
    return app
