"""The two ONNX models: samples to log-mel frames, and windows of them to embeddings.

Definition: Lin et al., ICASSP 2020, and tfhub.dev/google/speech_embedding/1; scaling and 80 dB floor as in the package
openwakeword, whose `AudioFeatures` computes the same from 16-bit samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import TensorProto, helper

from xm import PluginError

RATE = 16_000
HOP, FFT = 160, 512
"""Of the log-mel frames, in samples."""
BANDS = 32
FRAMES, STEP = 76, 8
"""Log-mel frames a window, and from one window to the next (80 ms)."""
WINDOW = (FRAMES - 1) * HOP + FFT
"""Samples a window: 0.782 s."""
DIM = 96

_FLOOR = 80.0
_LOUDNESS = "onnx::Sub_29"
"""The log-mel frames in dB before the floor, which the model takes from the maximum of all that it is given."""
_BLOCK, _RUN = 3000, 64
"""Frames and windows a run: bounds memory for long recordings."""

Array = NDArray[np.float32]


class Network:
    """Samples (n,) at 16 kHz within -1 to 1, n >= WINDOW, to embeddings (windows, 96), one every 80 ms."""

    def __init__(self, mel: Path, embedding: Path) -> None:
        self._mel = _session(_without_floor(mel))
        self._embedding = _session(embedding.read_bytes())

    def __call__(self, samples: Array) -> Array:
        frames = self._log_mel(samples * 32768)
        starts = np.arange(0, len(frames) - FRAMES + 1, STEP)
        runs = []
        for first in range(0, len(starts), _RUN):
            windows = frames[starts[first : first + _RUN, None] + np.arange(FRAMES)]
            runs.append(self._embedding.run(None, {"input_1": windows[..., None]})[0])
        return np.concatenate(runs).reshape(-1, DIM)

    def _log_mel(self, samples: Array) -> Array:
        """(frames, 32): dB down to 80 below the loudest cell, in the scale of the embedding's training."""
        count = (len(samples) - FFT) // HOP + 1
        parts = []
        for first in range(0, count, _BLOCK):
            frames = min(_BLOCK, count - first)
            part = samples[first * HOP : (first + frames - 1) * HOP + FFT]
            parts.append(self._mel.run([_LOUDNESS], {"input": part[None]})[0].reshape(-1, BANDS))
        decibels: Array = np.concatenate(parts)
        scaled: Array = np.maximum(decibels, decibels.max() - np.float32(_FLOOR)) / np.float32(10) + np.float32(2)
        return scaled


def _without_floor(file: Path) -> bytes:
    """The model with the frames in dB as its output, so that a long recording can be given in parts."""
    model = onnx.load(str(file))
    if not any(_LOUDNESS in node.output for node in model.graph.node):
        raise PluginError(f"{file}: not the known model; try: pip install --no-deps openwakeword==0.5.1")
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(_LOUDNESS, TensorProto.FLOAT, None))
    return bytes(model.SerializeToString())


def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the encoder runs several sounds at once
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
