"""A function of the user's as an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from xm import Encoder, ItemError, PluginError, UsageError, fingerprint_of
from xm.data import VIEWS, Member, View, item_name
from xm.encoders import read_text
from xm.learning import Inputs
from xm.media import suffixes
from xm_own.torch.code import Code, telling
from xm_own.torch.settings import Given

SUFFIXES = {"image": suffixes.IMAGES, "audio": suffixes.SOUNDS, "video": suffixes.VIDEOS, "text": (".txt",)}
"""Of the files of a modality, where the function does not say which it reads."""


def own_print(code: Code, said: Mapping[str, Any], *more: str) -> str:
    """The fingerprint of the user's code: its file, the name in it, torch's version, and what it says itself."""
    extra = said.get("fingerprint", "")
    with telling(code, code.file, "its fingerprint fails"):
        extra = str(extra() if callable(extra) else extra)
    return fingerprint_of("xm_own.torch 1", code.name, code.content(), str(torch.__version__), extra, *more)


class FunctionEncoder(Encoder):
    """A function from a list of items to vectors.

    It is called with paths (`pathlib.Path`) of files, and with strings of texts; items that are neither, such as a
    dataset's arrays, as they are. It gives a tensor or array (n, dim), or a list of n vectors. For an item that it
    can't read it may raise `xm.ItemError`; anything else that it raises ends the command.

    Args:
        code: where the function is.
        function: itself.
        words: what is said of it.
        modality: of its items.
        said: its attributes.
    """

    def __init__(
        self, code: Code, function: Callable[[list[Any]], Any], words: Given, modality: str, said: Mapping[str, Any]
    ) -> None:
        self._code, self._function, self._said = code, function, said
        self.modality = modality
        self.suffixes = tuple(said.get("suffixes", SUFFIXES.get(modality, ())))
        self.accepts_names = modality == "text"
        self.views = VIEWS if modality == "text" else ()
        self.batch_size = int(said.get("batch_size", 32))
        self.space = words.space or f"torch:{self.fingerprint()[:12]}"
        self._dim = words.dim

    @property
    def dim(self) -> int:  # type: ignore[override]
        """As was said, else of the first vectors; before there are any, of something made up."""
        if not self._dim:
            self._dim = self._tried()
        return self._dim

    def fingerprint(self) -> str:
        """Of the file, the function's name, the modality, torch's version, and the function's own `fingerprint`."""
        return own_print(self._code, self._said, self.modality)

    def trunk(self, items: Sequence[Any]) -> Inputs:
        """``features`` (n, dim), as the function gives them."""
        if not items:
            return {"features": torch.zeros(0, self.dim)}
        features = self._vectors([self._given(item) for item in items])
        self._dim = self._dim or features.shape[1]
        if features.shape[1] != self._dim:
            raise PluginError(f"{self._code}: gives vectors of {features.shape[1]} numbers, not of {self._dim}")
        return {"features": features}

    def _given(self, item: Any) -> Any:
        """An item as the function is given it."""
        if self.modality == "text":
            return read_text(item)
        if isinstance(item, View):
            raise ItemError(item_name(item), f"{self._code} sees items as they are, in no other view")
        if isinstance(item, Member):
            raise ItemError(item, f"is in a tar, and {self._code} reads files; unpack it")
        if not isinstance(item, str | Path):
            return item
        if not Path(item).is_file():
            raise ItemError(item, "no such file")
        return Path(item)

    def _vectors(self, given: list[Any]) -> Tensor:
        with torch.no_grad(), telling(self._code, self._code.file):
            made = self._function(given)
        with telling(self._code, self._code.file, "gives no vectors (n, dim)"):
            if isinstance(made, list | tuple):
                made = torch.stack([torch.as_tensor(row) for row in made])
            features = torch.as_tensor(made).detach().float()
        if features.ndim != 2 or len(features) != len(given):
            shape = tuple(features.shape)
            raise PluginError(f"{self._code}: gives {shape} for {len(given)} items, not a vector for each, (n, dim)")
        return features

    def _tried(self) -> int:
        """The length of the vector of something made up."""
        with TemporaryDirectory() as folder:
            found = _made_up(self.modality, Path(folder))
            if found is None:
                how = f"type torch:{self._code}?dim=512, or set {self._code.name}.dim in your code"
                raise UsageError(f"torch:{self._code}: how long are its vectors? {how}")
            return self._vectors([found]).shape[1]


def _made_up(modality: str, folder: Path) -> Any:
    """An item of a modality: a word, or a file of noise; None if it can't be made up."""
    rng = np.random.default_rng(0)
    if modality == "text":
        return "word"
    if modality == "image":
        path = folder / "noise.png"
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
        return path
    if modality == "audio":
        import soundfile

        path = folder / "noise.wav"
        soundfile.write(path, rng.uniform(-0.5, 0.5, 16_000).astype(np.float32), 16_000)
        return path
    return None
