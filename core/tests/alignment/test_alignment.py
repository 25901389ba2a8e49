"""Ways into the home space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from xm.alignment.aligner import AlignContext, Aligner
from xm.alignment.maker import AlignmentMaker, WaysHome, described, without_held_out
from xm.data.open import open_dataset
from xm.data.types import Dataset, Sample
from xm.encoders.aligned import restored
from xm.encoders.choice import EncoderChoice
from xm.encoders.encoder import Prototypes, Tail
from xm.encoders.store import FeatureStore
from xm.foundation.errors import DataError, UsageError
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import AlignerSpec


@pytest.fixture
def dataset(plugins: PluginManager, table: Path, tmp_path: Path) -> Dataset:
    return open_dataset(table, plugins, tmp_path)


def ways(plugins: PluginManager, dataset: Dataset, aligner: str | None = None) -> WaysHome:
    encoders = EncoderChoice(plugins, dataset, torch.device("cpu"))
    return WaysHome(AlignmentMaker(plugins, encoders, FeatureStore(None), aligner), dataset)


class Noted(Aligner):
    """Keeps the context it saw; maps by zeros."""

    seen: ClassVar[list[AlignContext]] = []

    def why_not(self, context: AlignContext) -> str | None:
        self.seen.append(context)
        return None

    def fit(self, context: AlignContext) -> nn.Module:
        return nn.Sequential(Tail(), nn.Linear(context.source.dim, context.target.dim))

    def restore(self, tensors: Any) -> nn.Module:
        raise NotImplementedError


class Never(Noted):
    def why_not(self, context: AlignContext) -> str | None:
        return "it is Monday"


def test_equal_spaces_need_no_map(plugins: PluginManager, dataset: Dataset) -> None:
    make = ways(plugins, dataset)
    found = make(make.maker.encoders["text"].encoder, make.maker.encoders["image"].encoder)
    assert (found.aligner, found.pairs, found.tensors()) == ("", 0, {})
    x = torch.randn(3, 8)
    torch.testing.assert_close(found.map({"features": x}), nn.functional.normalize(x, dim=1))


def test_a_map_is_learned_from_pairs_restored_and_made_once(plugins: PluginManager, dataset: Dataset, toy: Any) -> None:
    make = ways(plugins, dataset)
    source, target = make.maker.encoders["audio"].encoder, make.maker.encoders["image"].encoder
    found = make(source, target)
    assert (found.aligner, found.pairs) == ("ridge", 30)
    assert not any(p.requires_grad for p in found.map.parameters())
    assert make(source, target) is found
    x = source.trunk(["cat", "cow", "dog", "hen", "owl"])
    home = nn.functional.normalize(found.map(x), dim=1)
    names = nn.functional.normalize(target.trunk(["cat", "cow", "dog", "hen", "owl"])["features"], dim=1)
    assert (home @ names.T).argmax(1).tolist() == [0, 1, 2, 3, 4]
    again = restored("ridge", found.tensors(), source, plugins).map
    torch.testing.assert_close(again(x), found.map(x))


def test_what_an_aligner_is_given(
    plugins: PluginManager, dataset: Dataset, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.Noted, toy.Never = Noted, Never
    monkeypatch.setattr(Noted, "seen", [])
    plugins.aligners["noted"] = AlignerSpec(name="noted", target="xm_toy:Noted", priority=98)
    plugins.aligners["never"] = AlignerSpec(name="never", target="xm_toy:Never", priority=99)
    make = ways(plugins, dataset)
    found = make(make.maker.encoders["audio"].encoder, make.maker.encoders["image"].encoder)
    assert (found.aligner, found.pairs) == ("noted", 0), "it says that it uses no pairs"
    [context] = Noted.seen
    assert context.namer is not None and context.namer.modality == "text"
    assert context.pairs is not None
    assert context.pairs.source["features"].shape == (30, 12)
    assert context.pairs.target["features"].shape == (30, 8)
    other = ways(plugins, dataset, "ridge")
    assert other(other.maker.encoders["audio"].encoder, other.maker.encoders["image"].encoder).aligner == "ridge"


def test_where_nothing_applies_every_reason_is_told(plugins: PluginManager, dataset: Dataset, toy: Any) -> None:
    toy.Never = Never
    plugins.aligners["never"] = AlignerSpec(name="never", target="xm_toy:Never", priority=99)
    bare = Dataset(dataset.name, dataset.classes, tuple(s for s in dataset.samples if s.pair is None))
    make = ways(plugins, bare)
    with pytest.raises(UsageError) as caught:
        make(make.maker.encoders["audio"].encoder, make.maker.encoders["image"].encoder)
    said = str(caught.value)
    assert "never: it is Monday; ridge: there are no pairs of audio and image items" in said
    assert "audio (space toy-sound) and image (space toy)" in said and "\n" not in said
    plugins.aligners.clear()
    make = ways(plugins, bare)
    with pytest.raises(UsageError, match="no aligner is installed"):
        make(make.maker.encoders["audio"].encoder, make.maker.encoders["image"].encoder)
    make = ways(plugins, bare, "croma")
    with pytest.raises(UsageError, match="unknown aligner 'croma'"):
        make(make.maker.encoders["audio"].encoder, make.maker.encoders["image"].encoder)


def test_an_unreadable_half_of_a_pair_costs_that_pair(
    plugins: PluginManager, table: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (table.parent / "sounds" / "dog" / "pair2.snd").write_text("broken")
    make = ways(plugins, open_dataset(table, plugins, tmp_path))
    assert make(make.maker.encoders["audio"].encoder, make.maker.encoders["image"].encoder).pairs == 29


def test_where_no_pair_can_be_read_it_says_so(plugins: PluginManager, table: Path, tmp_path: Path) -> None:
    for path in (table.parent / "sounds").glob("*/pair*.snd"):
        path.write_text("broken")
    make = ways(plugins, open_dataset(table, plugins, tmp_path))
    with pytest.raises(DataError, match=r"no pair can be read: .*is broken"):
        make(make.maker.encoders["audio"].encoder, make.maker.encoders["image"].encoder)


def sample(item: str, modality: str, split: str, pair: str | None, label: int | None = 0) -> Sample:
    return Sample(item, modality, label, split, None, pair)


def test_what_is_held_out_in_any_split_is_left_out() -> None:
    def split(*words: str) -> Dataset:
        return Dataset("d", ("x",), tuple(sample(str(i), "image", word, "1") for i, word in enumerate(words)))

    kept = without_held_out([split("train", "test", "pool", "val"), split("train", "train", "train", "train")])
    assert [s.item for s in kept.samples] == ["0", "2"]


def test_prototypes_are_described_by_any_of_their_names() -> None:
    prototypes = Prototypes(("tench, Tinca tinca", "hot_dog", "crane (bird)"), torch.eye(3))
    texts = {"tinca Tinca": ("a fish",), "Hot Dog": ("eaten", "warm"), "crane": ("a machine",)}
    assert described(prototypes, texts).texts == (("a fish",), ("eaten", "warm"), ())
    assert described(prototypes, {"ant": ("crawls",)}) is prototypes
    own = replace(prototypes, texts=(("swims",), (), ()))
    assert described(own, texts).texts == (("swims", "a fish"), ("eaten", "warm"), ())
