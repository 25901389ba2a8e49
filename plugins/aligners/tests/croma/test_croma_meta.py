"""Meta-training: what is learned, by whom, and that it comes out the same."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from xm import UsageError
from xm.foundation import Event, threads
from xm.learning import Checkpoint, InfoNce
from xm_aligners.croma.approaches import APPROACHES
from xm_aligners.croma.episodes import align_episode, classify_episode
from xm_aligners.croma.few_shot import Start, adapt, corrupted
from xm_aligners.croma.meta import meta_align
from xm_aligners.croma.model import encoder, fresh, pair_batch
from xm_aligners.croma.settings import AdaptConfig, ApproachConfig
from xm_aligners.croma.tasks import FEATURES, Groups


def _toy() -> Any:
    spec = importlib.util.spec_from_file_location("croma_toy", Path(__file__).with_name("croma_toy.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


toy = _toy()
CONFIG = ApproachConfig(dim=16, iterations=60, align_ways=8, align_lr=1e-2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices are small."""
    with threads(1):
        yield


def accuracy(start: Start, shots: int = 1, draws: int = 6, seed: int = 1) -> float:
    query = toy.task(40, 99)
    found = []
    for i in range(draws):
        model = adapt(start, toy.task(shots, 10 + i), AdaptConfig(), seed)
        with torch.no_grad():
            found.append(float((model(query.x[FEATURES]).argmax(dim=1) == query.labels).float().mean()))
    return sum(found) / draws


@pytest.fixture(scope="module")
def aligned() -> Start:
    """What CroMA makes of the toy's classes."""
    with threads(1):
        return APPROACHES["croma"](toy.data(), InfoNce(), CONFIG, 1)


def untrained() -> Start:
    head = torch.zeros(CONFIG.ways, CONFIG.dim)
    return Start(encoder(toy.DIM, CONFIG, torch.Generator().manual_seed(1)), head, CONFIG.scale)


def test_croma_learns_new_classes_of_the_target(aligned: Start) -> None:
    """Five classes it never saw, one sample each: chance is 20 %."""
    found, before = accuracy(aligned), accuracy(untrained())
    assert found > 0.45
    assert found > before + 0.03, f"{found:.2f} after meta-alignment, {before:.2f} without"


def test_more_shots_help(aligned: Start) -> None:
    assert accuracy(aligned, 8) > accuracy(aligned, 1) + 0.05


@pytest.mark.parametrize("name", APPROACHES)
def test_every_approach_is_above_chance_and_deterministic(name: str) -> None:
    config = CONFIG.model_copy(update={"iterations": 10})
    found = []
    for state in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(state)
            found.append(APPROACHES[name](toy.data(), InfoNce(), config, 3))
    one, other = found
    assert all(torch.equal(a, b) for a, b in zip(one.encoder.parameters(), other.encoder.parameters(), strict=True))
    assert torch.equal(one.head, other.head)
    assert accuracy(one) > 0.3
    assert one.head.shape == (config.ways, config.dim)


def test_rows_of_new_classes() -> None:
    config = CONFIG.model_copy(update={"iterations": 2})
    starts = {
        rows: APPROACHES["align-classify"](toy.data(), InfoNce(), config.model_copy(update={"rows": rows}), 1)
        for rows in ("zeros", "random", "tasks")
    }
    assert not starts["zeros"].head.any()
    assert 0 < float(starts["random"].head.detach().abs().max()) <= CONFIG.dim**-0.5
    assert starts["tasks"].head.any()
    encoders = [dict(start.encoder.state_dict()) for start in starts.values()]
    assert all(torch.equal(encoders[0]["skip"], other["skip"]) for other in encoders)


def test_only_the_oracle_sees_the_targets_labels() -> None:
    data = toy.data()
    blind = type(data)(data.source, data.pairs, data.crosswise, data.target, None)
    config = CONFIG.model_copy(update={"iterations": 2})
    for name, approach in APPROACHES.items():
        if name == "oracle":
            with pytest.raises(ValueError, match="no labels"):
                approach(blind, InfoNce(), config, 1)
            continue
        one, other = approach(blind, InfoNce(), config, 1), approach(data, InfoNce(), config, 1)
        assert all(torch.equal(a, b) for a, b in zip(one.encoder.parameters(), other.encoder.parameters(), strict=True))


