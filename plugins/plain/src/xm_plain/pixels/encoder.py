"""Small grey pictures as vectors of their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from xm import ItemError, Preparing, UsageError, fingerprint_of
from xm.data import File, View, item_name
from xm.learning import Inputs
from xm.media.images import SUFFIXES, VIEWS, converted, read_image, seen

MAX_SIDE = 512


class Pixels(Preparing):
    """Grey values, averaged over the cells of a `side` x `side` grid and divided by the brightest.

    Items are paths, PIL images or 2-D arrays of any number range. Bright stays bright: a dark digit on white
    paper and its negative are different pictures, and scikit-learn's scans are bright on dark.

    Args:
        argument: the side in pixels, "28"; "" means 8.

    Raises:
        UsageError: if the argument is no whole number from 1 to 512.
    """

    modality = "image"
    suffixes = SUFFIXES
    views = VIEWS
    batch_size = 256

    def __init__(self, argument: str = "") -> None:
        side = int(argument or 8) if argument.isdecimal() or not argument else 0
        if not 1 <= side <= MAX_SIDE:
            raise UsageError(
                f"pixels:{argument}: the side must be a whole number from 1 to {MAX_SIDE}, as in pixels:28"
            )
        self.side = side
        self.dim = side * side
        self.space = f"pixels-{side}x{side}"

    def fingerprint(self) -> str:
        return fingerprint_of("pixels", 1, self.side)

    def prepare(self, item: Any) -> Tensor:
        """(side * side,) in 0..1, row by row of the picture."""
        name = item if isinstance(item, str) else item_name(item)
        grey = _grey(item, name)
        if not np.isfinite(grey).all():
            raise ItemError(name, "holds values that are not finite")
        picture = torch.from_numpy(grey - min(float(grey.min()), 0.0))
        if picture.shape != (self.side, self.side):
            picture = adaptive_avg_pool2d(picture[None], self.side)[0]
        brightest = float(picture.max())
        if brightest == 0:
            raise ItemError(name, "is black all over")
        return (picture / brightest).flatten().float()

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        """``features`` (n, side * side)."""
        return {"features": torch.stack(list(prepared)).to(self.device)}


def _grey(item: Any, name: str) -> NDArray[np.float64]:
    """Grey values (height, width), in the item's own range."""
    if isinstance(item, View):
        below = item.item
        file = isinstance(below, str | File | Image.Image)
        image = read_image(below, deep=True) if file else Image.fromarray(_grey(below, name).astype(np.float32))
        return _grey(seen(image, item), name)
    if isinstance(item, str | File | Image.Image):
        image = read_image(item, deep=True)  # values of any range: they are divided by the brightest
        if image.mode not in ("I", "I;16", "I;16B", "I;16L", "F"):  # those have one band, of more than 8 bits
            image = converted(image, "L", item)
        return np.asarray(image, dtype=np.float64)
    try:
        grey = np.asarray(item, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ItemError(name, "expected a path, a PIL image or a 2-D array of numbers") from error
    if grey.ndim != 2 or 0 in grey.shape:
        raise ItemError(name, f"expected a grey picture (height, width), got shape {grey.shape}")
    return grey
