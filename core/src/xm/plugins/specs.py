"""What a plugin says of itself, without importing anything heavy.

A spec names its implementation as a string, ``"package.module:Attribute"``, which is imported on
first use. Specs hold plain values only, so that ``xm --help`` stays fast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xm.foundation.errors import PluginError, described
from xm.plugins.targets import load_target as load_target, looked, parameters


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all specs share.

    Attributes:
        name: what a user types.
        target: the implementation, ``"package.module:Attribute"``.
        summary: one line for ``xm plugins list``.
    """

    name: str
    target: str
    summary: str = ""

    @property
    def key(self) -> str:
        """What it is known by among its kind: its name."""
        return self.name

    def load(self) -> Any:
        """Import the implementation; if that fails, the PluginError names the plugin."""
        try:
            return load_target(self.target)
        except PluginError as error:
            from xm.plugins.blame import fault

            raise fault(self, str(error)) from error

    def make(self, a: type, *given: Any) -> Any:
        """Import the implementation and call it.

        Args:
            a: what it must give, such as `xm.Encoder`.
            given: what it is called with.

        Raises:
            PluginError: if it gives anything else; it names the plugin.
        """
        from xm.plugins.blame import fault

        target = self.load()
        try:
            made = target(*given)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # it can't be called so
                raise fault(self, f"the target {self.target!r}: {described(error)}") from error
            raise
        if not isinstance(made, a):
            raise fault(self, f"the target {self.target!r} gives {type(made).__name__}, which is no xm.{a.__name__}")
        return made


ANY = "*"
"""The modality of an encoder that serves whichever its argument names."""


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(Spec):
    """An encoder. The target is called with the reference's argument (``openclip:ARGUMENT``), or "".

    The target of an encoder of `ANY` modality is called with ``modality=`` too, if it takes that: the one for which the
    encoder is asked, or None.

    Attributes:
        modality: what it encodes; `ANY` if its argument says that.
        suffixes: of the files it reads, lower case, with the dot.
        argument: what may follow the colon, in words; "" if nothing may.
        available: ``"package.module:function"``; the function imports nothing heavy and returns None, or
            why the encoder can't be used here and what to type.
        priority: among the available encoders of a modality, the highest is the default. 0 means: only by name.
        looks: ``"package.module:function"``; the function is called with the path, imports nothing heavy when it is
            imported, and says whether the file is of this modality: for suffixes that encoders of several modalities
            read, such as ".mp4" of sound alone.
        languages: that it reads well, ISO 639-1 (``("en",)``); () if that is not said. Among defaults, one that reads
            the language of the class names goes before one that does not.
    """

    modality: str
    suffixes: tuple[str, ...] = ()
    argument: str = ""
    available: str = ""
    priority: int = 0
    looks: str = ""
    languages: tuple[str, ...] = ()

    def fits(self, path: Path) -> bool | None:
        """Whether a file looks to be of this encoder's modality; None if it does not look.

        Raises:
            PluginError: if looking fails.
        """
        return looked(self.looks, path)

    def encoder(self, a: type, argument: str, modality: str | None) -> Any:
        """Make it, as `make` does, for a modality.

        Raises:
            PluginError: if it gives anything else than `a`.
        """
        if self.modality == ANY and "modality" in parameters(self.load()):
            return self.make(a, argument, modality)
        return self.make(a, argument)

    def why_not(self) -> str | None:
        """None if the encoder can be used on this machine, else the reason."""
        if not self.available:
            return None
        try:
            reason: str | None = load_target(self.available)()
        except PluginError as error:
            return str(error)
        except Exception as error:  # a plugin's function may raise anything
            return f"{self.available} fails: {described(error)}"
        return reason


@dataclass(frozen=True, kw_only=True)
class StrategySpec(Spec):
    """An adaptation strategy (`xm.Strategy`).

    Attributes:
        baseline: it runs beside whichever strategy the user chose.
        needs_target: it learns from samples of the target modality; if not, its rows are ``shots: 0``.
        needs_unlabelled: it learns from unlabelled items of the target (``--unlabelled``); with those and an auxiliary
            modality it does without labelled ones, where 0 is among the shots that were asked for.
        reclasses: its fitted models take in new classes (`xm.Strategy.reclass`).
    """

    baseline: bool = False
    needs_target: bool = True
    needs_unlabelled: bool = False
    reclasses: bool = False


