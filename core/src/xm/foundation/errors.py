"""Errors a user can cause. Each is one line: what was wrong, where, and what to type instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, Self


class XMError(Exception):
    """Base of every error that a user can mend. `exit_code` is what the program `xm` ends with."""

    exit_code = 1


class UsageError(XMError):
    """A wrong name, flag or combination of settings."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that is not registered.

    Args:
        message: in words.
        kind: what the name is of.
        name: as given.
    """

    def __init__(self, message: str, kind: str, name: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name


class DataError(XMError):
    """Data that is missing, unreadable or does not fit the task."""

    exit_code = 3


class ItemError(DataError):
    """One item (a file, a text) that an encoder can't read. Others of its batch may be fine."""

    def __init__(self, item: Any, reason: str) -> None:
        super().__init__(f"{item}: {reason}")
        self.item = item
        self.reason = reason

    def of(self, item: Any) -> Self:
        """The same of another item, with the same content."""
        made = type(self)(item, self.reason)
        made.__cause__ = self.__cause__
        vars(made).update({**vars(self), "item": item})
        return made


class PluginError(XMError):
    """A plugin that does not load, lacks a package or weights, or fails.

    Args:
        message: in words.
        plugin: whose fault it is; "" if that can't be told, as what follows.
        version: of the plugin.
        kind: of the thing that failed: "encoder", "strategy" …
        name: of that thing.
    """

    exit_code = 4

    def __init__(self, message: str, *, plugin: str = "", version: str = "", kind: str = "", name: str = "") -> None:
        super().__init__(message)
        self.plugin = plugin
        self.version = version
        self.kind = kind
        self.name = name


class RunError(XMError):
    """A run folder or cache that can't be read, or was written by something else."""

    exit_code = 5


LISTED, NEAREST = 12, 5
"""Names that an error lists; of more, it lists the nearest only."""


def unknown(kind: str, name: str, valid: Iterable[str], see: str = "") -> UnknownNameError:
    """An error for a name that is not registered, with the nearest valid one.

    Args:
        kind: what the name is of.
        name: as given.
        valid: the names that are known.
        see: the command that lists them all, if there is one.
    """
    names = sorted(valid)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f": did you mean {near[0]!r}?" if near else ""
    known = ", ".join(names) or "none"
    if len(names) > LISTED:
        nearest = difflib.get_close_matches(name, names, n=NEAREST, cutoff=0)
        known = f"{', '.join(nearest)} and {len(names) - NEAREST} more" + (f"; see: {see}" if see else "")
    return UnknownNameError(f"unknown {kind} {name!r}{hint} (known: {known})", kind, name)


def described(error: BaseException) -> str:
    """Any error in one line: its type and what it says."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def no_semantics(name: str, known: Iterable[str] = ()) -> UsageError:
    """The error where something must be known of the classes and is not."""
    return UsageError(f"{unknown('semantics', name, known)}; give them: --semantics {name}=FILE")


def no_names() -> UsageError:
    """The error where class names are needed and no encoder reads them."""
    return UsageError("class names are needed: choose an encoder that reads them (--text-encoder NAME)")
