"""What ``xm plugins check`` looks at: that a thing is made as `xm` makes it, and is what its spec says."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xm import CommandSpec, EncoderSpec, ObjectiveSpec, PluginError, UsageError, XMError
from xm.foundation import described
from xm.plugins import ANY, Spec, load_target


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        problem: what is wrong; "" if nothing is.
        remark: why it was not made here, though nothing is wrong with it; else "".
    """

    problem: str = ""
    remark: str = ""


SUITES = {
    "encoder": "EncoderConformance",
    "strategy": "StrategyConformance",
    "aligner": "AlignerConformance",
    "dataset": "DatasetConformance",
    "predictor": "PredictorConformance",
    "view": "ViewConformance",
    "objective": "ObjectiveConformance",
}
"""The class of `xm.testing` that looks at what a thing computes, by kind."""


def suite(kind: str, spec: Spec) -> str:
    """The name of the suite for such a thing; "" if there is none."""
    pairs = isinstance(spec, ObjectiveSpec) and spec.pairs
    found = "PairObjectiveConformance" if pairs else SUITES.get(kind, "")
    return f"xm.testing.{found}" if found else ""


def verdict(kind: str, spec: Spec, argument: str = "") -> Verdict:
    """Whether the thing of a spec can be made and used by `xm`, an encoder with its argument.

    No weights are loaded but those of the argument, and nothing is computed.
    """
    try:
        remark = _encoder(spec, argument) if argument else _CHECKS[kind](spec)
        return Verdict(remark=remark or "")
    except Exception as error:  # a plugin may raise anything
        text = str(error) if isinstance(error, XMError) else described(error)
        return Verdict(problem=" ".join(text.split()))


def _encoder(spec: Spec, argument: str = "") -> str | None:
    from xm import Encoder

    assert isinstance(spec, EncoderSpec)
    reason: str | None = load_target(spec.available)() if spec.available else None
    try:
        target = spec.load()
    except PluginError:
        if reason is None:
            raise
        return f"can't be used here: {reason}"
    _looks_like(target, Encoder)
    if reason is not None and not argument:
        return f"can't be used here: {reason}"
    try:
        encoder = _made(target, Encoder, argument, how='the argument behind the colon of NAME:ARGUMENT, or ""')
    except UsageError as error:
        if not spec.argument or argument:
            raise
        return f"wants an argument: {error}"
    _says_what_it_is(encoder, spec)
    return None


def _says_what_it_is(encoder: Any, spec: EncoderSpec) -> None:
    name = type(encoder).__name__
    for attribute, kind in {"modality": str, "space": str, "dim": int}.items():
        value = getattr(encoder, attribute, None)
        if isinstance(value, bool) or not isinstance(value, kind) or not value:
            what = "has no" if value is None else "has a wrong"
            shown = "" if value is None else f" {value!r}"
            raise PluginError(f"{name} {what} attribute {attribute!r}{shown}: a {_WORDS[attribute]}")
    if encoder.dim < 0:
        raise PluginError(f"{name} has a wrong attribute 'dim' {encoder.dim}: a {_WORDS['dim']}")
    if spec.modality not in (encoder.modality, ANY):
        raise PluginError(f"modality: the spec says {spec.modality!r}, {name} says {encoder.modality!r}")
    if spec.modality != ANY and tuple(encoder.suffixes) != tuple(spec.suffixes):
        raise PluginError(f"suffixes: the spec says {_listed(spec.suffixes)}, {name} says {_listed(encoder.suffixes)}")
    for suffix in encoder.suffixes:
        if not suffix.startswith(".") or suffix != suffix.lower():
            raise PluginError(f"suffix {suffix!r}: write it in lower case, with its dot")
    fingerprint = encoder.fingerprint()
    if not isinstance(fingerprint, str) or not fingerprint:
        raise PluginError(f"{name}.fingerprint() gives {fingerprint!r}, not a text: see xm.fingerprint_of")
    if not isinstance(moved := encoder.to("cpu"), type(encoder)):
        raise PluginError(f"{name}.to(device) gives {moved!r}, not the encoder")


_WORDS = {"modality": 'word, such as "image"', "space": "name of its own", "dim": "whole number above 0"}


def _listed(suffixes: Any) -> str:
    return ", ".join(suffixes) or "none"


