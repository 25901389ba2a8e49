"""The text and the image encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xm import Preparing, UsageError, fingerprint_of
from xm.encoders import Trunk, note_cut, read_text
from xm.learning import Inputs
from xm.media.images import SUFFIXES, VIEWS, converted, read_image
from xm.plugins import Weights
from xm_hub.sentence_transformers import model
from xm_hub.sentence_transformers.reference import resolve
from xm_hub.sentence_transformers.tails import IDS, filled, split

_ENDLESS = 1_000_000
"""Tokens from which a stated limit is none: tokenizers without one say 1e30."""


class _Encoder(Preparing):
    """One modality of a model. Encoders of one reference share the model in memory, and the space."""

    def __init__(self, argument: str = "") -> None:
        """Resolve the reference; weights load on the first call of `trunk` or `split`.

        Raises:
            UsageError: if it is no model of sentence-transformers, an option is wrong, or it would run code.
            PluginError: if its list of modules is not here and can't be downloaded.
        """
        self._reference = resolve(argument)
        self.dim = model.dimension(self._reference)
        self.space = self._reference.space()

    def pretrained(self) -> tuple[Weights, ...]:
        return self._reference.pretrained()

    def networks(self) -> tuple[nn.Module, ...]:
        return (self._model(),)

    def _model(self) -> Any:
        return model.load(self._reference, str(self.device))

    def _opened(
        self, depth: int, main: str, rows: Callable[[Sequence[Any]], dict[str, Any]]
    ) -> tuple[Trunk, nn.Module]:
        """The model in two.

        Args:
            depth: k or -1.
            main: name of the large input.
            rows: the model's inputs of prepared items, a row each, and the settings beside them.
        """
        made = self._model()
        told = f"the {self.modality} tower ({self._kind(made)}) can't be split at depth {depth}"
        inputs = rows([self._sample()])
        front, tail = split(made, main, inputs, depth, self.dim, told)

        def trunk(prepared: Sequence[Any]) -> Inputs:
            given = rows(prepared) if prepared else inputs
            x = front({name: value.to(self.device) for name, value in given.items() if isinstance(value, Tensor)})
            return x if prepared else {name: value[:0] for name, value in x.items()}

        return trunk, tail

    @staticmethod
    def _kind(made: Any) -> str:
        return type(getattr(made[0], "auto_model", made[0])).__name__

    @abstractmethod
    def _sample(self) -> Any:
        """Some prepared item, to try the model with."""

    def _embedded(self, features: dict[str, Any]) -> Inputs:
        """``features`` (n, dim) of what the model's preprocessing gives."""
        moved = {
            name: value.to(self.device) if isinstance(value, Tensor) else value for name, value in features.items()
        }
        with torch.no_grad():
            found: Tensor = self._model()(moved)["sentence_embedding"].float()
        if found.shape[1] < self.dim:
            raise UsageError(
                f"{self._reference.name}: its settings say {self.dim} dimensions, it gives {found.shape[1]}"
            )
        return {"features": found[:, : self.dim].cpu()}

    @abstractmethod
    def compute(self, prepared: Sequence[Any]) -> Inputs: ...


