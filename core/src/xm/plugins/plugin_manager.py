"""The plugin manager: finds plugins, isolates broken ones, and looks names up.

Plugins come from the entry-point group ``xm``, from single files (``--plugin file.py``) and from
`PluginManager.register`. ``XM_DISABLE_PLUGINS`` holds names to leave out, comma-separated; ``all`` leaves out every
installed plugin.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import pluggy

from xm.foundation.errors import PluginError, UsageError, described, unknown
from xm.plugins import builtin
from xm.plugins.hookspecs import KINDS, Hooks
from xm.plugins.names import unusable
from xm.plugins.plugin import Plugin as Plugin, import_file, module_of, trace_of, version_of
from xm.plugins.registry import Registry
from xm.plugins.specs import (
    ANY,
    AlignerSpec,
    BenchmarkSpec,
    CommandSpec,
    DatasetSpec,
    EncoderSpec,
    ObjectiveSpec,
    PredictorSpec,
    Spec,
    StrategySpec,
    TrackerSpec,
    ViewSpec,
)
from xm.plugins.suffixes import Suffixes, claimed

GROUP = "xm"


class PluginManager:
    """Holds the plugins of one process. `xm.plugins.manager()` is the one that xm uses.

    Attributes:
        all: those that are in use, the oldest first, by which a fault is traced to its plugin.
    """

    all: ClassVar[WeakValueDictionary[int, PluginManager]] = WeakValueDictionary()
    _count: ClassVar[Iterator[int]] = itertools.count()

    def __init__(self, *, installed: bool = True) -> None:
        self.all[next(self._count)] = self
        self._pluggy = pluggy.PluginManager("xm")
        self._pluggy.add_hookspecs(Hooks)
        self._found: dict[str, Plugin] = {}
        self._registries: dict[str, Registry[Any]] = {}
        self._told: set[str] = set()
        self.register(builtin, "xm")
        if installed:
            self._load_installed()

    def _load_installed(self) -> None:
        disabled = {n.strip() for n in os.environ.get("XM_DISABLE_PLUGINS", "").split(",")}
        if "all" in disabled:
            return
        for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
            if entry.name not in disabled:
                self._load_entry(entry)

    def _load_entry(self, entry: EntryPoint) -> None:
        version = str(entry.dist.version) if entry.dist else ""
        distribution = str(entry.dist.name) if entry.dist else ""
        found = Plugin(entry.name, version, distribution)
        try:
            plugin = entry.load()
            self._add(plugin, entry.name)
            found = replace(found, module=module_of(plugin))
        except PluginError as caught:
            found = replace(found, error=str(caught), trace=trace_of(caught))
        except (Exception, SystemExit) as caught:  # a plugin may raise anything; the others go on
            found = replace(found, error=described(caught), trace=trace_of(caught))
        self._found[entry.name] = found

    def register(self, plugin: object, name: str | None = None) -> None:
        """Add a module or object with hook implementations.

        Raises:
            PluginError: if its hooks do not fit the specification, or it is registered already.
        """
        name = str(name or getattr(plugin, "__name__", type(plugin).__name__))
        try:
            self._add(plugin, name)
        except PluginError as error:
            raise PluginError(f"plugin {name!r}: {error}") from error
        self._found[name] = Plugin(name, version_of(plugin), module=module_of(plugin))
        self._registries.clear()

    def _add(self, plugin: object, name: str) -> None:
        """Register with pluggy: with all hooks, or not at all; a plugin without any is refused."""
        try:
            self._pluggy.register(plugin, name)
        except ValueError as error:
            raise PluginError("is registered already") from error
        except pluggy.PluginValidationError as error:
            if self._pluggy.has_plugin(name):  # older versions of pluggy keep the hooks before the wrong one
                self._pluggy.unregister(name=name)
            said = str(error).partition("definition: ")[2] or str(error)
            raise PluginError(" ".join(said.replace("Argument(s)", "; argument(s)").split())) from error
        unspecified = [c.name for c in self._pluggy.get_hookcallers(plugin) or () if not c.has_spec()]
        if unspecified:
            self._pluggy.unregister(name=name)
            raise PluginError(str(unknown("hook", unspecified[0], KINDS)))
        if not self._pluggy.get_hookcallers(plugin):
            self._pluggy.unregister(name=name)
            named = ", ".join(hook for hook in KINDS if callable(getattr(plugin, hook, None)))
            has = f"has a function named as a hook ({named}) but none" if named else "has no function that is"
            raise PluginError(f"{has} marked @hookimpl (from xm import hookimpl)")

    def unregister(self, name: str) -> None:
        """Take a plugin out again."""
        self._pluggy.unregister(name=name)
        self._found.pop(name, None)
        self._registries.clear()

    def load_file(self, path: str | Path) -> None:
        """Load a single-file plugin (``--plugin file.py``).

        Raises:
            UsageError: if there is no such file.
            PluginError: if it does not load.
        """
        path = Path(path)
        if not path.is_file():
            raise UsageError(f"--plugin {path}: no such file")
        taken = importlib.util.find_spec(path.stem)
        if taken is not None and (taken.origin is None or Path(taken.origin).resolve() != path.resolve()):
            raise UsageError(f"--plugin {path}: a module {path.stem!r} exists already; give the file another name")
        self.register(import_file(path), path.stem)
        self._found[path.stem] = replace(self._found[path.stem], file=str(path))

    def files(self) -> list[str]:
        """The single files that were loaded, in that order."""
        return [plugin.file for plugin in self._found.values() if plugin.file]

    def plugins(self) -> list[Plugin]:
        """All plugins that were found, broken ones included, by name. Asks every hook, so that errors show."""
        for hook in KINDS:
            self._registry(hook)
        return [self._found[name] for name in sorted(self._found)]

    def _registry(self, hook: str) -> Registry[Any]:
        if hook not in self._registries:
            self._registries[hook] = self._collect(hook)
        return self._registries[hook]

    def _collect(self, hook: str) -> Registry[Any]:
        """Every spec of a hook; a plugin whose hook fails is marked and left out.

        A name is the plugin's that was found first: core, installed plugins by alphabet, files.
        """
        kind, spec_type = KINDS[hook]
        owner: dict[str, str] = {}
        left_out: dict[str, list[str]] = {}
        found: list[tuple[str, Spec]] = []
        for name in self._found:
            for spec in self._answers(name, hook):
                if not isinstance(spec, spec_type):
                    got = type(spec).__name__
                    self._fail(name, f"hook {hook} returned a {got}; expected {spec_type.__name__}")
                elif amiss := unusable(kind, spec):
                    self._fail(name, amiss)
                elif spec.key in owner:
                    owned = f"is already registered by {owner[spec.key]!r}; choose another name"
                    self._fail(name, f"{kind} {spec.key!r} {owned}")
                    left_out.setdefault(spec.key, []).append(name)
                else:
                    owner[spec.key] = name
                    found.append((name, spec))
        return Registry(kind, sorted(found, key=lambda pair: pair[0]), left_out)

    def _answers(self, name: str, hook: str) -> list[Any]:
        """What a plugin's hook returns; nothing, and the plugin is marked, if the hook fails."""
        plugin = self._pluggy.get_plugin(name)  # None if it did not load
        found: list[Any] = []
        for implementation in getattr(self._pluggy.hook, hook).get_hookimpls():
            if plugin is None or implementation.plugin is not plugin:
                continue
            try:
                answer = implementation.function()
                if not isinstance(answer, Iterable) or isinstance(answer, str | bytes | Mapping):
                    raise PluginError(f"{hook}() must return a list, not {_a(answer)}")
                found += list(answer)
            except PluginError as error:
                self._fail(name, str(error))
            except Exception as caught:  # see _load_entry
                self._fail(name, f"hook {hook}: {described(caught)}", trace_of(caught))
        return found

    def _fail(self, name: str, error: str, trace: str = "") -> None:
        self._found[name] = replace(self._found[name], error=error, trace=trace)

    def things(self) -> Iterator[tuple[Plugin, str, Spec]]:
        """Everything that plugins give: whose it is, its kind in a word, and its spec."""
        for hook, (kind, _) in KINDS.items():
            registry = self._registry(hook)
            owned = ((registry.plugin_of.get(key, ""), spec) for key, spec in registry.items())
            yield from ((self._found[owner], kind, spec) for owner, spec in owned if owner in self._found)

    @property
    def encoders(self) -> Registry[EncoderSpec]:
        """Encoders by name."""
        return self._registry("encoders")

    @property
    def strategies(self) -> Registry[StrategySpec]:
        """Strategies by name."""
        return self._registry("strategies")

    @property
    def aligners(self) -> Registry[AlignerSpec]:
        """Aligners by name."""
        return self._registry("aligners")

    @property
    def objectives(self) -> Registry[ObjectiveSpec]:
        """Objectives by name."""
        return self._registry("objectives")

    @property
    def datasets(self) -> Registry[DatasetSpec]:
        """Datasets by name."""
        return self._registry("datasets")

    @property
    def predictors(self) -> Registry[PredictorSpec]:
        """Predictors by name."""
        return self._registry("predictors")

    @property
    def views(self) -> Registry[ViewSpec]:
        """Views by modality and name: "image/flip"."""
        return self._registry("views")

    @property
    def trackers(self) -> Registry[TrackerSpec]:
        """Trackers by name."""
        return self._registry("trackers")

    @property
    def benchmarks(self) -> Registry[BenchmarkSpec]:
        """Benchmarks by name."""
        return self._registry("benchmarks")

    @property
    def commands(self) -> Registry[CommandSpec]:
        """Commands by name."""
        return self._registry("commands")

    def modalities(self) -> list[str]:
        """Every modality that an encoder is registered for."""
        return sorted({spec.modality for spec in self.encoders.values()} - {ANY})

    def suffixes(self) -> Suffixes:
        """File suffix to modality, as the registered encoders say; where they do not agree, see `Suffixes`."""
        return Suffixes(claimed(self.encoders, list(self._found)), self._told)


def _a(answer: object) -> str:
    """What a hook returned, in words."""
    name = type(answer).__name__
    return "None" if answer is None else f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


@cache
def manager() -> PluginManager:
    """The process's plugin manager, made on first use."""
    return PluginManager()
