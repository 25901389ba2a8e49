"""Length policies, by hand."""

from __future__ import annotations

import pytest
import torch

from xm.foundation.errors import ItemError, UsageError
from xm.media.lengths import CHUNKS, LengthPolicy, fill, parse_length, shares, split_length, windows
from xm.media.sounds import loud_windows


def cut(n: int, length: int, words: str) -> list[list[int]]:
    """The windows of 1, 2 … n."""
    found: list[list[int]] = windows(torch.arange(1, n + 1), length, parse_length(words)).tolist()
    return found


@pytest.mark.parametrize(
    ("n", "words", "expected"),
    [
        (2, "pad", [[1, 2, 0, 0, 0]]),
        (2, "loop", [[1, 2, 1, 2, 1]]),
        (2, "repeatpad", [[1, 2, 1, 2, 0]]),
        (3, "repeatpad", [[1, 2, 3, 0, 0]]),
        (2, "crop", [[1, 2, 0, 0, 0]]),
        (1, "chunks-loop", [[1, 1, 1, 1, 1]]),
        (2, "centre", [[0, 1, 2, 0, 0]]),
        (3, "centre", [[0, 1, 2, 3, 0]]),
        (7, "centre", [[1, 2, 3, 4, 5], [0, 6, 7, 0, 0]]),
        (5, "pad", [[1, 2, 3, 4, 5]]),
        (5, "crop-loop", [[1, 2, 3, 4, 5]]),
        (5, "repeatpad", [[1, 2, 3, 4, 5]]),
        (7, "crop", [[2, 3, 4, 5, 6]]),
        (8, "crop-loop", [[2, 3, 4, 5, 6]]),
        (7, "chunks", [[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]]),
        (7, "chunks-loop", [[1, 2, 3, 4, 5], [6, 7, 6, 7, 6]]),
        (7, "repeatpad", [[1, 2, 3, 4, 5], [6, 7, 6, 7, 0]]),
        (10, "loop", [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]),
        (11, "pad", [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10], [11, 0, 0, 0, 0]]),
    ],
)
def test_windows_by_hand(n: int, words: str, expected: list[list[int]]) -> None:
    assert cut(n, 5, words) == expected
    assert len(shares(n, 5, parse_length(words))) == len(expected)


def test_frames_of_video_are_a_sequence_too() -> None:
    frames = torch.arange(3 * 2 * 2).reshape(3, 2, 2).float()
    found = windows(frames, 2, parse_length("loop"))
    assert found.shape == (2, 2, 2, 2)
    assert torch.equal(found[1], frames[[2, 2]])
    assert torch.equal(fill(frames, 4, "pad")[3], torch.zeros(2, 2))
    assert torch.equal(windows(frames, 1, parse_length("crop"))[0], frames[[1]])


def test_shares_by_hand() -> None:
    assert shares(7, 5).tolist() == pytest.approx([5 / 7, 2 / 7])
    assert shares(10, 5).tolist() == [0.5, 0.5]
    assert shares(3, 5).tolist() == shares(5, 5).tolist() == shares(9, 5, parse_length("crop")).tolist() == [1.0]
    means = shares(7, 5) @ windows(torch.ones(7), 5).sum(1)
    assert float(means) == pytest.approx(5 * 5 / 7 + 2 * 2 / 7)


def test_an_empty_sequence_has_no_windows() -> None:
    for words in ("pad", "loop", "crop", "repeatpad"):
        with pytest.raises(ValueError, match="empty"):
            windows(torch.zeros(0), 5, parse_length(words))


def test_type_and_device_stay() -> None:
    assert windows(torch.ones(3, dtype=torch.float64), 5).dtype == torch.float64
    assert windows(torch.ones(3, dtype=torch.uint8), 5, parse_length("repeatpad")).dtype == torch.uint8


def test_policies_are_read_and_named() -> None:
    assert CHUNKS.name == "chunks-pad" and parse_length("chunks") == parse_length("pad") == CHUNKS
    assert parse_length("crop").name == "crop-pad"
    clap = LengthPolicy("chunks", "repeatpad")
    assert parse_length("crop", clap).name == "crop-repeatpad"
    assert parse_length("loop", clap) == parse_length("loop-chunks") == parse_length("chunks-loop")
    for policy in (clap, CHUNKS, parse_length("crop-loop")):
        assert parse_length(policy.name) == policy


@pytest.mark.parametrize(
    ("words", "said"),
    [("chunk", "did you mean 'chunks'"), ("", "unknown length policy ''"), ("crop-chunks", "at most"),
     ("pad-loop", "at most"), ("crop-pad-loop", "at most"), ("pad-pad", "at most")],
)  # fmt: skip
def test_wrong_policies_are_refused_in_a_line(words: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_length(words)
    assert "\n" not in str(caught.value)


def test_arguments() -> None:
    assert split_length("") == ("", "")
    assert split_length("laion/clap") == ("laion/clap", "")
    assert split_length("/a/b?length=crop-loop") == ("/a/b", "crop-loop")
    assert split_length("?length=crop") == split_length("length=crop") == ("", "crop")
    assert split_length("odd?name?length=pad") == ("odd?name", "pad")
    for wrong in ("a?crop", "a?", "a?length=", "length=", "a?size=3"):
        with pytest.raises(UsageError, match="length=POLICY"):
            split_length(wrong)


def test_loud_windows_and_what_they_hold() -> None:
    """Ten samples in windows of four: the second is silent, the last holds two."""
    sound = torch.tensor([0.5, 0, 0, 0, 0, 0, 0, 0, 0, -0.2])
    found, held = loud_windows(sound, 4, CHUNKS, "a.wav")
    assert found.tolist() == [[0.5, 0, 0, 0], [0, pytest.approx(-0.2), 0, 0]]
    assert held.tolist() == pytest.approx([4 / 6, 2 / 6])


@pytest.mark.parametrize(
    ("policy", "where"), [(CHUNKS, ""), (LengthPolicy("crop"), " at its centre, which is cropped")]
)
def test_silence_is_refused_by_name(policy: LengthPolicy, where: str) -> None:
    sound = torch.full((10,), 5e-5)
    if where:
        sound[0] = 0.5
    with pytest.raises(ItemError, match=f"^a.wav: is silent{where}: its peak of 5e-05 is under -80 dB$"):
        loud_windows(sound, 4, policy, "a.wav")
