"""Towers, and what a run keeps of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from xm.alignment.maps import Affine
from xm.encoders.encoder import Tail
from xm.learning.model import EMBEDDING, Behind, LinearClassifier, Tower, Towers, load_towers, own_tensors


class Open(nn.Module):
    """A tail with a layer and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3, bias=False)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: dict[str, torch.Tensor]) -> torch.Tensor:
        return normalize(self.layer(x["features"]), dim=-1)


def alignment() -> nn.Module:
    return nn.Sequential(Tail(), Affine(2 * torch.eye(3), torch.ones(3)))


def test_of_an_opened_tower_what_was_trained_is_kept_and_put_back() -> None:
    towers = Towers({"a": Tower(Behind(Open(), alignment())), "b": Tower(alignment()), "c": Tower(Open())})
    towers["c"].requires_grad_(False)
    model = LinearClassifier(towers, torch.eye(3))
    kept = own_tensors(model)
    assert set(kept) == {"weight", "scale", "towers.a.map.tail.layer.weight", "towers.a.map.tail.seen"}
    again = Towers({"a": Tower(Behind(Open(), alignment())), "b": Tower(alignment())})
    load_towers(again, kept)
    x = {"features": torch.randn(5, 3)}
    torch.testing.assert_close(again["a"](x), towers["a"](x))


def test_a_tensor_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the a tower has no map\.layer\.weight"):
        load_towers(Towers({"a": Tower(Tail())}), {"towers.a.map.layer.weight": torch.eye(3)})


def test_a_tower_scales_to_unit_length_and_lets_embeddings_pass() -> None:
    tower = Tower(Behind(Open(), alignment()))
    assert isinstance(tower.tail, Open)
    x = torch.randn(4, 3)
    torch.testing.assert_close(tower({"features": x}).norm(dim=1), torch.ones(4))
    assert tower({EMBEDDING: x}) is x
