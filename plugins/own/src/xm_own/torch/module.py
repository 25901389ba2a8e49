"""A `torch.nn.Module` of the user's as an encoder of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from typing import Any, Self

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import normalize

from xm import PluginError, Preparing, UsageError, fingerprint_of
from xm.data import VIEWS
from xm.encoders import Trunk
from xm.learning import Inputs
from xm.media.images import SUFFIXES, converted, read_image
from xm_own.preprocessing import Pictures
from xm_own.torch.code import Code, telling
from xm_own.torch.function import own_print
from xm_own.torch.settings import GivenOfNetwork


class ModuleEncoder(Preparing):
    """A network from images (n, channels, height, width) to vectors (n, dim), or to maps, whose mean is taken.

    Args:
        code: where the network is.
        network: itself, in evaluation mode.
        words: what is said of it: its preprocessing above all.
        modality: for which it is asked.
        said: its attributes; `preprocessing` may be a function from a Pillow image (RGB) to a tensor (channels, h, w).

    Raises:
        UsageError: for another modality than images.
    """

    modality = "image"
    views = VIEWS

    def __init__(
        self, code: Code, network: nn.Module, words: GivenOfNetwork, modality: str, said: Mapping[str, Any]
    ) -> None:
        if modality != "image":
            raise UsageError(
                f"torch:{code}: a torch.nn.Module is given images; for {modality} write a function of a list of items "
                "that gives vectors (n, dim)"
            )
        self._code, self._network, self._words, self._said = code, network, words, said
        self._preparing = said.get("preprocessing") if callable(said.get("preprocessing")) else None
        self.suffixes = tuple(said.get("suffixes", SUFFIXES))
        self.batch_size = int(said.get("batch_size", 32))
        self.space = words.space or f"torch:{self.fingerprint()[:12]}"

    @cached_property
    def dim(self) -> int:  # type: ignore[override]
        """As was said, else of the vector of a grey image."""
        blank = Image.new("RGB", (64, 64), "grey")
        return int(self._words.dim or self._vectors([self.prepare(blank)]).shape[1])

    @cached_property
    def _weights(self) -> str:
        """Digest of the network's tensors, by name."""
        parts: list[str | bytes] = []
        for name, value in sorted(self._network.state_dict().items()):
            numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            parts += [name, str(value.dtype), repr(tuple(value.shape)), numbers.tobytes()]
        return fingerprint_of(*parts)

    def fingerprint(self) -> str:
        """Of the file, the network's name and weights, preprocessing, torch's version, and its own `fingerprint`."""
        pictures = {name: getattr(self._words, name) for name in sorted(Pictures.model_fields)}
        return own_print(self._code, self._said, self._weights, "its own" if self._preparing else repr(pictures))

    def prepare(self, item: Any) -> Tensor:
        """Pixels (channels, height, width).

        Raises:
            ItemError: if it can't be read as an image.
        """
        if self._preparing is None:
            return torch.from_numpy(self._words.pixels(item))
        image = converted(read_image(item), "RGB", item)
        with telling(f"preprocessing of {self._code}", self._code.file):
            found = self._preparing(image)
        if not isinstance(found, Tensor) or found.ndim != 3:
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise PluginError(f"preprocessing of {self._code}: gives {what}, not a tensor (channels, height, width)")
        return found.float()

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        """``features`` (n, dim)."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        return {"features": self._vectors(prepared)}

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """Frozen at depth 0, all of it open at -1: a copy of the network.

        Raises:
            UsageError: for another depth.
        """
        if depth == 0:
            return super().opened(0)
        if depth != -1:
            known = "depths are 0 (frozen) and -1 (all of it)"
            raise UsageError(f"torch:{self._code} can't be split at depth {depth}; {known}")
        return lambda prepared: {"pixels": self._stacked(prepared)}, Whole(self._network)

    def networks(self) -> tuple[nn.Module, ...]:
        return (self._network,)

    def to(self, device: torch.device | str) -> Self:
        self._network.to(device)
        return super().to(device)

    def _stacked(self, prepared: Sequence[Tensor]) -> Tensor:
        with telling(f"preprocessing of {self._code}", self._code.file, "gives images of several sizes"):
            return torch.stack(list(prepared)).to(self.device)

    def _vectors(self, prepared: Sequence[Tensor]) -> Tensor:
        with torch.no_grad(), telling(self._code, self._code.file):
            found = pooled(self._network(self._stacked(prepared)))
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(prepared):
            what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise PluginError(f"{self._code}: gives {what} for {len(prepared)} images, not a tensor (n, dim)")
        return found


class Whole(nn.Module):
    """A copy of the network as a tail; its batch norm and dropout stay as in evaluation."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = deepcopy(network).requires_grad_(True)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def forward(self, x: Inputs) -> Tensor:
        return normalize(pooled(self.network(x["pixels"])), dim=-1)


def pooled(found: Any) -> Any:
    """Vectors (n, dim) as float32: of maps (n, dim, h, w) their means; anything else as it is."""
    if not isinstance(found, Tensor):
        return found
    return (found.mean(dim=(2, 3)) if found.ndim == 4 else found).float()
