"""``xm plugins``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Annotated, Any, get_args

import typer

from xm.errors import PluginError, XMError, unknown
from xm.plugins import Registry, manager
from xm.specs import CommandSpec, EncoderSpec, Spec
from xm_cli.options import Json
from xm_cli.tables import print_json, print_table

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
        PluginError: if it is a plugin that could not be used.
        UsageError: if there is nothing of that name.
    """
    known = registries()
    found = [(kind, registry[name]) for kind, registry in known.items() if name in registry]
    plugins = {plugin.name: plugin for plugin in manager().plugins()}
    if not found and name in plugins:
        if error := plugins[name].error:
            raise PluginError(f"plugin {name!r} could not be used: {error}")
        found = [(kind, known[kind][added]) for kind, names in adds(name).items() for added in names]
    if not found:
        raise unknown("plugin or name", name, {*plugins, *(n for registry in known.values() for n in registry)})
    return found


def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What a plugin adds, or a plugin.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show an encoder, strategy, aligner, dataset … or all that a plugin adds, with settings and their defaults."""
    found = [described(kind, spec) for kind, spec in find(name)]
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
    found = {"kind": kind, "plugin": registries()[kind].plugin_of[spec.name], **values}
    try:
        found["why_not"] = spec.why_not() if isinstance(spec, EncoderSpec) else None
        found["settings"] = [] if isinstance(spec, CommandSpec) else settings_of(spec.load())
    except XMError as error:
        found |= {"why_not": str(error), "settings": []}
    return found


def settings_of(target: Any) -> list[dict[str, Any]]:
    """Name, type, default and description of a class's settings."""
    config = getattr(target, "config_type", None)
    return [
        {
            "name": name,
            "type": _type(field.annotation),
            "default": field.get_default(call_default_factory=True),
            "description": field.description or "",
        }
        for name, field in (config.model_fields if config else {}).items()
    ]


def _type(annotation: Any) -> str:
    """A type as it is written: "int", "tuple[float, ...]", "Literal['zero', 'init']"."""
    plain = isinstance(annotation, type) and not get_args(annotation)
    return annotation.__name__ if plain else str(annotation).replace("typing.", "")


def _print(thing: Mapping[str, Any]) -> None:
    print(f"{thing['kind']} {thing['name']}: {thing['summary']}")
    for key, value in thing.items():
        if key in ("kind", "name", "summary", "settings", "why_not", "available") or value in ("", (), None, False):
            continue
        print(f"  {key}: {', '.join(value) if isinstance(value, tuple) else value}")
    print(f"  can be used here: {'yes' if thing['why_not'] is None else 'no, ' + thing['why_not']}")
    if thing["settings"]:
        print()
        rows = [[s["name"], s["type"], repr(s["default"]), s["description"]] for s in thing["settings"]]
        print_table(["setting", "type", "default", "description"], rows)


def check(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What a plugin adds, or a plugin.", show_default=False)],
) -> None:
    """Make the thing of that name, and say in one line whether it works; for a plugin, everything it adds.

    Weights are looked for, but not loaded.
    """
    problems = {f"{kind} {spec.name}": problem(kind, spec) for kind, spec in find(name)}
    for what, reason in problems.items():
        print(f"{what}: {'ok' if reason is None else 'error: ' + reason}")
    if any(problems.values()):
        raise typer.Exit(FAILED)


def problem(kind: str, spec: Spec) -> str | None:
    """Why the thing of a spec can't be made; None if it can."""
    try:
        _CHECKS.get(kind, _is_callable)(spec)
    except Exception as error:  # a plugin may raise anything
        text = str(error) if isinstance(error, XMError) else f"{type(error).__name__}: {error}"
        return " ".join(text.split())
    return None


def _make(spec: Spec) -> None:
    spec.load()()


def _is_callable(spec: Spec) -> None:
    if not callable(spec.load()):
        raise PluginError(f"target {spec.target!r} can't be called")


def _check_encoder(spec: Spec) -> None:
    from xm.device import pick_device
    from xm.encoders import make_encoder

    assert isinstance(spec, EncoderSpec)
    if reason := spec.why_not():
        raise PluginError(reason)
    encoder = make_encoder(spec.name, manager(), pick_device("cpu"))
    encoder.fingerprint()


def _check_command(spec: Spec) -> None:
    from xm_cli.commands import Entry, build

    build(spec.name, Entry(spec.target, spec.summary))


_CHECKS: Mapping[str, Callable[[Spec], None]] = {
    "encoder": _check_encoder,
    "strategy": _make,
    "aligner": _make,
    "predictor": _make,
    "command": _check_command,
}
"""By kind; others are only loaded."""
