"""What names plugins may give: those that can be typed wherever a name is asked for."""

from __future__ import annotations

from collections.abc import Iterable

from xm.plugins.specs import CommandSpec, EncoderSpec, Spec, ViewSpec

UNUSABLE = ",:/\\\"'"
"""Signs that mean something where a name is typed: in lists, before an argument, in folders of runs, in shells."""

_RESERVED: dict[str, set[str]] = {}


def reserve(group: str, names: Iterable[str]) -> None:
    """Keep names of commands for the program itself.

    Args:
        group: of commands; "" is the program itself, whose groups are among its names.
        names: that no plugin may take.
    """
    _RESERVED.setdefault(group, set()).update(names)


def unusable(kind: str, spec: Spec) -> str | None:
    """Why a spec's name can't be used; None if it can."""
    given = {"name": spec.name}
    if isinstance(spec, EncoderSpec | ViewSpec):
        given["modality"] = spec.modality
    if isinstance(spec, CommandSpec) and spec.group != "":
        given["group"] = spec.group
    for what, name in given.items():
        if amiss := _amiss(name):
            return f"{kind} {spec.name!r}: its {what} {name!r} {amiss}"
    if isinstance(spec, CommandSpec):
        if spec.name in _RESERVED.get(spec.group, ()):
            typed = f"{spec.group} {spec.name}".strip()
            return f"command {spec.name!r}: xm {typed} is a command of the program itself; choose another name"
        if spec.group and spec.group in _RESERVED.get("", ()) and spec.group not in _RESERVED:
            return f"command {spec.name!r}: its group {spec.group!r} is a command of the program itself"
    return None


def _amiss(name: object) -> str:
    if not isinstance(name, str):
        return f"is of type {type(name).__name__}, not text"
    if not name:
        return "is empty"
    for sign in name:
        if sign.isspace() or not sign.isprintable() or sign in UNUSABLE:
            shown = {" ": "a space", ",": "a comma", ":": "a colon", "/": "a slash"}.get(sign, repr(sign))
            return f"has {shown} in it, and could not be typed; choose another name"
    return "begins with a dash, as flags do; choose another name" if name.startswith("-") else ""
