"""Streams with readings beside their samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from xm import Context, Predictor, Reading, Strategy, Stream, UsageError, Wrapping
from xm.learning.model import EMBEDDING, LinearClassifier, class_means
from xm.learning.predictor import LEAST, PART, decide
from xm.testing import synthetic


def stream(n: int = 6) -> Stream:
    x = torch.arange(4.0 * n).reshape(n, 4)
    also = {"twice": {"embedding": 2 * x}, "deep": {"a": x[:, :2, None], "b": -x}}
    return Stream("image", {"embedding": x}, torch.arange(n), also=also)


def test_readings_are_sliced_and_kept() -> None:
    rows = torch.tensor([4, 0])
    for found in (stream()[rows], stream().times(2)[rows], stream().to("cpu")[rows]):
        torch.testing.assert_close(found.also["twice"]["embedding"], 2 * found.x["embedding"])
        torch.testing.assert_close(found.also["deep"]["a"][..., 0], found.x["embedding"][:, :2])
        torch.testing.assert_close(found.also["deep"]["b"], -found.x["embedding"])


def test_a_reading_is_the_same_samples() -> None:
    found = stream().reading("twice")
    torch.testing.assert_close(found.x["embedding"], 2 * stream().x["embedding"])
    assert found.y is not None and found.y.tolist() == [0, 1, 2, 3, 4, 5] and not found.also
    with pytest.raises(ValueError, match=r"the image stream has no reading 'thrice' \(it has: twice, deep\)"):
        stream().reading("thrice")


def test_embedding_keeps_readings() -> None:
    given = synthetic.also(synthetic.held_out(), {"a": Reading(view="flip"), "b": Reading(encoder="other")})
    assert synthetic.towers().embed(given).also.keys() == {"a", "b"}
    assert synthetic.towers().embedded(given).also.keys() == {"a", "b"}


def test_decide_counts_readings_when_it_cuts_parts() -> None:
    sizes: list[int] = []

    class Counting(Predictor):
        def predict(self, model: nn.Module, inputs: Stream) -> Tensor:
            sizes.append(len(inputs))
            torch.testing.assert_close(inputs.also["a"]["x"], inputs.x["x"].expand(-1, PART // 100))
            return torch.ones(len(inputs), 2)

    x = torch.arange(3.0 * LEAST)[:, None]
    decide(
        Counting(), nn.Identity(), Stream("image", {"x": x}, also={"a": {"x": x.expand(-1, PART // 100)}}),
        torch.device("cpu"),
    )  # fmt: skip
    assert max(sizes) == 99 and sum(sizes) == 3 * LEAST


@pytest.mark.parametrize(
    ("reading", "wanted"),
    [
        (Reading(view="flip"), {EMBEDDING: synthetic.DIM}),
        (Reading(depth=2), {"features": synthetic.DIM}),
        (Reading(encoder="other"), {EMBEDDING: synthetic.OTHER_DIM}),
    ],
)
def test_a_synthetic_context_has_them(reading: Reading, wanted: Mapping[str, int]) -> None:
    context = synthetic.context(("named",), readings={"it": reading})
    for found in (context.train["seen"], context.val):
        assert found is not None
        assert {name: value.shape[1] for name, value in found.also["it"].items()} == wanted
    assert not context.train["named"].also
    if reading.encoder is not None:
        reader = context.reader("it")
        assert reader.texts is not None and reader.texts.x[EMBEDDING].shape == (10, reader.dim)
    else:
        with pytest.raises(ValueError, match="there is no reading 'it' by another encoder"):
            context.reader("it")


def test_a_strategy_inside_another_has_its_readings() -> None:
    class Inner(Strategy):
        def readings(self, target: str, aux: Sequence[str]) -> Mapping[str, Reading]:
            return {"mirror": Reading(view="flip")}

        def build(self, context: Context) -> nn.Module:
            return LinearClassifier(context.towers, class_means(context.train["seen"].reading("mirror"), 5))

    wrapping = Wrapping()
    wrapping.hold(Inner())
    assert wrapping.readings("seen", ()) == {"mirror": Reading(view="flip")}
    synthetic.context((), readings=wrapping.readings("seen", ())).adapt(Inner())
    with pytest.raises(UsageError, match="Inner needs the reading 'mirror', which is not made here"):
        synthetic.context(()).adapt(Inner())
