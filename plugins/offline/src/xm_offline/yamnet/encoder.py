"""YAMNet as an encoder."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from xm import Preparing, Prototypes, UsageError, fingerprint_of
from xm.foundation import spread
from xm.learning import Inputs
from xm.media.lengths import CHUNKS, parse_length, split_length, windows
from xm.media.sounds import SUFFIXES, VIEWS, check_loud, read_sound
from xm.plugins import Weights
from xm_offline.yamnet import logmel, network, weights


class YamNet(Preparing):
    """Sounds to 1024-d features: the mean over the patches that are not silent.

    It computes on the CPU, whatever `to` says.

    Args:
        argument: ``length=POLICY``; "" means ``length=chunks-pad``.

    Raises:
        UsageError: if the argument is none of that form.
    """

    modality = "audio"
    suffixes = SUFFIXES
    views = VIEWS
    space = "yamnet"
    dim = 1024
    pooled = True

    def __init__(self, argument: str = "") -> None:
        rest, words = split_length(argument)
        if rest:
            raise UsageError(f"encoder yamnet:{argument}: it takes no {rest!r}; type yamnet or yamnet:length=crop")
        self.policy = parse_length(words) if words else CHUNKS

    @cached_property
    def _network(self) -> network.Network:
        return network.Network(weights.model_file())

    def pretrained(self) -> tuple[Weights, ...]:
        return (weights.carried(),)

    def fingerprint(self) -> str:
        chosen = () if self.policy == CHUNKS else (self.policy.name,)
        return fingerprint_of("yamnet", weights.model_file(), logmel.SETTINGS, *chosen)

    def compute(self, prepared: Sequence[Tensor]) -> Inputs:
        """``features`` (n, 1024), not normalised, and ``scores`` (n, 521), sigmoids: means over patches.

        Each of PyTorch's threads works on sounds of its own.
        """
        classes = len(self._network.weight)  # the network loads here, not in several threads at once
        rows = spread(self._row, prepared)
        features, scores = torch.zeros(0, self.dim), torch.zeros(0, classes)
        if rows:
            features, scores = (torch.stack(part) for part in zip(*rows, strict=True))
        return {"features": features, "scores": scores}

    def _row(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        embedding, logits = self._network(patches.numpy())
        return torch.from_numpy(embedding).mean(dim=0), torch.from_numpy(logits).sigmoid().mean(dim=0)

    def prepare(self, item: Any) -> Tensor:
        """A sound's patches of log-mel, those that are not silent."""
        return self._patches(item)[0]

    def _patches(self, item: Any) -> tuple[Tensor, Tensor]:
        """Patches, and where they lie."""
        samples = read_sound(item, logmel.RATE)
        if self.policy.longer == "crop":
            samples = windows(samples, logmel.PATCH, self.policy)[0]
        patches, middles = logmel.timed_patches(samples, self.policy.shorter)
        if len(patches) == 0:
            check_loud(float(samples.abs().max()), self.policy, item)
        return patches, middles

    def places(self, items: Sequence[Any]) -> Inputs:
        """The patches of 0.96 s that are not silent, whose mean is taken: ``tokens`` (n, m, 1024), in order of time."""
        found = [self._patches(item) for item in items]
        network = self._network
        tokens = spread(lambda patches: torch.from_numpy(network(patches.numpy())[0]), [one for one, _ in found])
        if not tokens:
            none = torch.zeros(0, 0, self.dim)
            return {"tokens": none, "mask": none[..., 0].bool(), "grid": none[..., :1]}
        return {
            "tokens": pad_sequence(tokens, batch_first=True),
            "mask": pad_sequence([torch.ones(len(one), dtype=torch.bool) for one in tokens], batch_first=True),
            "grid": pad_sequence([middles[:, None] for _, middles in found], batch_first=True),
        }

    def prototypes(self) -> Prototypes:
        """The 521 AudioSet classes and the classifier's weight rows."""
        with weights.class_file().open(encoding="utf-8", newline="") as file:
            names = tuple(row["display_name"] for row in csv.DictReader(file))
        return Prototypes(names, torch.tensor(self._network.weight))
