"""The encoders `frames` and `temporal`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from xm import Encoder, EncoderSpec, ItemError, PluginError, UsageError
from xm.data import View
from xm.encoders import FeatureStore, known_views
from xm.learning import Inputs
from xm.media.videos import SUFFIXES
from xm.plugins import PluginManager, manager
from xm.testing import EncoderConformance, installed
from xm_frames import available, encoders
from xm_frames.encoder import Frames
from xm_frames.temporal import Temporal


@pytest.fixture
def items(tmp_path: Path, toys: Any) -> list[Path]:
    """Videos: red; green then blue; blue then red, of other lengths."""
    return [
        toys.write(tmp_path / "a.mp4", [toys.RED] * 9),
        toys.write(tmp_path / "b.mkv", [toys.GREEN] * 10 + [toys.BLUE] * 10),
        toys.write(tmp_path / "c.webm.mp4", [toys.BLUE] * 2 + [toys.RED] * 2),
    ]


class TestFrames(EncoderConformance):
    argument = "hues"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("frames")

    @pytest.fixture
    def items(self, items: list[Path]) -> Sequence[Any]:
        return items

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        (tmp_path / "bad.mp4").write_bytes(b"no video" * 100)
        return tmp_path / "bad.mp4"


class TestFramesAhead(TestFrames):
    argument = "hues-ahead?n=3"


class TestTemporal(TestFrames):
    argument = "hues?n=4&layers=2"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("temporal")


class TestTemporalAhead(TestTemporal):
    argument = "hues-ahead"


class TestFramesOnPixels(TestFrames):
    argument = "pixels?n=3&sampling=dense&stride=2"

    @pytest.fixture
    def items(self, tmp_path: Path, toys: Any) -> Sequence[Any]:
        installed("pixels")
        rng = np.random.default_rng(3)
        return [np.repeat(rng.integers(0, 256, (1, 16, 16, 3)), 9, axis=0).astype(np.uint8) for _ in range(3)]

    @pytest.fixture
    def encoder(self, spec: EncoderSpec) -> Encoder:
        installed("pixels")
        made: Encoder = spec.load()(self.argument)
        return made


def frames_of(encoder: Frames, videos: Sequence[Any]) -> Inputs:
    return encoder.over_time([encoder.prepare(video) for video in videos])


def test_the_specs_say_what_videos_are() -> None:
    for spec in encoders()[:3]:
        assert spec.suffixes == SUFFIXES and spec.modality == "video"
    assert manager().suffixes()[".mp4"] == "video"
    assert manager().suffixes().get(".gif") != "video"
    assert [spec.name for spec in encoders() if spec.priority] == ["frames"]


def test_the_mean_of_unit_vectors_of_frames(items: list[Path], toys: Any) -> None:
    encoder, images = Frames("hues?n=4"), toys.Hues()
    assert (encoder.space, encoder.dim, encoder.modality) == ("hues", 7, "video")
    x = encoder.trunk([items[1]])
    seen = [toys.plain(c) for c in (toys.GREEN, toys.GREEN, toys.BLUE, toys.BLUE)]
    torch.testing.assert_close(x["features"], images.encode(seen).mean(0, keepdim=True), atol=0.01, rtol=0.01)
    torch.testing.assert_close(x["scores"], images.trunk(seen)["scores"].mean(0, keepdim=True), atol=0.01, rtol=0.01)
    names, weight = encoder.prototypes().names, encoder.prototypes().weight  # type: ignore[union-attr]
    assert names == ("red", "green", "blue") and torch.equal(weight, images.prototypes().weight)


def test_a_still_video_is_where_its_picture_is(toys: Any) -> None:
    picture = toys.plain(toys.shade(toys.RED, 3))
    video = np.repeat(picture[None], 5, axis=0)
    for name in ("frames", "temporal"):
        made = manager().encoders.find(name).load()("hues")
        torch.testing.assert_close(made.encode([video]), toys.Hues().encode([picture]))


def test_array_and_file_are_the_same(items: list[Path], toys: Any) -> None:
    array = np.stack([toys.plain(toys.GREEN)] * 10 + [toys.plain(toys.BLUE)] * 10)
    encoder = Frames("hues")
    assert float((encoder.encode([array]) * encoder.encode([str(items[1])])).sum()) > 0.9999


@pytest.mark.parametrize(
    ("argument", "frames"),
    [
        ("hues", [0, 1, 3, 4, 6, 7, 8, 9]),
        ("hues?n=2", [2, 7]),
        ("hues?n=3&sampling=dense&stride=2", [2, 4, 6]),
        ("hues?sampling=dense&n=2", [0, 8]),
    ],
)
def test_options_choose_frames(argument: str, frames: list[int], toys: Any) -> None:
    video = np.stack([toys.plain((25 * i, 0, 250 - 25 * i)) for i in range(10)])
    if argument == "hues":
        frames = [int((i + 0.5) * 10 / 8) for i in range(8)]
    expected = toys.Hues().encode(list(video[frames]))
    torch.testing.assert_close(frames_of(Frames(argument), [video])["frames"][0], expected)


def test_the_fingerprint_holds_encoder_and_length_policy() -> None:
    arguments = ("hues", "hues?n=4", "hues?sampling=dense", "hues?sampling=dense&stride=4", "pixels")
    kept = [a for a in arguments if a.partition("?")[0] in manager().encoders]
    prints = [Frames(a).fingerprint() for a in kept]
    prints += [Temporal("hues").fingerprint(), Temporal("hues?layers=2").fingerprint()]
    assert len(set(prints)) == len(prints)
    assert Frames("hues?n=8&sampling=uniform").fingerprint() == Frames("hues").fingerprint()
    assert Frames("hues?stride=2").fingerprint() == Frames("hues").fingerprint(), "uniform sampling has no stride"


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("hues?n=0", "frames:hues?n=0: n='0': Input should be greater than or equal to 1"),
        ("hues?m=3", "frames:hues?m=3: unknown setting 'm' (known: n, sampling, stride)"),
        ("hues?strid=3", "unknown setting 'strid' (did you mean 'stride'?)"),
        ("hues?sampling=all", "sampling='all': Input should be 'uniform' or 'dense'"),
        ("hues?8", "what follows the question mark must be NAME=VALUE, several with & between them, as in"),
        ("huez", "frames:huez: unknown encoder 'huez': did you mean 'hues'?"),
        ("pitch", "frames:pitch: encoder 'pitch' is for audio, not image (known: "),
        ("hues:7", "encoder 'hues' takes no argument; write 'hues' instead of 'hues:7'"),
    ],
)
def test_wrong_arguments_are_one_line(argument: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Frames(argument)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_default_is_the_best_image_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = PluginManager(installed=False)
    monkeypatch.setattr(available, "manager", lambda: alone)
    assert available.images() == "no image encoder can be used by default (none has a priority)"

    class Two:
        def encoders(self) -> list[EncoderSpec]:
            return [
                EncoderSpec(name="poor", target="a:B", modality="image", priority=1),
                EncoderSpec(name="best", target="a:B", modality="image", priority=2),
                EncoderSpec(name="none", target="a:B", modality="image", priority=3, available="a_missing:why"),
            ]

    Two.encoders = pytest.importorskip("xm").hookimpl(Two.encoders)  # type: ignore[method-assign]
    alone.register(Two(), "two")
    assert available.images() is None
    assert available.default("image") == "best"
    monkeypatch.setattr(available, "find_spec", lambda name: None)
    assert available.images() == available.sounds() == "PyAV is not installed; try: pip install av"


def test_without_an_image_encoder_the_error_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(available, "manager", lambda: PluginManager(installed=False))
    with pytest.raises(PluginError, match=r"frames: no image encoder .*; name one, as in frames:NAME"):
        Frames("")


def test_a_flip_mirrors_every_frame(toys: Any) -> None:
    half = np.zeros((6, 8, 8, 3), np.uint8)
    half[:, :, :4] = toys.RED
    encoder = Frames("hues")
    assert "flip" in known_views(encoder) and "crop" not in known_views(encoder), "crops would differ among frames"
    mirrored = encoder.encode([View(half, "flip")])
    torch.testing.assert_close(mirrored, encoder.encode([half[:, :, ::-1].copy()]))
    assert not torch.allclose(mirrored, encoder.encode([half]), atol=0.01)


def test_batches_hold_as_many_frames_as_the_image_encoder_likes(toys: Any) -> None:
    encoder = Frames("hues?n=2")
    assert encoder.batch_size == 2  # the toy likes five pictures
    assert Frames("hues?n=16").batch_size == 1
    videos = [np.repeat(toys.plain((40 * i, 200, 90))[None], 3, axis=0) for i in range(5)]
    x = frames_of(encoder, videos)
    assert x["frames"].shape == (5, 2, 7) and x["scores"].shape == (5, 3)
    assert encoder.images.seen == 10  # type: ignore[attr-defined]


def test_an_unreadable_video_is_named_and_others_are_read(items: list[Path], tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    features = FeatureStore(None).features(Frames("hues"), [*items, tmp_path / "empty.mp4"])
    assert features.kept.tolist() == [0, 1, 2]
    assert isinstance(features.failed[3], ItemError)
    assert str(features.failed[3]) == f"{tmp_path / 'empty.mp4'}: is empty: it holds no bytes"


@pytest.mark.parametrize("below", ["hues", "hues-ahead"])
@pytest.mark.parametrize("name", ["frames", "temporal"])
def test_a_frame_that_the_image_encoder_refuses_is_told_by_its_video(
    name: str, below: str, items: list[Path], tmp_path: Path, toys: Any
) -> None:
    dark = toys.write(tmp_path / "dark.mp4", [toys.RED, toys.RED, (0, 0, 0), (0, 0, 0)])
    encoder = manager().encoders.find(name).load()(f"{below}?n=2")
    for item in (dark, str(dark)):
        with pytest.raises(ItemError) as caught:
            encoder.trunk([items[0], item])
        assert str(caught.value) == f"{dark}: a frame of it is black all over"
    features = FeatureStore(None).features(encoder, [items[0], dark, *items[1:]])
    assert features.kept.tolist() == [0, 2, 3]
    assert str(features.failed[1]) == f"{dark}: a frame of it is black all over"


def test_temporal_starts_as_mean_pooling(items: list[Path]) -> None:
    encoder = Temporal("hues?n=4&layers=2")
    trunk, tail = encoder.split(1)
    x = trunk(items)
    assert x["frames"].shape == (3, 4, 7)
    assert sum(p.numel() for p in tail.parameters()) > 0 and all(p.requires_grad for p in tail.parameters())
    mean = Frames("hues?n=4").encode(items)
    torch.testing.assert_close(tail(x), mean)
    torch.testing.assert_close(encoder.encode(items), mean)
    before = torch.get_rng_state()
    again = encoder.split(1)[1].state_dict()
    assert torch.equal(before, torch.get_rng_state()), "it drew from the process's random numbers"
    assert all(torch.equal(value, again[name]) for name, value in tail.state_dict().items()), "another start"


def test_temporal_sees_the_order_once_trained(toys: Any) -> None:
    """One step away from the start, two orders differ, which their mean does not."""
    trunk, tail = Temporal("hues?n=4").split(1)
    red, blue = [toys.plain(toys.RED)] * 4, [toys.plain(toys.BLUE)] * 4
    x = trunk([np.stack(red + blue), np.stack(blue + red)])
    torch.testing.assert_close(tail(x)[0], tail(x)[1])
    with torch.no_grad():
        tail.up.weight.normal_(generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert float((tail(x)[0] - tail(x)[1]).abs().max()) > 1e-3


def test_temporal_is_narrow(toys: Any) -> None:
    from xm_frames.temporal import Attention

    tail = Attention(1280, 8, 1)
    assert sum(p.numel() for p in tail.parameters()) < 1_500_000
    frames = normalize(torch.randn(2, 8, 1280, generator=torch.Generator().manual_seed(1)), dim=-1)
    torch.testing.assert_close(tail({"frames": frames}), normalize(frames.mean(1), dim=-1))


def test_temporal_has_two_depths() -> None:
    for depth in (2, -1):
        with pytest.raises(UsageError, match=f"can't be split at depth {depth}; depths are 0 .* and 1 "):
            Temporal("hues").split(depth)
    with pytest.raises(UsageError, match="has no blocks to open"):
        Frames("hues").split(1)


def test_a_video_is_decoded_once_for_both_depths(items: list[Path], tmp_path: Path) -> None:
    encoder, store = Temporal("hues"), FeatureStore(tmp_path / "store")
    pooled = store.features(encoder, items)
    frames = store.features(encoder, items, depth=1)
    assert encoder.base.images.seen == 8 * len(items)  # type: ignore[attr-defined]
    torch.testing.assert_close(pooled.x["features"], frames.x["frames"].mean(1))
    again = Temporal("hues")
    FeatureStore(tmp_path / "store").features(again, items)
    assert again.base.images.seen == 0  # type: ignore[attr-defined]
