"""What an encoder costs, an item: measured in a process of its own, whose memory nothing else has grown.

Run as a module by `cost_of`: the question comes on standard input, pickled by this very program, as items may be
arrays; the answer goes to standard output as JSON.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xm.foundation.errors import PluginError, described


@dataclass(frozen=True)
class Cost:
    """What was measured.

    Attributes:
        seconds: an item, from the file to the vector, as ``xm embed`` does it.
        megabytes: resident memory of the process at most (of the device, if it is a GPU), libraries and weights in it.
        per_item: megabytes that each further item of a batch takes.
        items: how many were encoded.
    """

    seconds: float
    megabytes: float
    per_item: float
    items: int


def cost_of(
    reference: str, modality: str, items: Sequence[Any], device: str = "auto", files: Sequence[str] = ()
) -> Cost:
    """The cost of an encoder on some items.

    Args:
        reference: of the encoder.
        modality: of the items.
        items: as it reads them; two at least.
        device: "auto", "cpu", "cuda" or "mps".
        files: single-file plugins that must be loaded first.

    Raises:
        PluginError: if it can't be measured.
    """
    asked = {"reference": reference, "modality": modality, "items": list(items), "device": device, "files": list(files)}
    try:
        question = pickle.dumps(asked)
        done = subprocess.run([sys.executable, "-m", __name__], input=question, capture_output=True)
        lines = (done.stdout if done.returncode == 0 else done.stderr).decode(errors="replace").splitlines()
        if done.returncode:
            raise ValueError(lines[-1] if lines else f"exit code {done.returncode}")
        return Cost(**json.loads(lines[-1]))
    except (OSError, ValueError, IndexError, TypeError, AttributeError, pickle.PicklingError) as error:
        raise PluginError(f"{reference}: seconds and memory could not be measured ({described(error)})") from error


def _measure(reference: str, modality: str, items: Sequence[Any], device: str, files: Sequence[str]) -> Cost:
    """The cost, measured in this process."""
    from xm.encoders.pipeline import encode
    from xm.encoders.reference import make_encoder
    from xm.foundation.device import pick_device
    from xm.plugins.plugin_manager import manager

    for file in files:
        manager().load_file(Path(file))
    encoder = make_encoder(reference, manager(), pick_device(device), modality)
    for _ in encode(encoder, items[:1]):  # weights load now
        pass
    loaded = _peak(encoder.device.type)
    _from_now(encoder.device.type)
    before, started = _peak(encoder.device.type), time.perf_counter()
    rows = sum(len(found.rows) for found in encode(encoder, items))
    seconds = time.perf_counter() - started
    peak = _peak(encoder.device.type)
    batch = min(encoder.batch_size, len(items))
    return Cost(seconds / max(1, rows), max(loaded, peak), max(0.0, peak - before) / max(1, batch - 1), rows)


_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
"""Linux: where the peak is set back to what is resident now (by "5", proc(5)), and where it is told."""


def _from_now(device: str) -> None:
    """Forget the peak of before, where that can be done."""
    if device == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats()
    elif _RESET.exists():
        with contextlib.suppress(OSError):
            _RESET.write_text("5")


def _peak(device: str) -> float:
    """Most megabytes at once, since `_from_now` or since the process began."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated() / 1e6
    if _STATUS.exists() and (found := re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())):
        return int(found[1]) * 1024 / 1e6
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


if __name__ == "__main__":
    try:
        print(json.dumps(asdict(_measure(**pickle.load(sys.stdin.buffer)))))
    except Exception as error:  # whoever asked goes on without
        sys.exit(described(error))