def _strategy(spec: Spec) -> None:
    from xm import Strategy

    made = _configured(spec, Strategy)
    if type(made).build is Strategy.build:
        raise PluginError(f"{type(made).__name__} does not write build(self, context)")


def _aligner(spec: Spec) -> None:
    from xm import Aligner

    _configured(spec, Aligner)


def _predictor(spec: Spec) -> None:
    from xm import Predictor

    made = _configured(spec, Predictor)
    if made.scope not in ("item", "set"):
        raise PluginError(f"{type(made).__name__}.scope is {made.scope!r}, not 'item' or 'set'")


def _objective(spec: Spec) -> None:
    from xm import PairObjective, StepObjective

    assert isinstance(spec, ObjectiveSpec)
    if spec.pairs:
        _configured(spec, PairObjective)
        return
    target = spec.load()
    if isinstance(target, type) and issubclass(target, PairObjective):
        raise PluginError(f"{target.__name__} is an objective of pairs: say so in its spec, pairs=True")
    if isinstance(target, type) and issubclass(target, StepObjective):
        target = _configured(spec, StepObjective)
    _takes(target, None, None, None, how="logits, labels, weights")


def _dataset(spec: Spec) -> None:
    _takes(spec.load(), "", how="source, *, suffixes, cache", suffixes={}, cache=Path())


def _view(spec: Spec) -> None:
    _takes(spec.load(), None, None, how="decoded, view")


def _tracker(spec: Spec) -> None:
    _takes(spec.load(), Path(), how="the run's folder")


def _benchmark(spec: Spec) -> None:
    _takes(spec.load(), spec, None, None, None, how="spec, settings, plugins, listener")


def _command(spec: Spec) -> None:
    from xm_cli.commands import Entry, build

    assert isinstance(spec, CommandSpec)
    build(spec.name, Entry.of(spec))


def _configured(spec: Spec, base: type) -> Any:
    """A thing with settings, made with none given."""
    from xm.plugins import Config

    target = spec.load()
    _looks_like(target, base)
    config = getattr(target, "config_type", Config)
    if not (isinstance(config, type) and issubclass(config, Config)):
        raise PluginError(f"{target.__name__}.config_type is {config!r}: derive a class from xm.Config")
    return _made(target, base, None, how="its settings, or None")


def _looks_like(target: Any, base: type) -> None:
    """A class derives from the base, has all its methods, and each takes what the base's does."""
    if not isinstance(target, type):
        return
    if not issubclass(target, base):
        raise PluginError(f"{target.__name__} is no xm.{base.__name__}: derive the class from it")
    if missing := sorted(getattr(target, "__abstractmethods__", ())):
        raise PluginError(f"{target.__name__} does not write {', '.join(missing)}")
    for name, method in inspect.getmembers(base, inspect.isfunction):
        own = getattr(target, name)
        if name.startswith("_") or own is method or not inspect.isfunction(own):
            continue
        parameters = list(inspect.signature(method).parameters)
        if isinstance(inspect.getattr_static(target, name), staticmethod):
            parameters = parameters[1:]
        _takes(own, *parameters, how=", ".join(parameters))


def _takes(target: Any, *given: Any, how: str, **named: Any) -> None:
    """Whether it can be called so."""
    if not callable(target):
        raise PluginError(f"{target!r} can't be called")
    try:
        signature = inspect.signature(target)
    except ValueError:  # it is not written in Python
        return
    try:
        signature.bind(*given, **named)
    except TypeError:
        name = getattr(target, "__qualname__", type(target).__name__)
        own = signature.replace(return_annotation=inspect.Signature.empty)
        raise PluginError(f"{name}{own} does not take what it is called with: {how}") from None


def _made(target: Any, base: type, given: Any, *, how: str) -> Any:
    _takes(target, given, how=how)
    made = target(given)
    if not isinstance(made, base):
        raise PluginError(f"the target gives {type(made).__name__}, which is no xm.{base.__name__}")
    return made


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "encoder": _encoder,
    "strategy": _strategy,
    "aligner": _aligner,
    "objective": _objective,
    "dataset": _dataset,
    "predictor": _predictor,
    "view": _view,
    "tracker": _tracker,
    "benchmark": _benchmark,
    "command": _command,
}
"""By kind. Each returns why the thing was not made, if nothing is wrong with it."""
