"""A folder of pictures of your own: one folder per class, then train, then ask about a new picture.

The pictures are made here: white discs, squares and crosses, each at a random place, on grey noise.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import xm

SIDE = 32


def draw(shape: str, rng: np.random.Generator) -> Image.Image:
    """A picture of 32 x 32 grey pixels."""
    y, x = np.mgrid[:SIDE, :SIDE] - rng.integers(13, 20, (2, 1, 1))
    masks: dict[str, NDArray[np.bool_]] = {
        "disc": x**2 + y**2 < 90,
        "square": (abs(x) < 9) & (abs(y) < 9) & ((abs(x) > 5) | (abs(y) > 5)),
        "cross": (abs(abs(x) - abs(y)) < 3) & (abs(x) < 10),
    }
    grey = np.where(masks[shape], 220, 60) + rng.normal(0, 20, (SIDE, SIDE))
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


def make_folder(root: Path) -> None:
    """`root`/<class>/<number>.png, thirty of each class."""
    rng = np.random.default_rng(1)
    for shape in ("disc", "square", "cross"):
        (root / shape).mkdir(parents=True)
        for number in range(30):
            draw(shape, rng).save(root / shape / f"{number:02}.png")


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder, out, new = Path(temporary, "shapes"), Path(temporary, "run"), Path(temporary, "new.png")
        make_folder(folder)
        report = xm.train("image", data=str(folder), encoders={"image": "pixels:16"}, shots=(4,), out=out)
        for row in report.summary:
            print(f"{row.shots} shots: {100 * row.mean:.0f} % ± {100 * row.std:.0f} over {row.seeds} seeds")
        draw("cross", np.random.default_rng(2)).save(new)
        [prediction] = xm.load(out).predict([new])
        print(f"{new.name}: {prediction.label}, {100 * max(prediction.probabilities.values()):.0f} %")


if __name__ == "__main__":
    main()
