"""Whose fault an exception is: a plugin's, if the plugin's code was running, which then says so in one line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from types import TracebackType
from typing import Any

from xm.foundation.errors import PluginError, XMError, described
from xm.plugins.hookspecs import KINDS
from xm.plugins.plugin import Plugin
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import Spec

CORE = ("xm", "xm_cli")
"""Packages whose faults are internal errors."""
SEE = "this is a fault of the plugin, see it with --debug"
SEE_CALL = "xm raised it where the plugin calls it; see it with --debug"
_OWN = "_xm_own_fault"
"""Marks an exception of which was found that no plugin is to blame."""


@dataclass(frozen=True)
class Thing:
    """What of which plugin.

    Attributes:
        plugin: that has it.
        kind: "encoder", "strategy" …; "" if that can't be told.
        name: of the thing; "" if that can't be told.
    """

    plugin: Plugin
    kind: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} ({self.plugin})" if self.kind else str(self.plugin)

    @property
    def source(self) -> str:
        """What it was installed with; plugins of one package have the same."""
        return self.plugin.distribution or self.plugin.name

    def error(self, what: str) -> PluginError:
        """An error of it, in words."""
        return PluginError(
            f"{self}: {what}",
            plugin=self.plugin.name,
            version=self.plugin.version,
            kind=self.kind,
            name=self.name,
        )


def fault(of: object, what: str) -> PluginError:
    """The error of something that a plugin made, and that is not as it must be.

    Args:
        of: the thing itself (an encoder, a strategy, a function), or its spec.
        what: is amiss, in words.
    """
    found = _registered(of) if isinstance(of, Spec) else _made_by(of)
    if found is not None:
        return found.error(what)
    if isinstance(of, Spec):
        return PluginError(f"{named(of)}: {what}", kind=_kind(of), name=of.name)
    return PluginError(f"{getattr(of, '__qualname__', type(of).__name__)}: {what}")


def named(spec: Spec) -> str:
    """What of which plugin a spec is, in words."""
    return str(_registered(spec) or f"{_kind(spec)} {spec.name!r}".strip())


def culprit(error: BaseException) -> Thing | None:
    """The thing of a plugin in whose code an exception was raised, or which called what raised it; None: no plugin's.

    The innermost of the frames that are a plugin's counts. Where that may be one of several things of the plugin, the
    frames further out say which of them was at work.
    """
    found: Thing | None = None
    for frame in reversed(list(_frames(error.__traceback__))):
        thing = _at_work(frame)
        if thing is None or (found is None and _core(frame.module)) or (found and found.source != thing.source):
            continue
        if thing.kind:
            return thing
        found = found or thing
    return found


def blamed(error: BaseException) -> PluginError | None:
    """The error that names the plugin in whose code an exception was raised; None if it was none's.

    Errors of xm, lack of memory, and files that the system refuses are what they are, whoever met them.
    """
    if (
        isinstance(error, XMError | MemoryError | BrokenPipeError)
        or getattr(error, _OWN, False)
        or out_of_memory(error)
    ):
        return None
    if isinstance(error, OSError) and error.filename and error.strerror:
        return None
    thing = culprit(error)
    if thing is None:
        return None
    made = thing.error(f"{described(error)}; {SEE_CALL if _in_core(error) else SEE}")
    for note in getattr(error, "__notes__", ()):
        made.add_note(note)
    return made


@contextmanager
def blaming() -> Iterator[None]:
    """Around what xm does with plugins: an exception of a plugin's code leaves as the cause of a PluginError.

    Any other exception leaves as it is, and is nobody's from then on but xm's own.
    """
    try:
        yield
    except Exception as error:
        made = blamed(error)
        if made is None:
            if not isinstance(error, XMError):
                setattr(error, _OWN, True)
            raise
        raise made from error


def out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the machine or of a device, was too small."""
    torch: Any = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


@dataclass(frozen=True)
class _Frame:
    """Where a function was: its module, its name there, and the object whose method it is."""

    module: str
    qualname: str
    it: object


def _frames(trace: TracebackType | None) -> Iterator[_Frame]:
    """The frames of a traceback, the outermost first."""
    while trace is not None:
        frame = trace.tb_frame
        it = frame.f_locals.get("self") if "self" in frame.f_code.co_varnames[:1] else None
        yield _Frame(str(frame.f_globals.get("__name__", "")), frame.f_code.co_qualname, it)
        trace = trace.tb_next


