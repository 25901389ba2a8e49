"""Gap, alignment and uniformity, by hand."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest
import torch
from torch.nn.functional import normalize

import xm.evaluation.geometry
from xm import DataError
from xm.evaluation.geometry import Geometry, alignment, modality_gap, uniformity

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]


def test_the_gap_is_between_the_means() -> None:
    # means (0, 0.5) of three and (1, 0) of one
    source = torch.tensor([EAST, WEST, NORTH, NORTH])
    assert modality_gap(source, torch.tensor([EAST])) == pytest.approx(math.sqrt(1 + 0.25))
    assert modality_gap(source, source) == 0


def test_alignment_is_the_mean_squared_distance_of_pairs() -> None:
    source, target = torch.tensor([EAST, EAST, EAST]), torch.tensor([EAST, NORTH, WEST])
    assert alignment(source, target) == pytest.approx((0 + 2 + 4) / 3)
    assert alignment(source, target, alpha=1) == pytest.approx((0 + math.sqrt(2) + 2) / 3)


def test_uniformity_is_the_log_of_the_mean_potential() -> None:
    # squared distances 2, 4 and 2
    x = torch.tensor([EAST, NORTH, WEST])
    assert uniformity(x) == pytest.approx(math.log((math.exp(-4) + math.exp(-8) + math.exp(-4)) / 3))
    assert uniformity(x, t=1) == pytest.approx(math.log((math.exp(-2) + math.exp(-4) + math.exp(-2)) / 3))
    assert uniformity(torch.tensor([EAST, EAST])) == 0


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = normalize(torch.randn(60, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    expected = math.log(float(torch.pdist(x.double()).pow(2).mul(-2).exp().mean()))
    assert uniformity(x) == pytest.approx(expected, abs=1e-6)
    monkeypatch.setattr(xm.evaluation.geometry, "CELLS", 100)
    assert uniformity(x) == pytest.approx(expected, abs=1e-6)


def test_all_of_it() -> None:
    source, target = torch.tensor([EAST, NORTH]), torch.tensor([NORTH, EAST])
    found = Geometry(modality_gap(source, target), alignment(source, target), uniformity(source), uniformity(target))
    assert found == Geometry(0, pytest.approx(2), pytest.approx(-4), pytest.approx(-4))
    assert json.loads(json.dumps(asdict(found)))["gap"] == 0


def test_what_has_no_geometry_is_refused() -> None:
    with pytest.raises(DataError, match="two vectors at least, not 1"):
        uniformity(torch.tensor([EAST]))
    with pytest.raises(DataError, match="not finite"):
        uniformity(torch.tensor([EAST, [math.nan, 0.0]]))
