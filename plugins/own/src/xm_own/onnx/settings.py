"""The JSON beside an ONNX file: what is done to items before the graph, and what of its outputs is meant."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, field_validator

from xm import UsageError
from xm.foundation import unknown
from xm.media.lengths import parse_length
from xm.plugins import Config, validated
from xm_own.onnx.graph import Graph, Port
from xm_own.preprocessing import Pictures


class Settings(Config):
    """What files of every modality may say. Defaults need nothing; what a graph tells itself is not asked."""

    modality: str = Field("", description="image, audio, text or video; every file says it")
    input: str = Field("", description="name of the input; the graph's first")
    output: str = Field("", description="name of the output that holds the vectors; the graph's first")
    pool: Literal["none", "mean", "cls"] = Field(
        "none", description="of an output (n, tokens, dim): their mean, or the first; mean also of a map (n, dim, h, w)"
    )
    dim: int = Field(
        0, ge=0, description="length of a vector; 0: as the graph says, or else as it gives of a blank item"
    )
    normalise: bool = Field(
        False, description="scale the vector of each window of a sound to unit length before their mean is taken"
    )
    space: str = Field(
        "", description="name of the space, the same in files that share it; a name by content otherwise"
    )
    classes: tuple[str, ...] = Field(
        (), description="names of the classes of the network's classifier, in its order, or a .txt file, a name a line"
    )
    weights: str = Field(
        "",
        description="rows (classes, dim) of that classifier: a .npy file, or the name of a Gemm's weights in the graph",
    )
    logits: str = Field(
        "", description="name of the output with a number for each class; products with the rows if none"
    )
    activation: Literal["softmax", "sigmoid"] = Field(
        "softmax", description="from these numbers to probabilities; sigmoid where an item may be of several classes"
    )


class ImageSettings(Settings, Pictures):
    """Of an image network."""

    layout: Literal["NCHW", "NHWC"] = Field("NCHW", description="axes of the input; NCHW is PyTorch's")


class VideoSettings(Settings, Pictures):
    """Of a network of several frames."""

    layout: Literal["NTCHW", "NCTHW", "NTHWC"] = Field("NCTHW", description="axes of the input; NCTHW is torchvision's")
    frames: int = Field(8, ge=1, le=1024, description="frames of a video; X-CLIP's number")
    sampling: Literal["uniform", "dense"] = Field(
        "uniform", description="one in the middle of each of that many equal parts; dense: every stride-th"
    )
    stride: int = Field(1, ge=1, description="frames from one to the next, if dense")


class SoundSettings(Settings):
    """Of a sound network, of waveforms or of log-mel spectrograms. Mel defaults are those of Whisper's front end."""

    rate: int = Field(16_000, ge=1, description="Hz; 16 kHz of most networks of speech and sound")
    window: float = Field(
        0.0,
        ge=0,
        description="seconds that the network hears at once; 0: the graph's fixed length, else the whole sound",
    )
    length: str = Field("chunks-pad", description="what becomes of longer and shorter sounds; xm's length policies")
    form: Literal["waveform", "log-mel"] = Field("waveform", description="what the input is")
    fft: int = Field(400, ge=2, description="samples of the Fourier transform")
    win: int = Field(0, ge=0, description="samples of its Hann window; 0: all of fft")
    hop: int = Field(160, ge=1, description="samples from one frame to the next")
    mels: int = Field(80, ge=1, description="bins")
    low: float = Field(0.0, ge=0, description="Hz of the lowest bin")
    high: float = Field(0.0, ge=0, description="Hz of the highest bin; 0: half the rate")
    scale: Literal["htk", "slaney"] = Field("slaney", description="of the mel bins; slaney is librosa's")
    norm: Literal["slaney", ""] = Field("slaney", description='of the bins\' areas; "" leaves peaks at 1')
    power: float = Field(2.0, gt=0, description="of the magnitudes")
    log: Literal["ln", "log10", "db"] = Field("log10", description="of the mel bins; db is 10 log10")
    floor: float = Field(1e-10, gt=0, description="least value before the logarithm")
    offset: float = Field(0.0, ge=0, description="added before the logarithm; 1e-6 of some networks")
    centre: bool = Field(True, description="frames are centred, the ends mirrored")
    mean: float = Field(0.0, description="subtracted from log-mel values")
    std: float = Field(1.0, gt=0, description="they are divided by")
    axes: Literal["bins,frames", "frames,bins"] = Field("bins,frames", description="order of the last two axes")

    @field_validator("length")
    @classmethod
    def _policy(cls, given: str) -> str:
        try:
            return parse_length(given).name
        except UsageError as error:
            raise ValueError(str(error)) from None


