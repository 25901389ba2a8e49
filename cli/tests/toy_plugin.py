"""A single-file plugin for tests: words and signs in one space, a dataset of them, and commands.

A word is letters; its features count hashed pairs of letters. A sign is a word said by other means: an array with
the word's features.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xm
from xm import BenchmarkSpec, CommandSpec, DatasetSpec, EncoderSpec, ItemError, hookimpl

DIM = 64
CLASSES = ("apple", "house", "river")
ENDINGS = ("tree", "s", "boat", "ly", "garden", "ing", "song", "er", "hill", "lamp", "door", "snow")
SPLITS = ("train", "train", "train", "train", "val", "val", "test", "test", "test", "test", "test", "test")


def hello() -> None:
    """Say hello."""
    print("hello from the toy plugin")


def fail() -> None:
    """Fail as a bug would."""
    raise ZeroDivisionError("a bug\nin two lines")


def interrupt() -> None:
    """Behave as if Ctrl-C had been pressed."""
    raise KeyboardInterrupt


NO_COMMAND = 3


def counts(word: str) -> list[float]:
    pairs = [word[i : i + 2] for i in range(len(word) - 1)]
    found = [0.0] * DIM
    for pair in pairs:
        found[zlib.crc32(pair.encode()) % DIM] += 1.0
    return found


def open_toys(source: str, *, suffixes: Mapping[str, str], cache: Path) -> Any:
    import numpy as np

    from xm import Dataset, Sample

    samples = []
    for label, name in enumerate(CLASSES):
        for ending, split in zip(ENDINGS, SPLITS, strict=True):
            word = name + ending
            samples.append(Sample(word, "word", label, split, group=ending))
            samples.append(Sample(np.asarray(counts(word), dtype=np.float32), "sign", label, split, pair=word))
    return Dataset("toys", CLASSES, tuple(samples), notes=("Toys are words and signs.",))


def make_word_encoder(argument: str) -> Any:
    import torch

    class Words(xm.Encoder):
        modality = "word"
        suffixes = (".word",)
        space = "toy"
        dim = DIM
        accepts_names = True

        def fingerprint(self) -> str:
            return xm.fingerprint_of("toy words", 1)

        def trunk(self, items: Sequence[Any]) -> dict[str, torch.Tensor]:
            return {"features": torch.tensor([counts(self.read(item)) for item in items])}

        def read(self, item: Any) -> str:
            text = item.read_text().strip() if isinstance(item, Path) else str(item)
            if len(text) < 2:
                raise ItemError(item, "not a word")
            return text

    return Words()


def make_sign_encoder(argument: str) -> Any:
    import numpy as np
    import torch

    class Signs(xm.Encoder):
        modality = "sign"
        space = "toy"
        dim = DIM

        def fingerprint(self) -> str:
            return xm.fingerprint_of("toy signs", 1)

        def trunk(self, items: Sequence[Any]) -> dict[str, torch.Tensor]:
            return {"features": torch.from_numpy(np.stack([np.asarray(item) for item in items]))}

    return Signs()


def why_not() -> str:
    return "its weights are missing; type: get weights"


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="toy-words",
            target="toy_plugin:make_word_encoder",
            summary="letters",
            modality="word",
            suffixes=(".word",),
            priority=1,
        ),
        EncoderSpec(name="toy-signs", target="toy_plugin:make_sign_encoder", modality="sign", priority=1),
        EncoderSpec(
            name="toy-missing",
            target="toy_plugin:make_word_encoder",
            modality="smell",
            available="toy_plugin:why_not",
            priority=5,
        ),
    ]


@hookimpl
def benchmarks() -> list[BenchmarkSpec]:
    return [BenchmarkSpec(name="toy", target="xm.experiment:few_shot", modality="word")]


@hookimpl
def datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name="toys", target="toy_plugin:open_toys", summary="words and signs")]


@hookimpl
def commands() -> list[CommandSpec]:
    return [
        CommandSpec(name="toy-hello", target="toy_plugin:hello", summary="Say hello."),
        CommandSpec(name="toy-fail", target="toy_plugin:fail", summary="Fail."),
        CommandSpec(name="toy-interrupt", target="toy_plugin:interrupt", summary="Be interrupted."),
        CommandSpec(name="toy-absent", target="no_such_module:command", summary="Its module is missing."),
        CommandSpec(name="toy-number", target="toy_plugin:NO_COMMAND", summary="It is no function."),
        CommandSpec(name="toy-count", target="toy_plugin:hello", summary="In a group.", group="data"),
        CommandSpec(name="toy-new", target="toy_plugin:hello", summary="In a new group.", group="toys"),
        CommandSpec(
            name="toy-break",
            target="toy_plugin:interrupt",
            summary="Be interrupted in a group.",
            group="toys",
            group_summary="Play with toys.",
            kept="half a toy was kept",
        ),
    ]
