"""Whether a model can be made again from what a run keeps of it: tried once a strategy, while it is being trained."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

import torch
from torch import nn

from xm.foundation.device import seeded
from xm.foundation.errors import XMError, described
from xm.learning.model import Towers, own_tensors
from xm.learning.predictor import SAME
from xm.learning.strategy import Strategy
from xm.learning.stream import Stream
from xm.plugins.blame import fault, out_of_memory

FEW = 4
"""Items that both models are asked for."""


def why_not_restored(
    strategy: Strategy, model: nn.Module, towers: Towers, inputs: Stream, device: torch.device
) -> str | None:
    """What is wrong with the model that a strategy restores; None if it says the same of a few items.

    PyTorch's random state is afterwards as it was before.

    Args:
        strategy: a new one, as `xm predict` makes it.
        model: fitted.
        towers: as new, of the target and of what the strategy opened.
        inputs: of items.
        device: of the models.
    """
    few = inputs[torch.arange(min(FEW, len(inputs)), device=next(iter(inputs.x.values())).device)].to(device)
    tensors = {name: value.detach().cpu().clone() for name, value in own_tensors(model).items()}
    try:
        with seeded(0, device):
            restored = strategy.restore(deepcopy(towers), tensors)
            if not isinstance(restored, nn.Module):
                return _said(strategy, f"restore() gives {type(restored).__name__}, not a model")
            restored = restored.to(device).eval()
        wanted, found = (_chances(one, few, device) for one in (model, restored))
        if wanted.shape == found.shape and torch.allclose(wanted, found, atol=SAME, rtol=0):
            return None
    except XMError as error:
        return _said(strategy, f"restore() fails: {error}")
    except Exception as error:  # a plugin may raise anything
        if out_of_memory(error):
            return None  # there is no room for a second model here, which says nothing of restore
        return _said(strategy, f"restore() fails: {described(error)}")
    return _said(strategy, "restore() gives a model that says something else than the fitted one")


def opened_of(towers: Towers, modalities: Iterable[str]) -> Towers:
    """The towers that a model is restored with: of some modalities."""
    return Towers({modality: towers[modality] for modality in dict.fromkeys(modalities)})


def _chances(model: nn.Module, few: Stream, device: torch.device) -> torch.Tensor:
    with seeded(0, device), torch.no_grad():
        logits: torch.Tensor = model(few)
        return logits.float().softmax(dim=1)


def _said(strategy: Strategy, what: str) -> str:
    return f"{fault(strategy, what)}; xm predict can't use such models, the figures of this training stand"
