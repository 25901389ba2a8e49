"""Synthetic tasks: small, learnable, and the same in every process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.alignment.maps import Affine
from xm.encoders.encoder import Prototypes, Tail
from xm.foundation.errors import no_semantics
from xm.learning.context import Context, Known
from xm.learning.model import Behind, LinearClassifier, Tower, Towers, class_means
from xm.learning.start import Start, begin
from xm.learning.strategy import Strategy, make_strategy
from xm.learning.stream import Inputs, Reader, Reading, Stream
from xm.plugins.plugin_manager import manager
from xm.testing._readings import OTHER_DIM as OTHER_DIM, also as also
from xm.testing._space import (
    AUXILIARY as AUXILIARY,
    CLASSES as CLASSES,
    DIM as DIM,
    DRAWN,
    NAMES as NAMES,
    SALT,
    TARGET as TARGET,
    turned,
)
from xm.testing._things import (
    GROUPS as GROUPS,
    KNOWN as KNOWN,
    THINGS as THINGS,
    ThingEncoder as ThingEncoder,
    align_context as align_context,
)

THEIRS = ("Ants", "Honey bee", "Tabby cat")
"""Of the classifier that the target's encoder was trained with: near the first classes."""


class OpenTail(nn.Module):
    """A tail of one layer, which starts as what the frozen tail does. Reads ``features``."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(DIM, DIM, bias=False)
        nn.init.eye_(self.layer.weight)

    def forward(self, x: Inputs) -> Tensor:
        return normalize(self.layer(x["features"]), dim=-1)


class Words(OpenTail):
    """A tail for prompts: the mean of a text's word vectors. A class's name lies where its samples are."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(50)
        table = 0.1 * torch.randn(VOCABULARY, DIM, generator=generator)
        table[1 : 1 + len(CLASSES)] += _directions() @ turned(NAMES, DIM)
        self.words = nn.Embedding(VOCABULARY, DIM, _weight=table)

    def embed(self, x: Inputs) -> Tensor:
        embedded: Tensor = self.words(x["ids"])
        return embedded

    def forward(self, x: Inputs) -> Tensor:
        tokens = x["tokens"] if "tokens" in x else self.embed(x)
        mask = (x["ids"] > 0)[..., None]
        return super().forward({"features": (tokens * mask).sum(dim=1) / mask.sum(dim=1)})


VOCABULARY = 64
LENGTH = 12
"""Of a text, in words; 0 stands for none."""


def word_ids(texts: Sequence[str]) -> Tensor:
    """Texts (n) as numbers of words (n, LENGTH). The classes' names have 1 to 5, the letter x 6."""
    known = {word: i for i, word in enumerate((*CLASSES, "x"), start=1)}
    rows = []
    for text in texts:
        words = [word.strip(".,").lower() for word in text.split()][:LENGTH]
        ids = [known.get(word, len(known) + 1 + sum(word.encode()) % (VOCABULARY - len(known) - 1)) for word in words]
        rows.append(ids + [0] * (LENGTH - len(ids)))
    return torch.tensor(rows)


def read_texts(texts: Sequence[str], depth: int = 0) -> Stream:
    """Trunk outputs of the names' encoder: ``ids`` where it is open as a whole, else ``features``."""
    ids = word_ids(texts)
    with torch.no_grad():
        return Stream(NAMES, {"ids": ids} if depth == -1 else {"features": Words()({"ids": ids})})


def towers(depths: Mapping[str, int] | None = None) -> Towers:
    """Trunk outputs of "seen" are home already; those of the others are turned, and their towers turn them back.

    Args:
        depths: of the modalities that are opened; their tails can be trained.
    """
    depths = depths or {}
    found = {}
    for name in (TARGET, *AUXILIARY):
        turn = [] if name == TARGET else [Affine(turned(name, DIM).T.contiguous(), torch.zeros(DIM))]
        depth = depths.get(name, 0)
        if not depth:
            found[name] = Tower(nn.Sequential(Tail(), *turn))
            continue
        tail = Words() if (name, depth) == (NAMES, -1) else OpenTail()
        found[name] = Tower(Behind(tail, nn.Sequential(Tail(), *turn)) if turn else tail)
    return Towers(found)


def begun(towers: Towers, tails: Mapping[str, Mapping[str, Tensor]]) -> Towers:
    """The towers, with what another training changed of their tails, by modality."""
    for modality, tensors in tails.items():
        begin(towers[modality], tensors)
    return towers


