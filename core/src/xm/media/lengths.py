"""Length policies: how sounds, or frames of video, of any length meet a model of fixed length.

A policy is two decisions. What is longer than the model's window is cut into ``chunks``, whose features are averaged,
or only its centre is kept (``crop``). What is shorter, the last chunk included, is filled up with zeros behind it
(``pad``), with zeros on both sides (``centre``), with itself from its beginning (``loop``), or with itself as often as
it fits whole and then zeros (``repeatpad``, CLAP's).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xm.foundation.errors import UsageError, unknown

LONGER = ("chunks", "crop")
SHORTER = ("pad", "centre", "loop", "repeatpad")
_KEY = "length="


@dataclass(frozen=True)
class LengthPolicy:
    """One of `LONGER` and one of `SHORTER`."""

    longer: str = "chunks"
    shorter: str = "pad"

    @property
    def name(self) -> str:
        """Both words, "chunks-pad": for fingerprints, and what `parse_length` reads."""
        return f"{self.longer}-{self.shorter}"


CHUNKS = LengthPolicy()
"""The default everywhere: chunks, averaged; the last one padded with zeros."""


def parse_length(text: str, default: LengthPolicy = CHUNKS) -> LengthPolicy:
    """The policy of one or two words, as "crop", "loop" or "chunks-loop"; a half that is not named is as in `default`.

    Raises:
        UsageError: for another word, or two of one half.
    """
    words = text.split("-")
    policy = default
    for word in words:
        if word not in (*LONGER, *SHORTER):
            raise unknown("length policy", word, (*LONGER, *SHORTER))
        policy = replace(policy, longer=word) if word in LONGER else replace(policy, shorter=word)
    if len(words) > len({word in LONGER for word in words}):
        raise UsageError(f"length policy {text!r}: one of {', '.join(LONGER)} and one of {', '.join(SHORTER)} at most")
    return policy


def split_length(argument: str) -> tuple[str, str]:
    """An encoder's argument without its policy, and the policy's words: "FOLDER?length=crop" is "FOLDER", "crop".

    Both may be "". Where nothing else is named, "length=crop" does as well.

    Raises:
        UsageError: if anything but ``length=…`` follows the question mark.
    """
    rest, mark, query = argument.rpartition("?") if "?" in argument else (argument, "", "")
    if not mark and argument.startswith(_KEY):
        rest, query, mark = "", argument, "?"
    if mark and not (query.startswith(_KEY) and query != _KEY):
        raise UsageError(f"argument {argument!r}: expected ?length=POLICY at its end, as in {rest}?length=crop")
    return rest, query.removeprefix(_KEY)


def fill(x: Tensor, length: int, shorter: str) -> Tensor:
    """A sequence (n, ...) with 0 < n <= length, made (length, ...) by one of `SHORTER`."""
    whole = length // len(x)
    if shorter == "loop":
        return x[torch.arange(length, device=x.device) % len(x)]
    repeated = torch.cat([x] * whole) if shorter == "repeatpad" and whole > 1 else x
    before = (length - len(x)) // 2 if shorter == "centre" else 0
    behind = length - before - len(repeated)
    return torch.cat([x.new_zeros(before, *x.shape[1:]), repeated, x.new_zeros(behind, *x.shape[1:])])


def windows(x: Tensor, length: int, policy: LengthPolicy = CHUNKS) -> Tensor:
    """A sequence (n, ...), n > 0, such as samples (n,), as windows (k, length, ...) of a model.

    k is 1 unless chunks are asked for and n > length. Of an odd rest, a crop leaves out one more at the end.

    Raises:
        ValueError: for an empty sequence; readers refuse those, by name.
    """
    if not len(x):
        raise ValueError("an empty sequence has no windows")
    if len(x) > length and policy.longer == "crop":
        start = (len(x) - length) // 2
        return x[None, start : start + length]
    *full, last = torch.split(x, length)
    return torch.stack([*full, fill(last, length, policy.shorter)])


def shares(n: int, length: int, policy: LengthPolicy = CHUNKS) -> Tensor:
    """What part of a sequence of n each of its `windows` holds: (k,), sum 1. Features are averaged by them.

    So a last chunk that is mostly filling counts little.
    """
    if n <= length or policy.longer == "crop":
        return torch.ones(1)
    starts = torch.arange(0, n, length)
    return (n - starts).clamp(max=length).float() / n
