"""The encoder `concat`, with encoders made on the spot, and with real ones where they are installed."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from xm import Encoder, EncoderSpec, ItemError, Preparing, UsageError, fingerprint_of, hookimpl
from xm.encoders import FeatureStore, encode, make_encoder
from xm.learning import Inputs
from xm.plugins import manager
from xm.testing import EncoderConformance

CPU = torch.device("cpu")


class Plain(Encoder):
    """An item's numbers, as they are or squared: (3,) arrays."""

    modality, dim, views, batch_size = "smell", 3, ("flip", "crop"), 8
    suffixes: tuple[str, ...] = (".smell", ".txt")
    power: ClassVar[int] = 1

    def __init__(self, argument: str = "") -> None:
        self.argument = argument
        self.space = f"plain{self.power}"

    def fingerprint(self) -> str:
        return fingerprint_of("plain", self.power, self.argument)

    def trunk(self, items: Sequence[Any]) -> Inputs:
        if any(not isinstance(item, np.ndarray) for item in items):
            raise ItemError(next(i for i in items if not isinstance(i, np.ndarray)), "is no array")
        return {"features": torch.from_numpy(np.stack(items)).float() ** self.power}


class Squared(Plain):
    power, suffixes, views, batch_size = 2, (".txt", ".nose"), ("crop",), 5


class Cubed(Preparing):
    """An item's numbers to the power of three; read ahead, and like sums together."""

    modality, dim, space, batch_size, sized = "smell", 3, "cubed", 2, True
    suffixes: tuple[str, ...] = (".txt",)

    def __init__(self, argument: str = "") -> None:
        self.readers: set[int] = set()

    def fingerprint(self) -> str:
        return fingerprint_of("cubed")

    def prepare(self, item: Any) -> torch.Tensor:
        self.readers.add(threading.get_ident())
        if not isinstance(item, np.ndarray):
            raise ItemError(item, "is no array at all")
        return torch.from_numpy(item).float() ** 3

    def size(self, prepared: torch.Tensor) -> int:
        return int(1000 * prepared.sum())

    def compute(self, prepared: Sequence[Any]) -> Inputs:
        return {"features": torch.stack(list(prepared))}


class Words(Plain):
    modality, accepts_names = "text", True


@pytest.fixture(autouse=True)
def _plugin() -> Iterator[None]:
    module = ModuleType("concat_toys")
    for kind in (Plain, Squared, Cubed, Words):
        setattr(module, kind.__name__, kind)
    sys.modules["concat_toys"] = module

    class Toys:
        @hookimpl
        def encoders(self) -> list[EncoderSpec]:
            return [
                EncoderSpec(name="plain", target="concat_toys:Plain", modality="smell", argument="anything"),
                EncoderSpec(name="squared", target="concat_toys:Squared", modality="smell"),
                EncoderSpec(name="cubed", target="concat_toys:Cubed", modality="smell"),
                EncoderSpec(name="words", target="concat_toys:Words", modality="text"),
            ]

    manager().register(Toys(), "concat-toys")
    yield
    manager().unregister("concat-toys")
    del sys.modules["concat_toys"]


def made(argument: str) -> Encoder:
    return make_encoder(f"concat:{argument}", manager(), CPU)


class TestConcat(EncoderConformance):
    argument = "plain+squared*0.5"

    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("concat")

    @pytest.fixture
    def items(self) -> Sequence[Any]:
        return list(np.random.default_rng(0).standard_normal((6, 3)))

    @pytest.fixture
    def bad_item(self) -> Any:
        return "no smell"

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        """What it reads depends on its parts, so the spec names nothing."""
        assert spec.suffixes == () and encoder.suffixes == (".txt",)
        assert (encoder.modality, encoder.dim, encoder.space) == ("smell", 6, "concat-plain1+plain2*0.5")
        assert (encoder.views, encoder.batch_size, encoder.accepts_names) == (("crop",), 5, False)


class TestConcatAhead(TestConcat):
    """Of a part that is read ahead, and one that is not."""

    argument = "cubed+plain*2"

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        assert spec.suffixes == () and encoder.suffixes == (".txt",)
        assert (encoder.dim, encoder.batch_size, encoder.space) == (6, 2, "concat-cubed+plain1*2")


def test_by_hand() -> None:
    """(3, 0, 4) is (.6, 0, .8) at unit length, and (9, 0, 16) squared; at weights 1 and 1, and 2 and 1."""
    item = np.array([3.0, 0.0, 4.0])
    one, two = torch.tensor([0.6, 0, 0.8]), torch.tensor([9.0, 0, 16]) / 337**0.5
    torch.testing.assert_close(made("plain+squared").encode([item])[0], torch.cat([one, two]) / 2**0.5)
    torch.testing.assert_close(made("plain*2 + squared").encode([item])[0], torch.cat([2 * one, two]) / 5**0.5)