@pytest.mark.parametrize("stop", (3, 5, 8))
def test_interrupted_meta_training_ends_at_the_same_weights(stop: int, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"iterations": 9})
    whole = meta_align(toy.data(), InfoNce(), config, seed=4)

    def interrupt(event: Event) -> None:
        if event.data["step"] == stop:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "meta.safetensors", every=2)
    with pytest.raises(KeyboardInterrupt):
        meta_align(toy.data(), InfoNce(), config, seed=4, checkpoint=checkpoint, listener=interrupt)
    assert checkpoint.path.exists()
    again = meta_align(toy.data(), InfoNce(), config, seed=4, checkpoint=checkpoint)
    for (name, value), other in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(value, other), name


def moved(open_encoder: bool, kind: str) -> set[str]:
    """What an episode of the kind moves."""
    config = CONFIG.model_copy(update={"open_encoder": open_encoder})
    data = toy.data()
    model = fresh(data, InfoNce(), config, 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    {"align": align_episode, "classify": classify_episode}[kind](data, config)(model, 5)
    return {
        name.partition(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }


def test_what_moves_is_as_in_algorithm_1() -> None:
    assert moved(False, "align") == {"source", "target", "objective"}
    assert moved(False, "classify") == {"head"}
    assert moved(True, "classify") == {"head", "source"}


def test_tasks_are_of_few_classes() -> None:
    groups = Groups(torch.tensor([4, 4, 4, 9, 9, 9, 2, 2, 7]))
    rows, labels = groups.task(3, 2, torch.Generator().manual_seed(0))
    assert labels.tolist() == sorted(labels.tolist())
    for label in range(3):
        own = groups.y[rows[labels == label]]
        assert len(own.unique()) == 1
        assert len(own) == 2 or own[0] == 7


def test_pairs_in_the_objectives_words() -> None:
    """The side that is brought home is the source; the anchor's own vectors are the frozen ones."""
    data = toy.data(1)
    model = fresh(data, InfoNce(), CONFIG, 1)
    batch = pair_batch(model, data.pairs, True)
    torch.testing.assert_close(batch.frozen, data.pairs.x["source"])
    heard = model.target(data.pairs.x["target"])
    torch.testing.assert_close(batch.source, heard / heard.norm(dim=1, keepdim=True))
    assert batch.group is data.pairs.y
    assert pair_batch(model, data.pairs, False).group is None


@pytest.mark.parametrize(("share", "wrong"), ((0.0, 0), (0.2, 5), (0.5, 12), (0.8, 20), (1.0, 25)))
def test_corrupted_labels(share: float, wrong: int) -> None:
    labels = torch.arange(5).repeat_interleave(5)
    found: Tensor = corrupted(labels, share, 5, torch.Generator().manual_seed(1))
    assert int((found != labels).sum()) == wrong
    assert set(found.tolist()) <= set(range(5))
    assert torch.equal(labels, torch.arange(5).repeat_interleave(5)), "the given labels must stay"


def test_corrupted_labels_need_a_share() -> None:
    with pytest.raises(ValueError, match=r"share of 1\.5"):
        corrupted(torch.zeros(3, dtype=torch.long), 1.5, 2, torch.Generator())


def test_wrong_labels_hurt(aligned: Start) -> None:
    support, query = toy.task(8, 20), toy.task(40, 99)
    values = []
    for share in (0.0, 0.8):
        labels = corrupted(support.labels, share, 5, torch.Generator().manual_seed(1))
        model = adapt(aligned, type(support)(support.modality, support.x, labels), AdaptConfig())
        with torch.no_grad():
            values.append(float((model(query.x[FEATURES]).argmax(dim=1) == query.labels).float().mean()))
    assert values[1] < values[0] - 0.3


def test_adapting_leaves_the_start_alone() -> None:
    start = untrained()
    before = [p.clone() for p in start.encoder.parameters()]
    adapt(start, toy.task(1, 1), AdaptConfig())
    assert all(torch.equal(a, b) for a, b in zip(before, start.encoder.parameters(), strict=True))
    assert not start.head.any()


def test_settings_are_explained() -> None:
    from xm_aligners.croma.aligner import Croma

    with pytest.raises(UsageError, match="did you mean 'epsilon'"):
        Croma({"epsilo": 1})