def _at_work(frame: _Frame) -> Thing | None:
    """Whose code it is; of a method, the class of the thing itself says more than the base that has the method."""
    own = None if _core(frame.module) else _whose(frame.module, frame.qualname)
    if own is None and not _core(frame.module):
        return None  # of a library
    made = None if frame.it is None else _made_by(frame.it)
    return made if made is not None and made.kind and made.plugin.module != "xm.plugins.builtin" else own


def _in_core(error: BaseException) -> bool:
    """Whether core, of core and plugins, was the last to run."""
    modules = [frame.module for frame in _frames(error.__traceback__) if _core(frame.module) or _at_work(frame)]
    return bool(modules) and _core(modules[-1])


def _core(module: str) -> bool:
    return module.partition(".")[0] in CORE


def _managers() -> list[PluginManager]:
    """Those in use, the newest first: it knows of a module that was loaded twice what it is now."""
    return [manager for _, manager in sorted(PluginManager.all.items(), reverse=True)]


def _kind(spec: Spec) -> str:
    return next((kind for kind, type_ in KINDS.values() if isinstance(spec, type_)), "")


def _registered(spec: Spec) -> Thing | None:
    alike = [(plugin, kind) for m in _managers() for plugin, kind, other in m.things() if other == spec]
    return Thing(*alike[0], spec.name) if alike else None


def _made_by(thing: object) -> Thing | None:
    """By the class of a thing, or what that is derived from; by its own name, if it is a function or class."""
    makers = (thing,) if hasattr(thing, "__qualname__") else type(thing).__mro__
    named = [(str(getattr(m, "__module__", "")), str(getattr(m, "__qualname__", ""))) for m in makers]
    found = [made for module, qualname in named if (made := _whose(module, qualname))]
    return next((made for made in found if made.kind and made.source == found[0].source), found[0] if found else None)


def _whose(module: str, qualname: str) -> Thing | None:
    """Whose a function or class is: by the targets of specs exactly, else by how near in a package its module is."""
    return next((found for manager in _managers() if (found := _of_one(manager, module, qualname))), None)


def _of_one(manager: PluginManager, module: str, qualname: str) -> Thing | None:
    best, near = 0, list[Thing]()
    for plugin, kind, spec in manager.things():
        closeness = _closeness(module, qualname, spec, plugin)
        if closeness >= max(best, 1):
            near = [*(near if closeness == best else ()), Thing(plugin, kind, spec.name)]
            best = closeness
    plugins = list(dict.fromkeys(thing.plugin for thing in near))
    if not near and not _core(module):
        plugins = [plugin for plugin in manager.plugins() if _within(module, _package(plugin))]
    if not plugins:
        return None
    if len({plugin.name for plugin in plugins}) > 1:  # several of a package
        one = plugins[0]
        return Thing(Plugin(one.distribution or one.name, one.version, one.distribution))
    return near[0] if len({(thing.kind, thing.name) for thing in near}) == 1 else Thing(plugins[0])


EXACTLY, SAME_MODULE = 1000, 500


def _closeness(module: str, qualname: str, spec: Spec, plugin: Plugin) -> int:
    """How sure it is that a function of a module belongs to a target; 0: not at all."""
    place, attribute = _home(spec)
    if module == place and qualname.partition(".")[0] == attribute:
        return EXACTLY
    package = _package(plugin)
    if _core(module) or not _within(module, package) or not _within(place, package):
        return 0
    if module == place:
        return SAME_MODULE
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(module.split("."), place.split("."), strict=False))))


def _home(spec: Spec) -> tuple[str, str]:
    """Module and name of a target, where it is written; of one that was not imported, where the spec says it is."""
    place, _, attribute = spec.target.partition(":")
    try:
        found = getattr(sys.modules.get(place), attribute, None)
    except Exception:  # a module may compute its attributes
        found = None
    place, name = getattr(found, "__module__", place), getattr(found, "__qualname__", attribute)
    return str(place), str(name).partition(".")[0]


def _package(plugin: Plugin) -> str:
    """What is all the plugin's: what was installed with it; of a file or an object no more than its module."""
    return plugin.module.partition(".")[0] if plugin.distribution else plugin.module


def _within(module: str, package: str) -> bool:
    return bool(package) and not _core(package) and (module == package or module.startswith(f"{package}."))