def test_cosines_are_weighed_means() -> None:
    items = list(np.random.default_rng(1).standard_normal((4, 3)))
    whole = made("plain*3+squared").encode(items)
    parts = [make_encoder(name, manager(), CPU).encode(items) for name in ("plain", "squared")]
    expected = 0.9 * parts[0] @ parts[0].T + 0.1 * parts[1] @ parts[1].T
    torch.testing.assert_close(whole @ whole.T, expected, atol=1e-5, rtol=1e-5)


def test_fingerprints_and_spaces_are_of_parts_and_weights() -> None:
    arguments = ("plain+squared", "squared+plain", "plain*2+squared", "plain:other+squared")
    assert len({made(a).fingerprint() for a in arguments}) == 4
    assert made("plain*1+squared*1.0").fingerprint() == made("plain+squared").fingerprint()
    assert made("plain*1+squared").space == made("plain+squared").space != made("squared+plain").space


def test_the_store_keeps_rows_that_can_be_trained_on() -> None:
    items = [np.eye(3)[i] + 0.1 for i in range(3)]
    x = FeatureStore(None).features(made("plain+squared"), [*items, "no smell"])
    assert list(x.failed) == [3]
    weight = torch.ones(2, 6, requires_grad=True)
    (x.x["features"] @ weight.T).sum().backward()
    assert weight.grad is not None
    direct = made("plain+squared").trunk(items)["features"]
    (direct @ weight.T).sum().backward()
    torch.testing.assert_close(direct, x.x["features"])


def test_parts_are_read_ahead_in_threads() -> None:
    items = list(np.random.default_rng(2).random((40, 3)))
    encoder: Any = made("plain+cubed")
    found = {
        row: part.x["features"][i] for part in encode(encoder, items, workers=2) for i, row in enumerate(part.rows)
    }
    assert encoder.parts[1].readers - {threading.get_ident()}, "all were read by the thread that computes"
    alone = torch.cat([encoder.trunk([item])["features"] for item in items])
    torch.testing.assert_close(torch.stack([found[i] for i in range(40)]), alone)


def test_like_sizes_are_computed_together_if_a_part_likes_it() -> None:
    assert not made("plain+squared").sized  # type: ignore[attr-defined]
    items = [np.full(3, value) for value in (0.9, 0.1, 0.8, 0.2)]
    assert [part.rows for part in encode(made("cubed+plain"), items)] == [[1, 3], [2, 0]]


@pytest.mark.parametrize("argument", ["plain+cubed", "cubed+plain", "plain+squared"])
def test_what_a_part_refuses_is_left_out(argument: str) -> None:
    """Whether it refuses when an item is read or when it is computed."""
    items = [*np.random.default_rng(3).random((3, 3)), "no smell", np.ones(3)]
    x = FeatureStore(None).features(made(argument), items)
    assert x.kept.tolist() == [0, 1, 2, 4]
    assert str(x.failed[3]) == f"no smell: is no array{' at all' if 'cubed' in argument else ''}"


def test_devices_are_passed_on() -> None:
    encoder: Any = made("plain+squared").to("meta")
    assert {part.device.type for part in encoder.parts} == {"meta"} == {encoder.device.type}


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("", "is no encoder"),
        ("plain", "two different encoders or more"),
        ("plain+plain*2", "two different encoders or more"),
        ("plain+", "'' is no encoder"),
        ("plain*0+squared", "'plain\\*0' is no encoder"),
        ("plain*x+squared", "number above 0"),
        ("plain*1.2.3+squared", "number above 0"),
        ("plain+words", "plain is for smell, words for text; join encoders of one modality"),
        ("plain+skwared", "unknown encoder 'skwared': did you mean 'squared'"),
        ("plain+squared:big", "takes no argument"),
        ("concat:plain+squared", "two different encoders or more"),
    ],
)
def test_wrong_arguments_are_told_in_a_line(argument: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(argument)
    assert "\n" not in str(caught.value)


def test_of_another_modality_than_asked() -> None:
    with pytest.raises(UsageError, match="is for smell, not audio"):
        make_encoder("concat:plain+squared", manager(), CPU, "audio")


def test_two_audio_encoders_of_this_repository() -> None:
    names = [name for name in ("yamnet", "logmel") if name in manager().encoders]
    if len(names) < 2 or any(manager().encoders[name].why_not() for name in names):
        pytest.skip("yamnet and logmel are not both installed")
    rng = np.random.default_rng(0)
    items = [((0.1 * rng.standard_normal(20_000)).astype(np.float32), 16_000) for _ in range(2)]
    x = made("yamnet*2+logmel:20x8").encode(items)
    assert x.shape == (2, 1024 + 160)
    torch.testing.assert_close(x[:, :1024].square().sum(1), torch.full((2,), 0.8))
