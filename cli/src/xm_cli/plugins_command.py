"""``xm plugins``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from xm import CommandSpec, EncoderSpec, PluginError, XMError
from xm.foundation import unknown
from xm.plugins import Registry, Spec, manager
from xm_cli.options import Json
from xm_cli.plugin_checks import suite, verdict
from xm_cli.tables import print_json, print_table, warn_of_plugins

FAILED = 4
"""The exit code of ``xm plugins check`` if something does not work."""


def registries() -> dict[str, Registry[Any]]:
    """What plugins add, by kind."""
    plugins = manager()
    found: list[Registry[Any]] = [
        plugins.encoders,
        plugins.strategies,
        plugins.aligners,
        plugins.objectives,
        plugins.datasets,
        plugins.predictors,
        plugins.views,
        plugins.trackers,
        plugins.benchmarks,
        plugins.commands,
    ]
    return {registry.kind: registry for registry in found}


def list_(as_json: Json = False) -> None:
    """List plugins, what each adds, and why one could not be used."""
    found = [
        {"name": p.name, "version": p.version, "distribution": p.distribution, "adds": adds(p.name), "error": p.error}
        for p in manager().plugins()
    ]
    if as_json:
        print_json({"plugins": found})
        return
    rows = [[str(f["name"]), str(f["version"]) or "-", _words(f["adds"], f["error"])] for f in found]
    print_table(["plugin", "version", "adds"], rows)


def adds(plugin: str) -> dict[str, list[str]]:
    """Names of what a plugin adds, by kind."""
    named = {k: [n for n in registry if registry.plugin_of[n] == plugin] for k, registry in registries().items()}
    return {kind: names for kind, names in named.items() if names}


def _words(added: Any, error: Any) -> str:
    words = "; ".join(f"{kind} {', '.join(names)}" for kind, names in added.items())
    return f"error: {error}" + (f" ({words})" if words else "") if error else words or "nothing"


def find(name: str) -> list[tuple[str, Spec]]:
    """Kind and spec of everything of that name, or that the plugin of that name adds.

    Raises:
        PluginError: if it is a plugin that could not be used, or may be of one in a file that was named.
        UsageError: if there is nothing of that name.
    """
    known = registries()
    found = [(k, spec) for k, registry in known.items() for spec in registry.values() if name in (spec.key, spec.name)]
    plugins = {plugin.name: plugin for plugin in manager().plugins()}
    if not found and name in plugins:
        if error := plugins[name].error:
            raise PluginError(f"plugin {name!r} could not be used: {error}")
        found = [(kind, known[kind][added]) for kind, names in adds(name).items() for added in names]
    if not found:
        for plugin in plugins.values():
            if plugin.file and plugin.error:
                raise PluginError(f"{plugin.file}: {plugin.error}")
        names = {*plugins, *(n for registry in known.values() for n in registry)}
        raise unknown("plugin or name", name, names, "xm plugins list")
    return found


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What a plugin adds, or a plugin.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show an encoder, strategy, aligner, dataset … or all that a plugin adds, with settings and their defaults."""
    found = [described(kind, spec) for kind, spec in find(name)]
    warn_of_plugins()
    if as_json:
        print_json({"found": found})
        return
    for i, thing in enumerate(found):
        if i:
            print()
        _print(thing)


def described(kind: str, spec: Spec) -> dict[str, Any]:
    """A spec, whether it can be used, and its settings, in plain values."""
    values = {f.name: getattr(spec, f.name) for f in fields(spec)}
    values = {name: None if value in (math.inf, -math.inf) else value for name, value in values.items()}
    found = {"kind": kind, "plugin": registries()[kind].plugin_of[spec.key], **values}
    try:
        found["why_not"] = spec.why_not() if isinstance(spec, EncoderSpec) else None
        found["settings"] = [] if isinstance(spec, CommandSpec) else settings_of(spec.load())
    except XMError as error:
        found |= {"why_not": str(error), "settings": []}
    return found


