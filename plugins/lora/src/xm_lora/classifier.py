"""A classifier whose rows a tower makes of class prompts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from xm import Stream
from xm.learning import EMBEDDING, Towers


class PromptClassifier(nn.Module):
    """``scale * (tower(x) @ rows.T)``, where a row is a class prompt's embedding.

    Args:
        towers: by modality.
        prompts: one a class, in order: trunk outputs of a tower, or embeddings, which stay as they are.
        scale: of the logits.
    """

    def __init__(self, towers: Towers, prompts: Stream, scale: float) -> None:
        super().__init__()
        self.towers = towers
        self.scale = scale
        self.modality = prompts.modality
        self.names = tuple(prompts.x)
        for name, value in prompts.x.items():
            self.register_buffer(f"prompt_{name}", value, persistent=False)
        self._kept: Tensor | None = None

    def rows(self) -> Tensor:
        """(classes, dim), unit vectors, with the tower as it stands."""
        x = {name: self.get_buffer(f"prompt_{name}") for name in self.names}
        rows: Tensor = x[EMBEDDING] if EMBEDDING in x else self.towers[self.modality](x)
        return rows

    @contextmanager
    def keeping_rows(self) -> Iterator[None]:
        """Within, rows are computed once, for streams that share a step."""
        self._kept = self.rows()
        try:
            yield
        finally:
            self._kept = None

    def forward(self, stream: Stream) -> Tensor:
        """Logits (n, classes)."""
        rows = self.rows() if self._kept is None else self._kept
        embedding: Tensor = self.towers[stream.modality](stream.x)
        return self.scale * embedding @ rows.T
