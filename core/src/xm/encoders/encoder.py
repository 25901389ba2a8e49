"""Encoders: items of one modality to unit vectors in a named space."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm.data.views import VIEWS, kinds
from xm.foundation.errors import UsageError
from xm.learning.stream import Inputs, Prototypes as Prototypes
from xm.plugins.weights import Weights

Trunk: TypeAlias = Callable[[Sequence[Any]], Inputs]
"""The frozen part of an encoder: items to named tensors. Its outputs are what the feature store keeps."""


class Tail(nn.Module):
    """The tail at depth 0: ``features`` (n, dim), scaled to unit length."""

    def forward(self, x: Inputs) -> Tensor:
        return normalize(x["features"], dim=-1)


@runtime_checkable
class Promptable(Protocol):
    """A tail of a text encoder opened at depth -1, whose token embeddings can be replaced: prompts can be learned."""

    def embed(self, x: Inputs) -> Tensor:
        """The token embeddings (n, length, width) of the trunk's ``ids`` (n, length), without positions.

        What lies behind the end of all n texts may be left out.
        """
        ...

    def __call__(self, x: Inputs) -> Tensor:
        """Unit vectors (n, dim), from ``tokens`` (n, length, width) in place of `embed`'s where `x` holds them."""
        ...


@runtime_checkable
class Placed(Protocol):
    """An encoder that gives a vector for each place of an item too: cells of an image, moments of a sound.

    Attributes:
        pooled: whether an item's vector is the mean of its places, scaled to unit length.
    """

    pooled: bool

    def places(self, items: Sequence[Any]) -> Inputs:
        """Local vectors of n items, on any device; they are computed anew each time, as they are large.

        Returns:
            ``tokens`` (n, m, dim), float32: vectors in the encoder's own space, of any length; ``mask`` (n, m), bool:
            which of them an item has, the others are zeros; ``grid`` (n, m, axes), float32: where their middles lie,
            0..1 of what the encoder sees: (down, right) in an image, (time,) in a sound or a video.

        Raises:
            ItemError: for an item that can't be read. Rows never depend on the other items, but for how many zeros
                stand behind them.
        """
        ...


