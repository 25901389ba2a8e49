"""The image encoder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xm import Preparing, Prototypes, fingerprint_of
from xm.encoders import Trunk
from xm.learning import Inputs
from xm.media.images import SUFFIXES, VIEWS, converted, read_image
from xm.plugins import Weights
from xm_hub.timm import labels, model, places
from xm_hub.timm.reference import Reference, resolve

Front = Callable[[Any, Tensor], dict[str, Tensor]]
"""A frozen stage: a model and pixels (n, channels, height, width) to named tensors."""


class Timm(Preparing):
    """Images to the features before the head of a model of timm.

    Items: paths, Pillow images, uint8 arrays (h, w), (h, w, 3) or (h, w, 4); EXIF orientation is applied.
    """

    modality = "image"
    suffixes = SUFFIXES
    views = VIEWS

    def __init__(self, reference: Reference, shape: model.Shape) -> None:
        """Take a model as resolved; weights load on the first call of `trunk` or `split`."""
        self._reference, self._shape = reference, shape
        self.space = reference.space()
        self.dim = shape.dim

    def fingerprint(self) -> str:
        """Of weights, architecture and preprocessing; weights of the hub are downloaded for it, not loaded."""
        shape = self._shape
        how = (shape.preprocessing, f"{shape.mode}, exif-transposed")
        return fingerprint_of("xm_timm 1", self._reference.identity(), shape.settings(), *how)

    def pretrained(self) -> tuple[Weights, ...]:
        return self._reference.pretrained()

    def prepare(self, item: Any) -> Tensor:
        """Pixels (channels, height, width), by timm's transform for evaluation.

        Raises:
            ItemError: if it can't be read.
        """
        return self._shape.transform()(converted(read_image(item), self._shape.mode, item))

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        """``features`` (n, dim), not normalised; ``scores`` (n, classes) of a classifier whose names are known."""
        last = self._classifier()

        def features(module: Any, pixels: Tensor) -> dict[str, Tensor]:
            found = module.forward_head(module.forward_features(pixels), pre_logits=True).float()
            if last is None:
                return {"features": found}
            logits = nn.functional.linear(found, last.weight.flatten(1), last.bias)
            return {"features": found, "scores": logits.softmax(dim=1)}

        return self._run(features, prepared)

    def prototypes(self) -> Prototypes | None:
        """The head's classes: ImageNet's, or those that the configuration names; None of other heads, and of none."""
        last, names = self._classifier(), self._names()
        if last is None or names is None:
            return None
        return Prototypes(names, last.weight.detach().flatten(1).float().cpu().clone())

    def opened(self, depth: int) -> tuple[Trunk, nn.Module]:
        """The model in two; the tail is a copy, so that training it leaves the shared model as it was.

        Args:
            depth: 0: none; k: the last k blocks of a transformer, else the last k stages, and what follows them;
                -1: all, from pixels.

        Raises:
            UsageError: for another depth, or a model that does not go block by block at any but 0 and -1.
        """
        if depth == 0:
            return super().opened(0)
        from xm_hub.timm import tails

        front, tail = tails.split(self._model(), depth, self._size())
        return lambda prepared: self._run(front, prepared), tail

    def networks(self) -> tuple[nn.Module, ...]:
        return (self._model(),)

    def _model(self) -> Any:
        return model.load(self._reference, str(self.device))

    def _names(self) -> labels.Names | None:
        if self._reference.seed is not None:
            return None
        module = self._model()
        return labels.class_names(module.pretrained_cfg, module.num_classes)

    def _classifier(self) -> nn.Linear | nn.Conv2d | None:
        """The last layer, if the names of its classes are known."""
        last = model.classifier(self._model())
        fits = last is not None and last.weight.flatten(1).shape[1] == self.dim
        return last if fits and self._names() is not None else None

    def _run(self, front: Front, prepared: Sequence[Tensor]) -> Inputs:
        """Pixels, each (channels, height, width), through a frozen part; its outputs stay on the device."""
        none = not prepared  # not every model takes no image: one is made up, and its rows are left out
        pixels = torch.zeros(1, *self._size()) if none else torch.stack(list(prepared))
        with torch.no_grad():
            found = front(self._model(), pixels.to(self.device))
        return {name: value[:0] for name, value in found.items()} if none else found

    def _size(self) -> tuple[int, ...]:
        """Of the pixels of an image: channels, height, width."""
        return tuple(json.loads(self._shape.preprocessing)["input_size"])


class Placed(Timm):
    """A model whose maps, or tokens, are laid out over the image."""

    def __init__(self, reference: Reference, shape: model.Shape) -> None:
        super().__init__(reference, shape)
        self.pooled = places.pooled(shape)

    def places(self, items: Sequence[Any]) -> Inputs:
        """What pooling and head make of each cell of the maps, or each patch's token, by itself, row by row."""

        def found(module: Any, pixels: Tensor) -> dict[str, Tensor]:
            tokens, middles = places.cells(module, module.forward_features(pixels))
            mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
            return {"tokens": tokens, "mask": mask, "grid": middles.to(tokens).expand(len(tokens), -1, -1)}

        return self._run(found, [self.prepare(item) for item in items])


def encoder(argument: str = "") -> Timm:
    """The encoder of a model of timm.

    Args:
        argument: ``MODEL[.TAG]``, ``ORG/NAME[@REVISION]``, ``FOLDER``, ``MODEL/FILE`` or ``MODEL/random:SEED``.

    Raises:
        UsageError: for an unknown model or tag, a missing file, or a configuration that is not timm's.
        PluginError: if a repository's configuration is not here and can't be downloaded.
    """
    reference = resolve(argument)
    shape = model.shape(reference)
    return (Placed if places.has_places(shape) else Timm)(reference, shape)
