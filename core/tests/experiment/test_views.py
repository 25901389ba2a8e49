"""Views: an item of train, seen in several ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from xm.data.content import content_key, item_name
from xm.data.types import Sample, View
from xm.encoders.store import FeatureStore
from xm.evaluation.report import Report
from xm.experiment.run import load
from xm.experiment.settings import TrainSettings
from xm.experiment.training import Experiment
from xm.experiment.views import Views
from xm.foundation.errors import ItemError, UsageError
from xm.foundation.files import read_tensors
from xm.foundation.layout import TESTED
from xm.plugins.plugin_manager import PluginManager

Run = Callable[..., Report]


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pixels(item: Any) -> NDArray[np.uint8]:
    pytest.importorskip("PIL")
    from xm.media.images import read_image

    return np.asarray(read_image(item))


def windows(array: NDArray[np.uint8], side: int) -> list[NDArray[np.uint8]]:
    """All squares of an image, and their mirror images."""
    height, width = array.shape[:2]
    found = [array[t : t + side, x : x + side] for t in range(height - side + 1) for x in range(width - side + 1)]
    return [*found, *(square[:, ::-1] for square in found)]


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6)])
def test_a_flip_is_the_mirror_image(shape: tuple[int, int]) -> None:
    array = picture(*shape)
    assert np.array_equal(pixels(View(array, "flip")), array[:, ::-1])
    assert np.array_equal(pixels(View(View(array, "flip"), "flip")), array)


@pytest.mark.parametrize("shape", [(5, 19), (19, 5), (6, 6)], ids=("wide", "high", "square"))
def test_a_crop_is_a_square_of_the_short_side(shape: tuple[int, int]) -> None:
    array, side = picture(*shape), min(shape)
    seen = {}
    for number in range(1, 41):
        crop = pixels(View(array, f"crop{number}"))
        assert crop.shape == (side, side, 3)
        [*place] = [i for i, window in enumerate(windows(array, side)) if np.array_equal(window, crop)]
        assert len(place) == 1, "it is no part of the image"
        seen[number] = place[0]
    mirrored = sum(place >= len(windows(array, side)) // 2 for place in seen.values())
    assert 10 <= mirrored <= 30, "half of them are mirrored"
    assert len(set(seen.values())) > (1 if shape == (6, 6) else 10), "they lie in many places"


def test_crops_are_the_same_wherever_the_image_lies(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    array = picture(12, 31)
    image.fromarray(array).save(tmp_path / "one.png")
    (tmp_path / "two.png").write_bytes((tmp_path / "one.png").read_bytes())
    found = [
        pixels(View(item, "crop1"))
        for item in (array, array.copy(), tmp_path / "one.png", str(tmp_path / "two.png"), image.fromarray(array))
    ]
    assert all(np.array_equal(found[0], other) for other in found[1:])
    others = [pixels(View(array, f"crop{n}")) for n in range(2, 6)] + [pixels(View(picture(12, 31, 1), "crop1"))]
    assert not any(np.array_equal(found[0], other) for other in others)


def test_an_unknown_view_of_an_image_names_the_known_ones() -> None:
    with pytest.raises(ItemError, match=r"\(turn2\): of image there is no view 'turn2'; there are .*crop.*flip"):
        pixels(View(picture(4, 4), "turn2"))


def test_an_unreadable_item_is_unreadable_in_every_view(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"gone\.png: no such file"):
        pixels(View(tmp_path / "gone.png", "flip"))


def test_a_kind_is_a_name_without_its_number() -> None:
    assert [View(None, name).kind for name in ("flip", "crop1", "crop12")] == ["flip", "crop", "crop"]


def test_keys_and_names_of_an_item_and_its_views_differ(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.txt", tmp_path / "b.txt"
    for file in (path, copy):
        file.write_text("the same")
    items = [path, View(path, "flip"), View(path, "crop1"), View(path, "crop2"), View(View(path, "flip"), "crop1")]
    keys = [content_key(item) for item in items]
    assert len(set(keys)) == len(items)
    assert content_key(View(copy, "flip")) == keys[1], "its file's name does not matter"
    copy.write_text("another")
    assert content_key(View(copy, "flip")) != keys[1]
    assert item_name(items[1]) == f"{path} (flip)"


def test_views_follow_their_sample_and_are_the_same_objects_each_time() -> None:
    """The pool knows samples by identity: views of tasks that share an item are embedded once."""
    views = Views(("flip", "crop1"))
    samples = tuple(Sample(f"item {n}", "image", n, "train", group="g") for n in range(2))
    seen = views.of(samples)
    assert [s.item for s in seen] == [
        "item 0", View("item 0", "flip"), View("item 0", "crop1"),
        "item 1", View("item 1", "flip"), View("item 1", "crop1"),
    ]  # fmt: skip
    assert [(s.label, s.split, s.group) for s in seen] == [(n, "train", "g") for n in (0, 0, 0, 1, 1, 1)]
    assert all(one is other for one, other in zip(seen, views.of(samples), strict=True))
    assert Views(()).of(samples) == samples


@pytest.fixture
def seeing(toy: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The toy's image encoder knows flips: the vector's numbers in reverse order."""
    vector = toy.Toy._vector

    def flipping(self: Any, item: Any) -> torch.Tensor:
        found: torch.Tensor = vector(self, item.item).flip(0) if isinstance(item, View) else vector(self, item)
        return found

    monkeypatch.setattr(toy.ToyImage, "views", ("flip", "crop"))
    monkeypatch.setattr(toy.ToyImage, "_vector", flipping)
    toy.ENCODED.clear()
    return toy


