"""Few-shot retrieval: its tasks, what is learned from few pairs, and the figures."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from xm import DataError, Stream
from xm.foundation import threads
from xm.learning import InfoNce
from xm_aligners.croma.draws import Draw, draw
from xm_aligners.croma.features import Featured, Side
from xm_aligners.croma.model import MetaModel, fresh
from xm_aligners.croma.retrieval import APPROACHES, Task, learned, measured, metrics, tasks
from xm_aligners.croma.settings import ApproachConfig
from xm_aligners.croma.tasks import FEATURES, SOURCE, TARGET
from xm_aligners.croma.tuned import RETRIEVAL
from xm_aligners.croma.worlds import World

SCRIPT = Path(__file__).parents[4] / "benchmarks/croma.py"
DIM = 12
CONFIG = ApproachConfig(dim=DIM, iterations=30, align_ways=6, align_lr=1e-2, adapt_steps=30, adapt_lr=1e-2)
KINDS = ("sound",) * 6 + ("digit",) * 6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices are small."""
    with threads(1):
        yield


@pytest.fixture(scope="module")
def world() -> Featured:
    """12 classes, whose centres the audio side has turned; items scatter around them."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(12, DIM, generator=generator)
    turn = torch.linalg.qr(torch.randn(DIM, DIM, generator=generator)).Q

    def side(groups: dict[str, tuple[str, ...]], per_group: int, map: Tensor) -> Side:
        rows = [(label, group) for label, kind in enumerate(KINDS) for group in groups[kind] for _ in range(per_group)]
        y = torch.tensor([label for label, _ in rows])
        x = (centres[y] + 0.6 * torch.randn(len(y), DIM, generator=generator)) @ map
        return Side(x, y, tuple(group for _, group in rows))

    seen = side({"sound": ("",), "digit": ("",)}, 12, torch.eye(DIM))
    heard = side({"sound": tuple(f"fold {i}" for i in range(1, 6)), "digit": tuple("abcdef")}, 3, turn)
    return Featured(World("image", "audio", tuple(f"class {i}" for i in range(12)), KINDS, (), (), ""), seen, heard)


@pytest.fixture(scope="module")
def drawn(world: Featured) -> Draw:
    return draw(world, 3, per_class=8, dims=0)


def rows(x: Tensor) -> set[tuple[float, ...]]:
    return {tuple(row) for row in x.tolist()}


def test_pairs_queries_and_gallery_have_no_item_in_common(drawn: Draw) -> None:
    found = list(tasks(drawn, 3, 4, 1))
    assert len(found) == 4
    query = rows(found[0].query.x[FEATURES])
    assert len(query) == 5 * 6, "half of each class's source items"
    for task in found:
        assert torch.bincount(task.pairs.labels).tolist() == [3] * 5
        assert rows(task.query.x[FEATURES]) == query, "queries are the same for all draws of pairs"
        assert not query & rows(task.pairs.x[SOURCE])
        assert rows(task.pairs.x[SOURCE]) <= rows(drawn.seen.x[FEATURES])
        assert rows(task.pairs.x[TARGET]) <= rows(drawn.pool.x[FEATURES])
        for gallery in task.gallery.values():
            assert not rows(gallery.x[FEATURES]) & rows(task.pairs.x[TARGET])
    assert not torch.equal(found[0].pairs.x[SOURCE], found[1].pairs.x[SOURCE])
    again = list(tasks(drawn, 3, 4, 1))
    assert torch.equal(found[1].pairs.x[TARGET], again[1].pairs.x[TARGET])


def test_the_items_of_a_pair_are_of_its_class(world: Featured, drawn: Draw) -> None:
    task = next(tasks(drawn, 2, 1, 1))
    for side, items in ((SOURCE, drawn.seen), (TARGET, drawn.pool)):
        for x, label in zip(task.pairs.x[side], task.pairs.labels, strict=True):
            assert items.labels[(items.x[FEATURES] == x).all(dim=1)].tolist() == [label]


def test_the_larger_gallery_has_classes_of_meta_training_too(drawn: Draw) -> None:
    gallery = next(tasks(drawn, 1, 1, 1)).gallery
    assert sorted(gallery["new"].labels.unique().tolist()) == [0, 1, 2, 3, 4]
    assert len(gallery["all"]) == 12 * 2 * 3, "two folds or speakers of each class, 3 items of each"
    assert len(gallery["all"].labels.unique()) == 12
    train = rows(drawn.data.pairs.x[TARGET])
    assert not rows(gallery["all"].x[FEATURES]) & train, "no recording that was learned from is in a gallery"


def test_says_how_many_pairs_there_are(drawn: Draw) -> None:
    with pytest.raises(DataError, match=r"7 pairs of class 'class \d+' were asked for, and 6 are there at most"):
        next(tasks(drawn, 7, 1, 1))


def still(first: Tensor, second: Tensor) -> MetaModel:
    """A model whose encoders are the given linear maps."""
    config = ApproachConfig(dim=2)
    x = {SOURCE: torch.eye(2), TARGET: torch.eye(2)}
    data = type("Data", (), {"pairs": Stream("pairs", x)})()
    model = fresh(data, InfoNce(), config, 1)
    with torch.no_grad():
        for encoder, map in ((model.source, first), (model.target, second)):
            encoder.skip.copy_(map)
            encoder.bias.zero_()
    return model


def test_metrics_by_hand() -> None:
    """Queries (1, 0) of class 0 and (0, 1) of class 1; class 1 is twice among the candidates.

    Cosines of the first: 0.8 to its own, 1 to one of class 1, 0 to the other: rank 2, distance 0.2. Of the second:
    0 and 1 to its own: rank 1, distance 0.5. With one more class, at (0.6, -0.8), neither rank changes.
    """
    query = Stream("image", {FEATURES: torch.tensor([[1.0, 0.0], [0.0, 1.0]])}, torch.tensor([0, 1]))
    x = torch.tensor([[0.8, 0.6], [1.0, 0.0], [0.0, 1.0], [0.6, -0.8]])
    y = torch.tensor([0, 1, 1, 5])
    gallery = {"new": Stream("audio", {FEATURES: x[:3]}, y[:3]), "all": Stream("audio", {FEATURES: x}, y)}
    found = metrics(still(torch.eye(2), torch.eye(2)), Task(query, query, gallery))
    expected = {"r1": 0.5, "r5": 1.0, "r10": 1.0, "median_rank": 1.5, "cosine": 0.35}
    assert found["new"] == pytest.approx(expected)
    assert found["all"] == pytest.approx(expected)


def test_source_items_look_for_target_items() -> None:
    """The query goes through the source's encoder, the gallery through the target's."""
    query = Stream("image", {FEATURES: torch.eye(2)}, torch.tensor([0, 1]))
    gallery = {"new": Stream("audio", {FEATURES: torch.eye(2)}, torch.tensor([1, 0]))}
    swap = torch.eye(2).flip(0)
    task = Task(query, query, gallery)
    assert metrics(still(torch.eye(2), torch.eye(2)), task)["new"]["r1"] == 0
    assert metrics(still(swap, torch.eye(2)), task)["new"]["r1"] == 1
    assert metrics(still(torch.eye(2), swap), task)["new"]["r1"] == 1


@pytest.fixture(scope="module")
def starts(drawn: Draw) -> dict[str, MetaModel]:
    with threads(1):
        return {name: approach.start(drawn.data, InfoNce(), CONFIG, 1) for name, approach in APPROACHES.items()}


def test_few_pairs_move_both_encoders_and_leave_the_start_alone(drawn: Draw, starts: dict[str, MetaModel]) -> None:
    start, task = starts["align"], next(tasks(drawn, 2, 1, 1))
    before = {name: value.clone() for name, value in start.state_dict().items()}
    ready = learned(start, task.pairs, CONFIG, True, 1)
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items())
    moved = {
        name.partition(".")[0] for name, value in ready.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved == {"source", "target", "objective"}


def test_alignment_and_pairs_help(drawn: Draw, starts: dict[str, MetaModel]) -> None:
    def r1(name: str, shots: int) -> float:
        return measured(APPROACHES[name], starts[name], drawn, shots, 3, CONFIG, 1)["all"]["r1"]

    without = r1("no-align", 5)
    assert r1("no-align", 2) == without, "it learns from no pairs"
    assert r1("align-few", 0) == without
    assert r1("align-few", 5) > without + 0.3
    for name in ("align", "croma"):
        assert r1(name, 0) > without + 0.1, "classes it never saw are nearer to their own"
        assert r1(name, 5) > r1(name, 0)


def test_only_new_pairs_and_nothing_else_changes_by_seed(world: Featured, starts: dict[str, MetaModel]) -> None:
    drawn = draw(world, 3, per_class=8, dims=0)
    one, same, other = (measured(APPROACHES["croma"], starts["croma"], drawn, 2, 2, CONFIG, s) for s in (1, 1, 2))
    assert one == same != other


def test_plain_alignment_takes_as_many_pairs_and_steps_as_meta_alignment(drawn: Draw) -> None:
    """One iteration of one step on all pairs of all classes: both take the same step, CroMA's scaled by epsilon."""
    classes = len(drawn.data.pairs.labels.unique())
    config = CONFIG.model_copy(
        update={"iterations": 1, "inner_steps": 1, "align_ways": classes, "shots": 8, "epsilon": 0.5, "anneal": False}
    )
    made = [APPROACHES[name].start(drawn.data, InfoNce(), config, 1) for name in ("no-align", "align", "croma")]
    for before, one, other in zip(*(model.source.parameters() for model in made), strict=True):
        torch.testing.assert_close(other - before, 0.5 * (one - before), atol=1e-6, rtol=1e-4)