def trunk_outputs(modality: str, per_class: int, draw: int, depth: int = 0) -> Stream:
    """`per_class` samples a class: an orthogonal direction a class, an offset a modality, and noise.

    Sample i of each modality is of pair i, but for the first, which has none; two and two are a group; there are two
    origins. Texts at their words come without.

    Args:
        draw: another number gives other samples of the same classes.
        depth: at which the encoder is opened.
    """
    y = torch.arange(len(CLASSES)).repeat_interleave(per_class)
    if (modality, depth) == (NAMES, -1):
        return replace(read_texts([f"{CLASSES[label]} w{draw}{i}" for i, label in enumerate(y)], depth), y=y)
    offset = 0.5 * turned(TARGET, DIM)[len(CLASSES) + SALT[modality]]
    generator = torch.Generator().manual_seed(1000 * SALT[modality] + draw)
    noise = torch.randn(len(y), DIM, generator=generator)
    x = _directions()[y] + offset + 0.2 * noise
    features = 3 * x if modality == TARGET else 3 * x @ turned(modality, DIM)
    row = torch.arange(len(y))
    number = DRAWN * draw + row
    pair = torch.where(row > 0, number, -1)
    return Stream(modality, {"features": features}, y, pair=pair, group=number // 2, origin=row % 2)


def known(kind: Literal["texts", "matrix", "triples"]) -> Known:
    """What is known of the classes: 1 to 5 texts of each; 8 attributes, others of each class; or a triple each."""
    if kind == "texts":
        texts = towers().embed(trunk_outputs(NAMES, len(CLASSES), draw=6))
        place = torch.arange(len(texts)) % len(CLASSES)
        return texts[torch.nonzero(place <= texts.labels).flatten()]
    if kind == "matrix":
        return torch.randn(len(CLASSES), 8, generator=torch.Generator().manual_seed(60))
    return tuple((name, "is a", "animal") for name in CLASSES)


def context(
    aux: Iterable[str],
    *,
    shots: int = 4,
    target: bool = True,
    val: bool = True,
    seed: int = 1,
    depths: Mapping[str, int] | None = None,
    unlabelled: bool = False,
    order: int = 0,
    semantics: Mapping[str, Literal["texts", "matrix", "triples"]] | None = None,
    runs: Sequence[Start] = (),
    tails: Mapping[str, Mapping[str, Tensor]] | None = None,
    readings: Mapping[str, Reading] | None = None,
) -> Context:
    """A new context; nothing in it is shared with another one.

    Args:
        aux: of `AUXILIARY`.
        target: whether train has samples of the target.
        depths: of the modalities that are opened.
        unlabelled: whether there are samples of the target without labels, 12 a class.
        order: another number gives unlabelled samples in another order.
        semantics: what is known of the classes: a kind by name.
        runs: that the strategy is to start from.
        tails: what opened towers take over of them (`Strategy.tuned`), by modality.
        readings: of the target's samples.
    """
    there = semantics or {}

    def read_semantics(name: str) -> Known:
        if name not in there:
            raise no_semantics(name, there)
        return known(there[name])

    ways, given = begun(towers(depths), tails or {}), depths or {}

    def samples(modality: str, per_class: int, draw: int) -> Stream:
        depth = given.get(modality, 0)
        found = trunk_outputs(modality, per_class, draw, depth)
        found = found if depth else ways.embed(found)
        return also(found, readings or {}) if modality == TARGET else found

    def without_labels() -> Stream:
        found = replace(samples(TARGET, 12, draw=6), y=None)
        return found[torch.randperm(len(found), generator=torch.Generator().manual_seed(order))]

    modalities = ([TARGET] if target else []) + list(aux)
    return Context(
        classes=CLASSES,
        target=TARGET,
        dim=DIM,
        train={name: samples(name, shots, draw=1) for name in modalities},
        val=samples(TARGET, min(shots, 4), draw=2) if val else None,
        named=frozenset(modalities) & {NAMES},
        towers=ways,
        read_names=lambda: towers().embed(trunk_outputs(NAMES, 2, draw=3)),
        read_semantics=read_semantics,
        read_texts=partial(read_texts, depth=given.get(NAMES, 0)),
        seed=seed,
        unlabelled={TARGET: without_labels()} if unlabelled else {},
        namer=NAMES,
        depths=given,
        read_prototypes=lambda: {TARGET: Prototypes(THEIRS, _directions()[: len(THEIRS)])},
        make=lambda name, settings: make_strategy(name, settings, manager()),
        runs=runs,
        readings=readings or {},
        make_reader=reader,
    )


def reader(reference: str) -> Reader:
    """What is known of the encoder of a synthetic reading: the names in its space, and no classifier."""
    texts = towers().embed(trunk_outputs(NAMES, 2, draw=3))
    return Reader(OTHER_DIM, also(texts, {reference: Reading(encoder=reference)}).reading(reference))


class ClassMeans(Strategy):
    """Class means of the target, a strategy with which nothing is wrong: what the broken ones of tests derive from."""

    def build(self, context: Context) -> nn.Module:
        weight = class_means(context.train[context.target], len(context.classes))
        return LinearClassifier(context.towers, self.weight(weight, context), 10.0, trainable=False)

    def weight(self, weight: Tensor, context: Context) -> Tensor:
        """The rows (classes, dim) from the class means."""
        return weight


def held_out() -> Stream:
    """Trunk outputs of the target, that no context holds: 200 samples."""
    return trunk_outputs(TARGET, 40, draw=4)


def _directions() -> Tensor:
    """A unit vector for each class, orthogonal to the others: (classes, DIM)."""
    return turned(TARGET, DIM)[: len(CLASSES)]
