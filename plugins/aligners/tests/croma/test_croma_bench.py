"""The benchmarks: settings, draws, and a small run on real data."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from xm import DataError, UsageError, bench
from xm.experiment import BenchReport
from xm.foundation import Event
from xm_aligners.croma.draws import Draw, draw
from xm_aligners.croma.features import Featured, Side
from xm_aligners.croma.settings import MetaConfig
from xm_aligners.croma.texts import DIGITS, SOUNDS, digit_texts, sound_texts
from xm_aligners.croma.tuned import TUNED
from xm_aligners.croma.worlds import FOLDERS, SEEN, World

NEEDS_DATA = pytest.mark.skipif("XM_DATA" not in os.environ, reason="XM_DATA is unset: no recordings and photographs")
SMALL: dict[str, Any] = {
    "croma.iterations": 2,
    "align-classify.iterations": 2,
    "oracle.iterations": 2,
    "task.supports": 2,
}


def made_up() -> Featured:
    """Six sounds and six digits; vectors tell the class, and with 0.1 of noise the item."""
    kinds = ("sound",) * 6 + ("digit",) * 6
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(12, 10, generator=generator)

    def side(groups: dict[str, tuple[str, ...]], per_group: int) -> Side:
        rows = [(label, group) for label, kind in enumerate(kinds) for group in groups[kind] for _ in range(per_group)]
        y = torch.tensor([label for label, _ in rows])
        return Side(centres[y] + 0.1 * torch.randn(len(y), 10, generator=generator), y, tuple(g for _, g in rows))

    seen = side({"sound": ("",), "digit": ("",)}, 7)
    heard = side({"sound": tuple(f"fold {i}" for i in range(1, 6)), "digit": ("a", "b", "c", "d", "e", "f")}, 3)
    classes = tuple(f"class {i}" for i in range(12))
    return Featured(World("image", "audio", classes, kinds, (), (), "made up"), seen, heard)


@pytest.fixture
def drawn() -> Draw:
    return draw(made_up(), 3, per_class=8, dims=0)


def test_classes_are_disjoint_and_of_both_kinds(drawn: Draw) -> None:
    new = {int(name.removeprefix("class ")) for name in drawn.tested}
    assert len([label for label in new if label < 6]) == 2
    assert len([label for label in new if label >= 6]) == 3
    assert not new & set(drawn.data.source.labels.tolist())
    assert drawn.data.pairs.y is not None
    assert not new & set(drawn.data.pairs.y.tolist())


def test_folds_and_speakers_stay_whole(drawn: Draw) -> None:
    """Queries are the tested classes' items of two folds and two speakers, which nothing else comes from."""
    assert len(drawn.query) == 2 * (2 * 3) + 3 * (2 * 3)
    assert len(drawn.pool) == 2 * (3 * 3) + 3 * (4 * 3)
    together = torch.cat([drawn.pool.x["features"], drawn.query.x["features"], drawn.data.pairs.x["target"]])
    assert len(torch.unique(together[: len(drawn.pool) + len(drawn.query)], dim=0)) == len(drawn.pool) + len(
        drawn.query
    )
    held = {tuple(row) for row in drawn.query.x["features"].tolist()}
    assert not held & {tuple(row) for row in drawn.data.pairs.x["target"].tolist()}


def test_supports_are_balanced_and_differ(drawn: Draw) -> None:
    supports = list(drawn.supports(2, 3, 1))
    assert all(torch.bincount(support.labels).tolist() == [2] * 5 for support in supports)
    assert not torch.equal(supports[0].x["features"], supports[1].x["features"])
    again = list(drawn.supports(2, 3, 1))
    assert all(torch.equal(a.x["features"], b.x["features"]) for a, b in zip(supports, again, strict=True))


@pytest.mark.parametrize(("wrong", "expected"), ((0.0, 0), (0.5, 4), (1.0, 8)))
def test_wrong_pairs(wrong: float, expected: int) -> None:
    """A pair's class is its source item's; so many of 8 pairs a class have a target item of another class."""
    world = made_up()
    data = draw(world, 3, per_class=8, wrong=wrong, dims=0).data
    assert data.pairs.y is not None
    mean = world.heard.x.mean(dim=0)
    centres = torch.stack([world.heard.x[world.heard.y == label].mean(dim=0) for label in range(12)]) - mean
    found = torch.cdist(data.pairs.x["target"], torch.nn.functional.normalize(centres, dim=1)).argmin(dim=1)
    for label in data.pairs.y.unique():
        assert int((found != label)[data.pairs.y == label].sum()) == expected


def test_strong_pairs_stand_for_themselves() -> None:
    assert not draw(made_up(), 1, pairing="strong").data.crosswise
    assert draw(made_up(), 1, pairing="weak").data.crosswise


def test_draws_repeat_and_differ_by_seed() -> None:
    one, same, other = (draw(made_up(), seed) for seed in (1, 1, 2))
    assert one.tested == same.tested
    assert torch.equal(one.data.pairs.x["source"], same.data.pairs.x["source"])
    assert one.tested != other.tested