@pytest.fixture
def streams(plugins: PluginManager, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `linear` was given to train on, fit by fit, and its val."""
    spec = plugins.strategies["linear"].load()
    build, seen = spec.build, []

    def spy(self: Any, context: Any) -> Any:
        seen.append({**context.train, "val": context.val})
        return build(self, context)

    monkeypatch.setattr(spec, "build", spy)
    return seen


def test_views_double_train_and_cost_no_label(
    run: Run, table: Path, seeing: Any, streams: list[dict[str, Any]]
) -> None:
    given: dict[str, Any] = {"data": str(table), "aux": ("text",), "shots": (2,), "baselines": False}
    with_views, without = run(**given, views=("flip",)), run(**given)
    costs = [[r.labels for r in report.results] for report in (with_views, without)]
    assert costs[0] == costs[1] == [{"train": 10, "val": 10}] * 2
    assert [len(s["image"]) for s in streams] == [20, 20, 10, 10]
    for seen, plain in zip(streams[:2], streams[2:], strict=True):
        for part in ("val", *(["text"] if "text" in plain else [])):
            assert torch.equal(seen[part].x["embedding"], plain[part].x["embedding"]), f"{part} has no views"
        x, y = seen["image"].x["embedding"], seen["image"].y
        assert torch.equal(x[::2], plain["image"].x["embedding"])
        torch.testing.assert_close(x[1::2], x[::2].flip(1))
        assert torch.equal(y[::2], plain["image"].y) and torch.equal(y[1::2], y[::2])
    assert [r.n for r in with_views.results] == [r.n for r in without.results], "test has no views"
    assert [r.value for r in with_views.results] != [r.value for r in without.results]


def test_views_are_kept_in_the_cache(run: Run, table: Path, seeing: Any) -> None:
    first = run(data=str(table), views=("flip",))
    plain = seeing.ENCODED["image"]
    seeing.ENCODED.clear()
    assert [r.value for r in run(data=str(table), views=("flip",)).results] == [r.value for r in first.results]
    assert not seeing.ENCODED
    run(data=str(table))
    assert not seeing.ENCODED, "items are in the cache beside their views"
    run(data=str(table), views=("flip", "crop1"))
    assert seeing.ENCODED["image"] == 5 < plain


def test_the_store_keeps_an_item_and_its_views_apart(seeing: Any, images: Path, tmp_path: Path) -> None:
    path = images / "cat" / "0.toy"
    items = [path, View(path, "flip"), View(path, "crop1"), path]
    x = FeatureStore(tmp_path / "features").features(seeing.ToyImage(), items).x["features"]
    assert seeing.ENCODED["image"] == 3
    assert torch.equal(x[0], x[3]) and torch.equal(x[1], x[0].flip(0))


@pytest.mark.parametrize(
    ("views", "known", "said"),
    [
        (("flip", "turn"), ("flip", "crop"), "the image encoder has no view 'turn' (it has: flip, crop)"),
        (("flip",), (), "the image encoder has no view 'flip' (it has: none)"),
    ],
)
def test_an_unknown_view_is_told_before_anything_is_computed(
    run: Run,
    table: Path,
    seeing: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    views: Any,
    known: Any,
    said: str,
) -> None:
    monkeypatch.setattr(seeing.ToyImage, "views", known)
    with pytest.raises(UsageError) as caught:
        run(data=str(table), views=views)
    assert str(caught.value) == said
    assert not seeing.ENCODED and not (tmp_path / "runs").exists()


def test_a_view_named_twice_is_told() -> None:
    with pytest.raises(ValueError, match="views names flip twice"):
        TrainSettings(modality="image", views=("flip", "flip"))


def test_a_task_with_views_is_the_same_draw(plugins: PluginManager, table: Path, seeing: Any) -> None:
    tasks = []
    for views in ((), ("flip",)):
        settings = TrainSettings(modality="image", data=str(table), views=views)
        tasks.append(Experiment(settings, plugins).drawing.task(2, 1))
    assert tasks[0].digest == tasks[1].digest, "what was drawn does not depend on how it is seen"
    plain = tuple(s for s in tasks[1].samples["train"]["image"] if not isinstance(s.item, View))
    assert [s.item for s in plain] == [s.item for s in tasks[0].samples["train"]["image"]]


GIVEN: dict[str, Any] = {"aux": ("text",), "shots": (2,), "seeds": (1, 2), "baselines": False}


def test_views_of_test_are_rows_of_their_own(
    run: Run, table: Path, seeing: Any, streams: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The models are those of before, and of test nothing is in train or val."""
    plain = run(data=str(table), **GIVEN)
    learned = list(streams)
    streams.clear()
    viewed = run(data=str(table), test_view=("flip", "crop1"), **GIVEN)
    for one, other in zip(streams, learned, strict=True):
        for name in one:
            assert torch.equal(one[name].x["embedding"], other[name].x["embedding"])
    assert [r for r in viewed.results if r.split == "test"] == list(plain.results)
    splits = ["test", "test:flip", "test:crop1"]
    assert [r.split for r in viewed.results] == splits * 4 and {r.n for r in viewed.results} == {40}
    values = {r.split: r.value for r in viewed.results if r.seed == 1 and not r.aux}
    assert values["test:flip"] < values["test"], "a vector in reverse order is another"
    assert values["test:flip"] == values["test:crop1"], "the toy knows one view"
    assert [(s.split, s.aux, s.seeds) for s in viewed.summary] == [(s, a, 2) for a in ((), ("text",)) for s in splits]
    assert [c.split for c in viewed.comparisons] == splits
    assert [c for c in viewed.comparisons if c.split == "test"] == list(plain.comparisons)
    found = load(viewed.run, cache=tmp_path / "cache")
    assert found.pick().split == "test"
    kept = read_tensors(Path(viewed.run) / found.pick().model / TESTED)
    assert torch.equal(kept["test:flip/item"], kept["item"]) and torch.equal(kept["test:flip/label"], kept["label"])
    hit = (kept["test:flip/label"] == kept["test:flip/predicted"]).float().mean()
    [result] = [r for r in found.results if r.split == "test:flip" and r.model == found.pick().model]
    assert float(hit) == pytest.approx(result.value)


def test_views_of_test_are_kept_in_the_cache_and_told(run: Run, table: Path, seeing: Any) -> None:
    run(data=str(table), **GIVEN)
    seeing.ENCODED.clear()
    run(data=str(table), test_view=("flip",), **GIVEN)
    assert seeing.ENCODED["image"] == 40, "each item of test once more, for all models"
    with pytest.raises(UsageError, match=r"the image encoder has no view 'turn' \(it has: flip, crop\)"):
        run(data=str(table), test_view=("turn",), **GIVEN)
    with pytest.raises(UsageError, match="test_view names flip twice"):
        run(data=str(table), test_view=("flip", "flip"), **GIVEN)


def test_a_task_with_views_of_test_has_the_same_digest(plugins: PluginManager, table: Path, seeing: Any) -> None:
    drawings = [
        Experiment(TrainSettings(modality="image", data=str(table), test_view=views), plugins).drawing
        for views in ((), ("flip",))
    ]
    plain, viewed = (drawing.task(2, 1) for drawing in drawings)
    assert plain.digest == viewed.digest and [s.item for s in plain.test] == [s.item for s in viewed.test]
    [(split, samples)] = drawings[1].viewed(viewed).items()
    assert split == "test:flip" and [s.item for s in samples] == [View(s.item, "flip") for s in viewed.test]
    assert drawings[1].viewed(drawings[1].task(4, 1))[split][0] is samples[0], "the same objects in every task"