class TextSettings(Settings):
    """Of a text network."""

    tokenizer: str = Field("tokenizer.json", description="file of Hugging Face's tokenizers, beside the JSON")
    tokens: int = Field(
        0, ge=0, description="most tokens of a text; 0: the graph's fixed length, else the tokenizer's own, else 512"
    )
    ids: str = Field("", description="name of the input of token numbers; input_ids, or the graph's first")
    mask: str = Field("", description="name of the input that is 1 for tokens; attention_mask, where the graph has it")
    types: str = Field("", description="name of the input of zeros; token_type_ids, where the graph has it")


KINDS: dict[str, type[Settings]] = {
    "image": ImageSettings,
    "audio": SoundSettings,
    "text": TextSettings,
    "video": VideoSettings,
}


def read(graph: Graph) -> Settings:
    """The settings of ``FILE.json`` beside ``FILE.onnx``, of the class of its modality.

    Raises:
        UsageError: if there is none, with what to write; or that names what is wrong in it.
    """
    path = graph.path.with_suffix(".json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(
            f"{graph.path}: there is no {path.name} beside it that says its preprocessing; its input is "
            f"{graph.inputs[0]}, so write one such as: {json.dumps(example(graph))}"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: is no JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not content.get("modality"):
        raise UsageError(f'{path}: says no "modality"; write one such as: {json.dumps(example(graph))}')
    if content["modality"] not in KINDS:
        raise unknown(f"modality in {path}:", str(content["modality"]), KINDS)
    found = validated(KINDS[content["modality"]], content, str(path))
    if bool(found.classes) != bool(found.weights):
        given, lacking = ("classes", "weights") if found.classes else ("weights", "classes")
        raise UsageError(f"{path}: says {given!r} without {lacking!r}; a classifier needs both")
    return found


def example(graph: Graph) -> dict[str, Any]:
    """Settings that fit a graph's first input, as far as that can be told by its shape."""
    port = graph.inputs[0]
    first = graph.outputs[0].dims
    pool = {"pool": "mean"} if len(first) == 3 or (len(first) == 4 and first[2:] != (1, 1)) else {}
    return _example(port) | pool


def _example(port: Port) -> dict[str, Any]:
    dims, rank = port.dims, len(port.dims)
    if port.dtype.startswith("int"):
        return {
            "modality": "text",
            "tokenizer": "tokenizer.json",
            **({"tokens": dims[1]} if dims[1:] and dims[1] else {}),
        }
    if rank in (4, 5):
        last = dims[-1] in (1, 3)
        sides = [side for side in (dims[-3:-1] if last else dims[-2:]) if side] or [224]
        size = {"size": sides[0] if len(set(sides)) == 1 else sides}
        grey = {"channels": "L", "mean": 0.5, "std": 0.5} if 1 in (dims[-1], dims[1]) else {}
        mean = grey or {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
        if rank == 4:
            return {"modality": "image", **size, **mean, "layout": "NHWC" if last else "NCHW"}
        time = 1 if last or dims[2] == 3 else 2
        layout = "NTHWC" if last else "NTCHW" if time == 1 else "NCTHW"
        return {"modality": "video", "frames": dims[time] or 8, **size, **mean, "layout": layout}
    if rank == 2 or (rank == 3 and dims[1] == 1):
        return {"modality": "audio", "rate": 16_000, "window": (dims[-1] or 160_000) / 16_000}
    return {"modality": "audio", "rate": 16_000, "window": 10, "form": "log-mel", "mels": dims[1] or 80}
