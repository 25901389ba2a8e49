"""The audio head: ESResNeXt-fbsp, a ResNeXt with attention over a trained spectrogram.

Guzhov et al., *ESResNe(X)t-fbsp*, IJCNN 2021; as in AudioCLIP, ICASSP 2022. Names of weights are the published ones.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from xm_audioclip.checkpoint import Checkpoint, State, misfit
from xm_audioclip.fbsp import Wavelets, log_power

HOP = 561
"""Between frames, in samples at 44.1 kHz; not in the checkpoint."""
_STAGES = (1, 2, 3, 4)
_KERNELS = ((3, 1), (1, 5), (3, 1), (1, 5), (3, 5))
"""Of the attention beside each stage, over frequency and time, and of the last, beside pooling."""


class Attention(nn.Module):
    """Weights within 0 to 1 for a stage's output, from its input."""

    def __init__(self, given: int, wanted: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv_depth = nn.Conv2d(given, given, kernel, padding=padding, groups=given)
        self.conv_point = nn.Conv2d(given, wanted, 1)
        self.bn = nn.BatchNorm2d(wanted)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(n, given, ...) to (n, wanted, *size)."""
        below = adaptive_max(adaptive_max(x, -2, size[0]), -1, size[1])
        found: Tensor = self.bn(self.conv_point(self.conv_depth(below))).sigmoid()
        return found


def adaptive_max(x: Tensor, axis: int, size: int) -> Tensor:
    """Maxima over `size` parts of an axis that is no shorter, as torch's adaptive max pooling has them.

    torch's own silently gives others on MPS, unless `size` divides the axis (pytorch issue 190064).
    """
    given = x.shape[axis]
    if given == size:
        return x
    ends = [-(-(i + 1) * given // size) for i in range(size)]  # rounded up
    starts = [i * given // size for i in range(size)]
    widest = max(end - start for start, end in zip(starts, ends, strict=True))
    rows = [[min(start + j, end - 1) for j in range(widest)] for start, end in zip(starts, ends, strict=True)]
    index = torch.tensor(rows, device=x.device).flatten()
    parts = torch.unflatten(x.index_select(axis, index), axis, (size, widest))
    return parts.amax(axis)


class AudioTower(ResNet):  # type: ignore[misc]
    """Samples (n, length) in the range of 16-bit integers, at 44.1 kHz, to embeddings (n, dim)."""

    def __init__(self, blocks: list[int], groups: int, group_width: int, dim: int, bins: int, window: int) -> None:
        super().__init__(Bottleneck, blocks, num_classes=dim, groups=groups, width_per_group=group_width)
        widths = [64, *(64 * Bottleneck.expansion * 2**i for i in range(4))]
        for i, kernel in enumerate(_KERNELS):
            setattr(self, f"att{i + 1}", Attention(widths[i], widths[min(i + 1, 4)], kernel))
        self.fbsp = Wavelets(bins)
        self.register_buffer("window", torch.ones(window))

    def forward(self, samples: Tensor) -> Tensor:
        with torch.autocast(samples.device.type, enabled=False):  # half precision would drown what is quiet
            x = self.spectrograms(samples)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in _STAGES:
            below, x = x, self.get_submodule(f"layer{stage}")(x)
            x = x * self.get_submodule(f"att{stage}")(below, x.shape[-2:])
        x = self.avgpool(x) * self.att5(x, (1, 1))
        out: Tensor = self.fc(x.flatten(1))
        return out

    def spectrograms(self, samples: Tensor) -> Tensor:
        """In dB: (n, `BANDS`, bins // `BANDS`, frames)."""
        scaled = (samples + 32768) * 2 / 65535 - 1  # in this order, whose rounding the network was trained with
        kernel = self.fbsp.kernel()
        # Each sound by itself: a matrix product's last digits may depend on its size, and the logarithm of what
        # is nearly silent makes them large.
        return torch.stack([log_power(row, self.window, kernel, HOP) for row in scaled])


@lru_cache(maxsize=2)
def load(checkpoint: Checkpoint, batch_statistics: bool, device: str) -> AudioTower:
    """The audio head of a checkpoint, for evaluation. The last two are kept.

    Args:
        checkpoint: where the weights are.
        batch_statistics: normalise by the statistics of the batch, not by those of training.
        device: where it computes.

    Raises:
        UsageError: if the weights are not those of an audio head.
    """
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        state = checkpoint.audio()
        try:
            tower = _build(state)
            tower.load_state_dict(state)
        except (KeyError, RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
            raise misfit(checkpoint.file, error) from error
    for module in tower.modules() if batch_statistics else ():
        if isinstance(module, nn.BatchNorm2d):  # without its own, it takes the batch's in evaluation too
            module.running_mean = module.running_var = None
    ready: AudioTower = tower.eval().requires_grad_(False).to(device)
    return ready


def _build(state: State) -> AudioTower:
    """An untrained head of the sizes that its weights have."""
    width, per_group = state["layer1.0.conv2.weight"].shape[:2]
    return AudioTower(
        blocks=[len({key.split(".")[1] for key in state if key.startswith(f"layer{i}.")}) for i in _STAGES],
        groups=width // per_group,
        group_width=per_group,
        dim=len(state["fc.weight"]),
        bins=len(state["fbsp.fc"]),
        window=len(state["window"]),
    )
