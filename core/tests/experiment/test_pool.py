"""The pool: labels, and rows that belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from xm import Context, Sample, StepObjective, Strategy, StrategySpec
from xm.data.task import Digests
from xm.encoders.encoder import Tail
from xm.encoders.store import FeatureStore
from xm.evaluation.report import Report
from xm.experiment.pool import Pool
from xm.learning.model import LinearClassifier, Tower, Towers
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import ObjectiveSpec

NAMES = ("pair", "group", "origin")


def image(number: int, **more: Any) -> Sample:
    return Sample(f"cat {number}", "image", **{"label": 0, **more})


def text(number: int, **more: Any) -> Sample:
    return replace(image(number, **more), modality="text")


@pytest.fixture
def pool(toy: Any) -> Callable[..., Pool]:
    """A pool of samples, by modality in order of their appearance."""

    def make(*samples: Sample, **more: Any) -> Pool:
        made = Pool(
            FeatureStore(None), Towers({n: Tower(Tail()) for n in ("image", "text")}), torch.device("cpu"), **more
        )
        for modality, encoder in (("image", toy.ToyImage()), ("text", toy.ToyText())):
            own = [sample for sample in samples if sample.modality == modality]
            if own:
                made.add(modality, encoder, own)
        return made

    return make


def numbers(pool: Pool, samples: Sequence[Sample], name: str) -> list[int] | None:
    found = pool.stream(samples[0].modality, samples)
    assert found is not None
    value = getattr(found, name)
    assert value is None or value.dtype == torch.int64
    return None if value is None else value.tolist()


@pytest.mark.parametrize(("field", "name"), (("pair", "pair"), ("group", "group"), ("source", "origin")))
def test_equal_words_are_equal_numbers_across_streams(pool: Callable[..., Pool], field: str, name: str) -> None:
    images = [image(i, **{field: word}) for i, word in enumerate(("a", None, "b", "a"))]
    texts = [text(i, **{field: word}) for i, word in enumerate(("c", "b", "a"))]
    made = pool(*images, *texts)
    first, second = numbers(made, images, name), numbers(made, texts, name)
    assert first is not None and second is not None
    assert (first[0], first[1], first[3]) == (second[2], -1, first[0]), "within the modality and across"
    assert first[2] == second[1] and len({first[0], first[2], second[0]}) == 3
    assert numbers(made, images[2:], name) == first[2:], "other streams of the pool have the same numbers"
    assert [other for other in NAMES if numbers(made, images, other) is not None] == [name]


def test_what_no_sample_says_is_none(pool: Callable[..., Pool]) -> None:
    samples = [image(0), image(1), image(2, group="g")]
    made = pool(*samples)
    assert numbers(made, samples[:2], "group") is None
    assert numbers(made, samples, "group") == [-1, -1, 0]


def test_numbers_are_shared_among_pools(pool: Callable[..., Pool]) -> None:
    """Class names are read into a pool of their own, and agree with the task's streams."""
    made = pool(image(0, pair="a"), image(1, pair="b"))
    name = text(2, pair="b")
    other = pool(name, numbers=made.numbers)
    assert numbers(other, [name], "pair") == [1]


def test_digests_of_tasks_do_not_hear_of_them() -> None:
    plain, told = image(0), image(0, pair="a", group="g", source="s")
    found = {Digests().of(("cat",), "image", {"train": {"image": (sample,)}}) for sample in (plain, told)}
    assert len(found) == 1


def test_a_stream_without_labels_has_none(pool: Callable[..., Pool]) -> None:
    samples = [image(0, label=None), image(1, label=None), image(2)]
    made = pool(*samples)
    stream = made.stream("image", samples[:2])
    assert stream is not None and stream.y is None and len(stream) == 2
    assert made.labels("image", samples[:2]) == 0 and made.labels("image", samples[2:]) == 1
    with pytest.raises(ValueError, match="2 of 3 image samples have no label"):
        made.stream("image", samples)


class Spy(Strategy):
    """Class means of nothing; keeps what it is given."""

    seen: list[Context]

    def build(self, context: Context) -> LinearClassifier:
        self.seen.append(context)
        return LinearClassifier(context.towers, torch.zeros(len(context.classes), context.dim), trainable=False)


@pytest.fixture
def seen(plugins: PluginManager, toy: Any) -> list[Context]:
    """Contexts of the strategy `spy`."""
    found: list[Context] = []
    toy.Spy = type("Spy", (Spy,), {"seen": found})
    plugins.strategies["spy"] = StrategySpec(name="spy", target="xm_toy:Spy")
    return found


def test_a_manifest_s_columns_reach_strategies(
    run: Callable[..., Report], toy: Any, tmp_path: Path, seen: list[Context]
) -> None:
    """Pairs across modalities and within one, groups, and the column `source`."""
    toy.write_folder(tmp_path, each=5)
    lines = ["path,text,label,split,group,pair,source"]
    for k, name in enumerate(toy.CLASSES):
        lines += [f"{name}/{n}.toy,,{name},train,speaker{n},{name}{n // 2},web" for n in range(3)]
        lines += [f"{name}/{n}.toy,,{name},test,,," for n in (3, 4)]
        lines += [f",{name} {100 * k + n},{name},train,,{name}{n},captions" for n in range(2)]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    run(aux=("text",), data=str(tmp_path / "table.csv"), strategy="spy", shots=(3,), aux_shots=2, baselines=False)
    context = seen[-1]
    images, texts = context.train["image"], context.train["text"]
    assert images.pair is not None and texts.pair is not None
    assert sorted(images.pair.bincount().tolist()) == [1] * 5 + [2] * 5
    captions = texts[texts.pair >= 0]
    assert captions.pair is not None and len(texts) == len(captions) + 5, "names of classes are in no pair"
    assert set(captions.pair.tolist()) == set(images.pair.tolist()), "each caption belongs to an image or two"
    for pair, label in zip(captions.pair, captions.labels, strict=True):
        assert set(images.labels[images.pair == pair].tolist()) == {int(label)}, "a pair of two classes"
    assert images.group is not None and images.group.bincount().tolist() == [5, 5, 5] and texts.group is None
    assert images.origin is not None and texts.origin is not None
    assert set(texts.origin.tolist()) == {-1, 1} and set(images.origin.tolist()) == {0}


def test_a_model_has_an_objective_of_its_own(
    run: Callable[..., Report], images: Path, plugins: PluginManager, toy: Any, seen: list[Context]
) -> None:
    """Made with the user's settings; one model does not hear of another's."""

    class Counting(StepObjective):
        def __call__(self, logits: Any, labels: Any, weights: Any = None) -> Any:
            return logits.sum()

    toy.Counting = Counting
    plugins.objectives["counting"] = ObjectiveSpec(name="counting", target="xm_toy:Counting")
    run(data=str(images), strategy="spy", objective="counting", seeds=(1, 2), baselines=False)
    made = [context.objective for context in seen]
    assert all(isinstance(one, Counting) for one in made) and len({id(one) for one in made}) == len(made) == 2
