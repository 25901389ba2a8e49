"""Trackers of a run: one that fails is dropped, and the run goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xm.foundation.errors import XMError, described
from xm.foundation.events import Event, Listener
from xm.plugins.blame import fault, named
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import TrackerSpec


@dataclass
class Trackers:
    """A listener that hands every event to the trackers of a run, once they are open.

    What a tracker raises costs the tracker, not the run: there is one warning that names it, and it hears no more.

    Attributes:
        specs: of the trackers, each with what it is imported to.
        listener: hears the warnings; it may hand them to the trackers that are left.
    """

    specs: list[tuple[TrackerSpec, Any]]
    listener: Listener
    _open: list[tuple[TrackerSpec, Listener]] = field(default_factory=list)

    @classmethod
    def load(cls, names: Iterable[str], plugins: PluginManager, listener: Listener) -> Trackers:
        """Trackers by their names, imported, and not yet made.

        Raises:
            UsageError: for an unknown name.
            PluginError: for one that does not import; nothing is lost then.
        """
        found = [plugins.trackers.find(name) for name in names]
        return cls([(spec, spec.load()) for spec in found], listener)

    def open(self, run: Path) -> None:
        """Make them, for the folder of a run.

        Raises:
            XMError: of a tracker that says what it lacks; nothing is lost then.
        """
        for spec, target in self.specs:
            try:
                made = target(run)
                if not callable(made):
                    raise fault(spec, f"gives {type(made).__name__}, which can't be called with an event")
            except XMError:
                raise
            except Exception as error:  # a plugin may raise anything
                self._drop(spec, error)
            else:
                self._open.append((spec, made))

    def __call__(self, event: Event) -> None:
        """Hand an event on."""
        for spec, tracker in list(self._open):
            try:
                tracker(event)
            except Exception as error:  # a plugin may raise anything
                self._open = [(other, kept) for other, kept in self._open if other is not spec]
                self._drop(spec, error)

    def _drop(self, spec: TrackerSpec, error: Exception) -> None:
        text = f"{named(spec)}: {described(error)}; it is left out from here on, and the run goes on"
        self.listener(Event("warning", {"message": text}))
