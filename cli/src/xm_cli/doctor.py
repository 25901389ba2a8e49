"""``xm doctor``."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from xm import EncoderSpec, PluginError
from xm.plugins import Spec, manager
from xm_cli.options import Json
from xm_cli.plugins_command import registries
from xm_cli.progress import Teller
from xm_cli.tables import count, print_json, print_table

FAILED = 4
"""The exit code if a modality has no encoder that can be used by default."""


def doctor(as_json: Json = False) -> None:
    """Show versions, devices, cache, plugins and encoders; for what is missing, the command that fixes it.

    Exit code 0 if every modality that some plugin encodes has an encoder that can be used by default, else 4.
    """
    with Teller():
        found = examine()
    if as_json:
        print_json(found)
    else:
        _print(found)
    if not found["ok"]:
        raise typer.Exit(FAILED)


def examine() -> dict[str, Any]:
    """All that `doctor` shows, in plain values."""
    from xm.evaluation import versions
    from xm.experiment import unfinished
    from xm.foundation import cache_dir

    plugins = manager()
    broken = {f"{kind} {spec.name}": error for kind, spec, error in _unloadable()}
    encoders = [
        _encoder(spec, broken.pop(f"encoder {spec.name}", None))
        for spec in sorted(plugins.encoders.values(), key=lambda s: (s.modality, -s.priority))
    ]
    defaults = {modality: _default(encoders, modality) for modality in plugins.modalities()}
    return {
        "ok": bool(defaults) and None not in defaults.values(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {"xm-cli": version("xm-cli"), **versions(plugins)},
        "devices": devices(),
        "cache": {"folder": str(cache_dir()), **_size(cache_dir())},
        "broken_plugins": {p.name: p.error for p in plugins.plugins() if p.error},
        "broken": broken,
        "unfinished": [str(folder) for folder in unfinished()],
        "encoders": encoders,
        "default_encoders": defaults,
        "default_dataset": next((s.name for s in plugins.datasets.values() if s.default), None),
    }


def _unloadable() -> Iterator[tuple[str, Spec, str]]:
    """Kind, spec and error of everything whose target does not load."""
    for kind, registry in registries().items():
        for spec in registry.values():
            try:
                spec.load()
            except PluginError as error:
                yield kind, spec, str(error)


def _encoder(spec: EncoderSpec, error: str | None) -> dict[str, Any]:
    reason = spec.why_not()
    found = {"name": spec.name, "modality": spec.modality, "priority": spec.priority}
    return {**found, "available": reason is None, "why_not": reason or error}


def _default(encoders: list[dict[str, Any]], modality: str) -> str | None:
    """The name of the encoder that is used if none is named; None if it does not load, or there is none.

    `encoders` are in order of priority.
    """
    for encoder in encoders:
        if encoder["modality"] == modality and encoder["priority"] > 0 and encoder["available"]:
            return None if encoder["why_not"] else str(encoder["name"])
    return None


def devices() -> list[str]:
    """Names that ``--device`` takes here."""
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    return ["cpu", *(f"{accelerator.type}:{i}" for i in range(torch.accelerator.device_count()))]


def _size(folder: Path) -> dict[str, int]:
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {"files": len(sizes), "bytes": sum(sizes)}


def _print(found: dict[str, Any]) -> None:
    cache = found["cache"]
    print(f"Python {found['python']} on {found['platform']}")
    print(f"devices: {', '.join(found['devices'])}")
    print(f"cache: {cache['folder']} ({count(cache['files'], 'file')}, {cache['bytes'] / 1e6:.1f} MB)")
    print(f"default dataset: {found['default_dataset'] or 'none; name data with --data'}\n")
    print_table(["package", "version"], [list(pair) for pair in found["versions"].items()])
    print()
    rows = [[e["modality"], e["name"], _state(e, found["default_encoders"])] for e in found["encoders"]]
    print_table(["modality", "encoder", "state"], rows)
    print()
    for name, error in found["broken_plugins"].items():
        print(f"plugin {name} is left out: {error}")
    for name, error in found["broken"].items():
        print(f"{name} can't be used: {error}")
    for folder in found["unfinished"]:
        print(f"unfinished run: {folder}; the command that began it goes on with it; else remove the folder")
    lacking = [modality for modality, name in found["default_encoders"].items() if name is None]
    if lacking:
        print(f"No encoder by default for: {', '.join(lacking)}. See the table for what to install.")
    elif not found["encoders"]:
        print("No plugin has an encoder. Install one, such as: pip install xm-offline")
    else:
        print("Every modality has an encoder that can be used.")


def _state(encoder: dict[str, Any], defaults: dict[str, str | None]) -> str:
    if encoder["why_not"] is not None:
        return f"no: {encoder['why_not']}"
    if defaults.get(encoder["modality"]) == encoder["name"]:
        return "yes, the default"
    return "yes" if encoder["priority"] > 0 else "yes, by name"