@dataclass(frozen=True, kw_only=True)
class AlignerSpec(Spec):
    """A maker of maps from one space into another (`xm.Aligner`).

    Attributes:
        priority: with no aligner named, those that apply are asked in this order, highest first.
    """

    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class ObjectiveSpec(Spec):
    """A loss. The target is ``(logits (n, k), labels (n,), weights (n,) or None) -> scalar``, or a class of such.

    The class is derived from `xm.StepObjective`, which knows the step, or, for pairs, from `xm.PairObjective`.

    Attributes:
        pairs: it is one of alignments (`xm.PairObjective`), on pairs of vectors, not one of classifiers.
    """

    pairs: bool = False


@dataclass(frozen=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset or a reader of data. The target is an `xm.data.Opener`.

    Attributes:
        opens: what ``--data`` may point to: file suffixes with the dot, or "/" for a folder; () means by name only.
        default: it is used when no data are named.
        looks: ``"package.module:function"``; the function is called with the path, imports nothing heavy and says
            whether it is a file of this reader's: for suffixes that several readers open, such as ".json".
        columns: names of columns may follow the path, ``table.csv?path=file&label=kind``, as ``--columns`` gives them.
    """

    opens: tuple[str, ...] = ()
    default: bool = False
    looks: str = ""
    columns: bool = False

    def fits(self, path: Path) -> bool | None:
        """Whether a file looks like this reader's; None if it does not look.

        Raises:
            PluginError: if looking fails.
        """
        return looked(self.looks, path)


@dataclass(frozen=True, kw_only=True)
class PredictorSpec(Spec):
    """A decision rule over a fitted model (`xm.Predictor`)."""


@dataclass(frozen=True, kw_only=True)
class ViewSpec(Spec):
    """Another way to see an item. The target is ``(decoded, View) -> decoded``; see `xm.data.seen` for what is decoded.

    It draws from the view's name and the item's content alone (`xm.data.View.draw`), and leaves its input as it was.
    Several modalities may have a view of one name.

    Attributes:
        modality: of the items.
        strength: what the number behind the colon says (``noise:0.2``), in words; "" if it takes none.
        least: strength that can be given.
        most: strength that can be given.
    """

    modality: str
    strength: str = ""
    least: float = -math.inf
    most: float = math.inf

    @staticmethod
    def key_of(modality: str, name: str) -> str:
        """As views are known: "image/flip"."""
        return f"{modality}/{name}"

    @property
    def key(self) -> str:
        return self.key_of(self.modality, self.name)


@dataclass(frozen=True, kw_only=True)
class TrackerSpec(Spec):
    """A listener. The target is called with the run's folder and returns ``(Event) -> None``."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec(Spec):
    """A protocol that ``xm bench`` runs. The target is called with this spec, settings, plugins and a listener.

    `xm.experiment.few_shot` is one that compares all strategies on the dataset of the benchmark's name. Where it says
    `protocol`, its name is one that ``xm bench DATA --protocol NAME`` takes: it is called with the spec of the data, in
    which target, settings and cut are its own.

    Attributes:
        protocol: it has no data of its own, and measures any; modality, aux and reference are the data's.
        modality: the target.
        aux: the auxiliary modalities.
        reference: the strategy with whose target-alone row others are compared; "" for none.
        quick: settings of its cut, ``--quick``, as flags give them.
        settings: of training, `xm.experiment.TrainSettings`, that the protocol fixes or has as defaults; what the user
            gives goes before them.
    """

    protocol: bool = False
    modality: str = ""
    aux: tuple[str, ...] = ()
    reference: str = ""
    quick: Mapping[str, str] = field(default_factory=lambda: {"shots": "2", "seeds": "1"})
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A command of the program `xm`. The target is a function with Typer annotations, or a `typer.Typer`.

    Attributes:
        group: of commands that it belongs to; "" is the program itself.
        group_summary: of that group, in a sentence; one of its commands says it.
        kept: what an interruption leaves, as it is told: "nothing was kept".
    """

    group: str = ""
    group_summary: str = ""
    kept: str = ""