def settings_of(target: Any) -> list[dict[str, Any]]:
    """Name, type, default and description of a class's settings."""
    config = getattr(target, "config_type", None)
    if config is None:
        return []
    from xm_cli.types_in_words import types

    named = types(config.model_json_schema())
    return [
        {
            "name": name,
            "type": named[name],
            "default": field.get_default(call_default_factory=True),
            "description": field.description or "",
        }
        for name, field in config.model_fields.items()
    ]


def _print(thing: Mapping[str, Any]) -> None:
    print(f"{thing['kind']} {thing['name']}: {thing['summary']}")
    for key, value in thing.items():
        hidden = key in ("kind", "name", "summary", "settings", "why_not", "available")
        if hidden or value is False or value in ("", (), None):
            continue
        print(f"  {key}: {', '.join(value) if isinstance(value, tuple) else value}")
    print(f"  can be used here: {'yes' if thing['why_not'] is None else 'no, ' + thing['why_not']}")
    if thing["settings"]:
        print()
        rows = [[s["name"], s["type"], _default(s["default"]), s["description"]] for s in thing["settings"]]
        print_table(["setting", "type", "default", "description"], rows)


def _default(value: Any) -> str:
    """A default as it is typed."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME[:ARGUMENT]|FILE",
            help="What a plugin adds, or a plugin; an encoder with its argument; or a plugin's file.",
            show_default=False,
        ),
    ],
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--item",
            metavar="FILE|TEXT",
            help="Of an encoder, three at least; of a reader, an example. Runs the suite.",
        ),
    ] = None,
) -> None:
    """Make the thing of that name, and say in one line whether it is what its kind must be; for a plugin, all it adds.

    Of a NAME alone weights are looked for, but not loaded, and nothing is computed. Of NAME:ARGUMENT, of a FILE, and
    with --item, the suites of xm.testing are run, which needs pytest.
    """
    name, argument, wanted = _wanted_of(name)
    suites: set[str] = set()
    failed = False
    for kind, spec in find(name):
        found = verdict(kind, spec, argument)
        said = f"error: {found.problem}" if found.problem else f"ok, but {found.remark}" if found.remark else "ok"
        print(f"{kind} {spec.key}: {said}")
        failed = failed or bool(found.problem)
        if found.problem or not suite(kind, spec):
            continue
        if wanted or items:
            failed = not _passes(kind, spec, argument, items or ()) or failed
        else:
            suites.add(suite(kind, spec))
    for plugin in manager().plugins():
        if plugin.error and (plugin.file or name in (plugin.name, *_left_to(plugin.name))):
            print(f"plugin {plugin.name}: error: {plugin.error}")
            failed = True
    if suites:
        what = f"suite{'s' if len(suites) > 1 else ''} {', '.join(sorted(suites))}"
        print(f"loads; for what it computes, run the {what}")
    if failed:
        raise typer.Exit(FAILED)


def _wanted_of(name: str) -> tuple[str, str, bool]:
    """The name, an encoder's argument, and whether suites are wanted; a file is loaded, and its plugin is the name."""
    path = Path(name)
    if path.suffix == ".py" and (path.is_file() or "/" in name):
        if path.stem not in {plugin.name for plugin in manager().plugins() if plugin.file}:
            manager().load_file(path)
        return path.stem, "", True
    before, colon, argument = name.partition(":")
    if colon and before in manager().encoders:
        return before, argument, True
    return name, "", False


def _passes(kind: str, spec: Spec, argument: str, items: Sequence[str]) -> bool:
    """Run the suite of a thing and print what comes of it; one that can't be run here says why, and fails nothing."""
    from xm_cli.kit import missing, run_suite

    if lacks := missing(kind, spec, items):
        print(f"  not run: {lacks}")
        return True
    passes, said = run_suite(kind, spec, argument, items)
    print("\n".join(f"  {line}" for line in said.splitlines()))
    return passes


def _left_to(plugin: str) -> list[str]:
    """Names that a plugin gives, but that are another's."""
    return [name for registry in registries().values() for name, left in registry.left_out.items() if plugin in left]