class TextEncoder(_Encoder):
    """Texts to sentence embeddings. Items: strings, and `Path`s of .txt files; cut at the model's number of tokens.

    The prompt, or prefix, stands before every text, class names too.
    """

    modality = "text"
    suffixes = (".txt",)
    views = VIEWS
    accepts_names = True
    sized = True

    def fingerprint(self) -> str:
        """Of weights, modules, tokenizer and prompt; weights are downloaded for it, not loaded."""
        return fingerprint_of("xm_sentence_transformers 1", "text", self._reference.identity(), self._reference.prompt)

    def prepare(self, item: Any) -> str:
        """The text itself; tokens are of a batch."""
        text, most = read_text(item), self._most()
        whole = self._reference.prompt + text
        if most is not None and len(whole.encode()) + 2 > most:  # a token has a byte or more
            with model.LOCK:
                made = self._model().tokenizer
                if len(made(whole, truncation=True, max_length=most + 1)["input_ids"]) > most:
                    note_cut(item, most)
        return text

    def size(self, prepared: str) -> int:
        return len(prepared)

    def compute(self, prepared: Sequence[str]) -> Inputs:
        """``features`` (n, dim), as `SentenceTransformer.encode` gives them."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        return self._embedded(self._coded(prepared))

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The model in two; the tail is a copy, whose token embeddings can be replaced at -1 if it has them.

        Outputs have the length of the model's limit, so that rows of any batches can be stacked.

        Args:
            depth: 0: none; k: the last k blocks of the network and the modules behind it; -1: all.

        Raises:
            UsageError: for another depth, or a model without a network of transformers, or without a limit.
        """
        if depth == 0:
            return super().opened(0)
        most, made = self._most(), self._model()
        if most is None or not hasattr(made[0], "auto_model"):
            raise UsageError(f"{self._reference.name} can't be split at depth {depth}; it is frozen (depth 0)")
        return self._opened(depth, IDS, lambda prepared: filled(self._coded(prepared), most, made))

    def _sample(self) -> str:
        return "some words, one after the other"

    def _most(self) -> int | None:
        """Tokens that the model reads; None: any number."""
        most = self._model().max_seq_length
        return int(most) if most is not None and most < _ENDLESS else None

    def _coded(self, texts: Sequence[str]) -> dict[str, Any]:
        made = self._model()
        # Of a model that reads images too, a text that ends in ".jpg" would be one.
        items = [{"text": text} for text in texts] if len(made.modalities) > 1 else list(texts)
        with model.LOCK:
            coded: dict[str, Any] = dict(made.preprocess(items, prompt=self._reference.prompt or None))
        return coded


class ImageEncoder(_Encoder):
    """Images by the tower of a model that has one, such as CLIP's; prompts are of no effect.

    Items: paths, Pillow images, uint8 arrays (h, w), (h, w, 3) or (h, w, 4); EXIF orientation is applied.
    """

    modality = "image"
    suffixes = SUFFIXES
    views = VIEWS

    def __init__(self, argument: str = "") -> None:
        super().__init__(argument)
        if not model.images(self._reference):
            raise UsageError(f"{self._reference.name}: the model reads no images; it is for text")

    def fingerprint(self) -> str:
        """Of weights, modules and preprocessing; weights are downloaded for it, not loaded."""
        return fingerprint_of("xm_sentence_transformers 1", "image", self._reference.identity(), "rgb, exif-transposed")

    def prepare(self, item: Any) -> Tensor:
        """Pixels (3, height, width), by the model's own preprocessing.

        Raises:
            ItemError: if it can't be read.
            UsageError: if the model makes anything else of an image than pixels of one size.
        """
        features = self._model().preprocess([converted(read_image(item), "RGB", item)])
        pixels = features.get("pixel_values")
        if features.get("modality") != "image" or not isinstance(pixels, Tensor) or pixels.ndim != 4:
            raise UsageError(
                f"{self._reference.name}: reads images as parts of messages; towers like CLIP's are read here"
            )
        return pixels[0]

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        """``features`` (n, dim), as `SentenceTransformer.encode` gives them."""
        if not prepared:
            return {"features": torch.zeros(0, self.dim)}
        return self._embedded(self._rows(prepared))

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The tower in two; the tail is a copy.

        Args:
            depth: 0: none; k: the last k blocks and what follows them; -1: all of it, from pixels.

        Raises:
            UsageError: for another depth, or a tower that can't be split there.
        """
        if depth == 0:
            return super().opened(0)
        return self._opened(depth, "pixel_values", self._rows)

    def _rows(self, prepared: Sequence[Tensor]) -> dict[str, Any]:
        return {"pixel_values": torch.stack(list(prepared)), "modality": "image"}

    def _sample(self) -> Tensor:
        return self.prepare(_grey())


def _grey() -> Any:
    from PIL import Image

    return Image.linear_gradient("L")