class Encoder(ABC):
    """Maps items of one modality to unit vectors in a space.

    A subclass sets the attributes and writes `fingerprint` and `trunk`. Constructing one is cheap: weights load on
    the first call of `trunk`.

    Attributes:
        modality: what it encodes: "image", "text", "audio", or any other word.
        suffixes: of the files it reads, lower case with the dot.
        space: name of its embedding space; encoders with equal `space` are comparable.
        dim: of the embeddings.
        accepts_names: whether an item may be a string in words, such as a class name.
        views: kinds of other views of an item that `trunk` can be given (`xm.data.View`): "flip", "crop";
            `xm.data.VIEWS` of one that reads items by `xm.media` or `read_text`: all that plugins register.
        batch_size: that suits `trunk` on a CPU.
        cached: whether the feature store keeps trunk outputs on disk.
        device: where it computes.
    """

    modality: str
    suffixes: tuple[str, ...] = ()
    space: str
    dim: int
    accepts_names: bool = False
    views: tuple[str, ...] = ()
    batch_size: int = 32
    cached: bool = True
    device: torch.device = torch.device("cpu")

    @abstractmethod
    def fingerprint(self) -> str:
        """Identifies weights, preprocessing and length policy: equal fingerprints give equal outputs.

        Loads no model. `fingerprint_of` makes one from files and settings.
        """

    @abstractmethod
    def trunk(self, items: Sequence[Any]) -> Inputs:
        """The frozen outputs for n items, before normalisation, on any device.

        Returns:
            ``features`` (n, dim), float32; and, of an encoder with prototypes, ``scores``
            (n, classes): the class probabilities.

        Raises:
            ItemError: for an item that can't be read. Rows never depend on the other items.
        """

    def encode(self, items: Sequence[Any]) -> Tensor:
        """Unit vectors (n, dim) for n items, in their order."""
        if not items:
            return torch.zeros(0, self.dim)
        trunk, tail = self.split(0)
        with torch.inference_mode():
            parts = [tail(trunk(items[i : i + self.batch_size])) for i in range(0, len(items), self.batch_size)]
        return torch.cat(parts)

    def split(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The encoder as a frozen trunk, whose outputs can be cached, and a trainable tail.

        Args:
            depth: 0: the tail only normalises; k > 0: it holds the last k blocks; -1: all of them.

        Raises:
            UsageError: if the encoder can't be split there.
        """
        if depth != 0:
            raise UsageError(
                f"the {self.modality} encoder ({type(self).__name__}) has no blocks to open (depth {depth}); "
                f"choose one that has (--{self.modality}-encoder NAME), or a strategy that leaves encoders frozen"
            )
        return self.trunk, Tail()

    def prototypes(self) -> Prototypes | None:
        """The encoder's own classifier, if it was trained with one."""
        return None

    def pretrained(self) -> tuple[Weights, ...]:
        """The files that parameters come from, on this machine or not yet; `xm weights` shows and gets them."""
        return ()

    def networks(self) -> tuple[nn.Module, ...]:
        """What `trunk` calls of PyTorch: `xm.embed` may lay out, cast and compile it to be faster (`Way`)."""
        return ()

    def to(self, device: torch.device | str) -> Self:
        """Compute on `device` from now on. Encoders bound to the CPU may ignore it."""
        self.device = torch.device(device)
        return self


class Preparing(Encoder):
    """An encoder whose reading is apart from its computing, so that items are read ahead, in threads.

    A subclass writes `prepare` and `compute` instead of `trunk`, and `opened` instead of `split`.

    Attributes:
        sized: whether batches of items of like `size` are computed faster.
    """

    sized: bool = False

    @abstractmethod
    def prepare(self, item: Any) -> Any:
        """An item, ready for `compute`: decoded, resized, cut into tokens. It is called from several threads at once.

        Raises:
            ItemError: if it can't be read.
        """

    @abstractmethod
    def compute(self, prepared: Sequence[Any]) -> Inputs:
        """What `trunk` gives, of n items that were prepared."""

    def size(self, prepared: Any) -> int:
        """How large a prepared item is, such as its tokens; of use if `sized`."""
        return 0

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """As `split`, but for items that were prepared: at depth 0, `compute` and a tail that only normalises.

        Raises:
            UsageError: if the encoder can't be split there.
        """
        return self.compute, super().split(depth)[1]

    def trunk(self, items: Sequence[Any]) -> Inputs:
        return self.compute([self.prepare(item) for item in items])

    def split(self, depth: int) -> tuple[Trunk, nn.Module]:
        compute, tail = self.opened(depth)
        return lambda items: compute([self.prepare(item) for item in items]), tail


def known_views(encoder: Encoder) -> tuple[str, ...]:
    """The kinds of views that an encoder's `trunk` can be given, by name."""
    return kinds(encoder.modality) if encoder.views == VIEWS else encoder.views


def prepare(encoder: Encoder, item: Any) -> Any:
    """An item as `compute` takes it: prepared by an encoder that can, else as it is.

    For encoders built on others, which are `Preparing` whatever those are.

    Raises:
        ItemError: if it can't be read.
    """
    return encoder.prepare(item) if isinstance(encoder, Preparing) else item


def compute(encoder: Encoder, prepared: Sequence[Any]) -> Inputs:
    """What the encoder's `trunk` gives, of n items that went through `prepare`.

    Raises:
        ItemError: for an item that can't be read, by an encoder that reads only now.
    """
    return encoder.compute(prepared) if isinstance(encoder, Preparing) else encoder.trunk(prepared)


class Derived(Encoder):
    """An encoder on top of another one, whose outputs are the ones to keep: what is added is cheap.

    A subclass writes `derive`, `fingerprint`, and sets `space` and `dim`; what it reads is as of `base`.

    Attributes:
        base: the encoder below.
        depth: of its trunk outputs that are taken.
    """

    def __init__(self, base: Encoder, depth: int = 0) -> None:
        self.base = base
        self.depth = depth
        self.modality, self.suffixes, self.accepts_names = base.modality, base.suffixes, base.accepts_names
        self.views, self.batch_size, self.cached, self.device = base.views, base.batch_size, base.cached, base.device

    @abstractmethod
    def derive(self, x: Inputs) -> Inputs:
        """Trunk outputs, from those of `base`."""

    def trunk(self, items: Sequence[Any]) -> Inputs:
        x = self.base.split(self.depth)[0](items)
        return self.derive({name: value.to(self.device) for name, value in x.items()})

    def pretrained(self) -> tuple[Weights, ...]:
        return self.base.pretrained()

    def networks(self) -> tuple[nn.Module, ...]:
        return self.base.networks()

    def to(self, device: torch.device | str) -> Self:
        self.base.to(device)
        return super().to(device)


def fingerprint_of(*parts: str | int | float | Path | bytes) -> str:
    """A fingerprint over settings (by value) and files (by content), as 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, Path):
            with part.open("rb") as file:
                data = hashlib.file_digest(file, "blake2b").digest()
        else:
            data = part if isinstance(part, bytes) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()