def test_components_are_of_meta_train_alone() -> None:
    """What the tested classes and held-out groups sound like does not touch the meta-training data."""
    world = made_up()
    before = draw(world, 3, dims=4)
    changed = world.heard.x.clone()
    new = [int(name.removeprefix("class ")) for name in before.tested]
    changed[torch.isin(world.heard.y, torch.tensor(new))] *= -3
    after = draw(replace(world, heard=replace(world.heard, x=changed)), 3, dims=4)
    assert torch.equal(before.data.pairs.x["target"], after.data.pairs.x["target"])


def test_texts() -> None:
    assert {len(sound_texts(name)) for name in SOUNDS} == {32}
    assert {len(digit_texts(digit)) for digit in range(10)} == {32}
    texts = [text for name in SOUNDS for text in sound_texts(name)]
    assert len(set(texts)) == len(texts)
    assert set(SEEN) <= set(SOUNDS) == set(FOLDERS)
    assert len(DIGITS) == 10


def test_tuned_settings_are_valid() -> None:
    from xm_aligners.croma.settings import ApproachConfig

    for settings in TUNED.values():
        config = ApproachConfig.model_validate(dict(settings))
        assert config.steps == ApproachConfig.model_validate(dict(TUNED["croma"])).steps, "one budget for all"
    assert MetaConfig().batch == 25


@pytest.mark.parametrize(
    ("settings", "said"),
    (
        ({"strategies": ("cromaa",)}, "did you mean 'croma'"),
        ({"set": {"iterations": 3}}, r"--set croma\.iterations=3"),
        ({"set": {"croma.iteration": 3}}, "did you mean 'iterations'"),
        ({"set": {"cromo.iterations": 3}}, "did you mean 'croma'"),
        ({"set": {"task.noise": 2}}, "less than or equal to 1"),
        ({"shots": (0, 1)}, "1 sample of each class"),
        ({"data": "image-sound"}, "did you mean 'image-audio'"),
        ({"encoders": {"smell": "nose"}}, "unknown modality"),
    ),
)
def test_mistakes_are_explained(settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        bench("croma", **{"out": tmp_path, **settings})


def test_says_what_to_do_without_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XM_DATA", raising=False)
    with pytest.raises(DataError, match="XM_DATA"):
        bench("croma", out=tmp_path)
    monkeypatch.setenv("XM_DATA", str(tmp_path))
    with pytest.raises(DataError, match="no such folder"):
        bench("croma", out=tmp_path)


def test_tells_notes_as_it_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """How tasks were made before anything is measured, what came out at the end; the report holds the same."""
    world = made_up()
    monkeypatch.setattr("xm_aligners.croma.protocol.data_folder", lambda: tmp_path)
    monkeypatch.setattr("xm_aligners.croma.protocol.WORLDS", {"made-up": lambda data: world.world})
    monkeypatch.setattr("xm_aligners.croma.protocol.featured", lambda *given: world)
    heard: list[Event] = []
    given = {"strategies": ("align-classify", "croma"), "shots": (1,), "seeds": (1, 2), "set": SMALL}
    report = bench("croma", listener=heard.append, out=tmp_path / "out", **given)
    told = [event.data["message"] for event in heard if event.kind == "note"]
    assert told[0] == "made up"
    assert [event.kind for event in heard].index("cell") == len(report.notes) - 1, "notes come before results"
    assert "standard error" in told[-1]
    assert [message for message in told if not message.endswith(" done")] == list(report.notes)
    assert [message for message in told if message.endswith(" done")] == [
        "made-up: align-classify done",
        "made-up: croma done",
    ]


def small(name: str, tmp_path: Path, **settings: Any) -> BenchReport:
    given = {"data": "text-audio", "shots": (1,), "seeds": (1, 2), "set": SMALL, "out": tmp_path, **settings}
    return bench(name, **given)


@NEEDS_DATA
def test_a_small_run(tmp_path: Path) -> None:
    report = small("croma", tmp_path, strategies=("align-classify", "croma"))
    assert [(r.strategy, r.seed) for r in report.results] == [
        ("align-classify", 1),
        ("align-classify", 2),
        ("croma", 1),
        ("croma", 2),
    ]
    assert all(r.value > 0.3 and r.labels["train"] == 5 for r in report.results)
    assert [(c.strategy, c.against, c.seeds) for c in report.comparisons] == [("croma", "align-classify", 2)]
    assert any("standard error" in note for note in report.notes)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(files) == 4
    again = small("croma", tmp_path, strategies=("align-classify", "croma"))
    assert again.results == report.results
    assert {path: path.stat().st_mtime_ns for path in files} == files, "what was measured is read"
    with pytest.raises(UsageError, match="choose another --out"):
        small("croma", tmp_path, set={**SMALL, "croma.iterations": 3}, strategies=("croma",))


@NEEDS_DATA
def test_noise_and_pairs(tmp_path: Path) -> None:
    noise = small("croma-noise", tmp_path, seeds=(1,), shots=(5,))
    values = {r.strategy: r.value for r in noise.results}
    assert set(values) == {
        f"{name}, noise {share}" for name in ("croma", "oracle") for share in (0, 0.2, 0.4, 0.6, 0.8)
    }
    assert values["croma, noise 0.8"] < values["croma, noise 0"] - 0.2
    pairs = small("croma-pairs", tmp_path, seeds=(1,), strategies=("croma",))
    assert len(pairs.results) == 10