def test_settings_are_of_one_budget() -> None:
    configs = [ApproachConfig.model_validate(dict(own)) for by_name in RETRIEVAL.values() for own in by_name.values()]
    assert {config.steps for config in configs} == {600}
    assert {config.align_ways * config.shots for config in configs} == {40}
    for steps, by_name in RETRIEVAL.items():
        assert set(by_name) == set(APPROACHES)
        assert all(own.get("adapt_steps") == steps for name, own in by_name.items() if APPROACHES[name].learns)


@pytest.mark.skipif(not SCRIPT.is_file(), reason="benchmarks/croma.py is not there: not in the repository")
def test_the_script_ends_in_one_line_of_json(
    world: Featured, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("croma_script", SCRIPT)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "croma_script", script)
    spec.loader.exec_module(script)
    quick = {"objective": "infonce", "iterations": 2, "adapt_steps": 2, "dim": DIM}
    monkeypatch.setattr(script, "RETRIEVAL", {5: dict.fromkeys(APPROACHES, quick)})
    monkeypatch.setattr(script, "features", lambda plugins: {"made-up": world})
    given = ["croma.py", "--retrieval", "--steps", "5", "--pairs", "0,2", "--seeds", "1,2", "--json"]
    monkeypatch.setattr(sys, "argv", given)
    script.main()
    *table, last = capsys.readouterr().out.splitlines()
    assert len(table) == 2 + 2 * 2 * len(APPROACHES), "a line for each gallery, number of pairs and approach"
    assert table[0] == "| task | gallery | pairs | approach | R@1 | R@5 | R@10 | rank | cosine distance |"
    assert [line.split(" | ")[3] for line in table[2:6]] == list(APPROACHES)
    found = json.loads(last)
    assert (found["steps"], found["seeds"]) == (5, [1, 2])
    assert len(found["results"]) == len(table) - 2
    for record in found["results"]:
        assert len(record["r1"]) == 2
        assert all(0 <= one <= five <= 1 for one, five in zip(record["r1"], record["r5"], strict=True))
