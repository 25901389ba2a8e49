"""Which models there are: for each type of configuration its class, its towers, and how each is pooled.

A model whose type is not here is loaded by `AutoModel`: as two towers if its configuration says so, else as one that
is pooled by its own pooler, or by the mean over its tokens where it has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xm_hub.pretrained import runs
from xm_hub.pretrained.runs import Run, of_method

CLS, MEAN, POOLER, AUTO = "cls", "mean", "pooler", "auto"


@dataclass(frozen=True)
class Tower:
    """One tower.

    Attributes:
        model: its class in transformers.
        pool: how a one-tower model is pooled, for messages and fingerprints; "" of others.
        run: inputs to features; None: by `pool`, known when the model is loaded.
        dim: where its dimensions stand in the configuration, keys from the top; the first that is there.
        default: dimensions where the configuration leaves them to its class; 0: the loaded model is asked.
        shared: whether it shares its space with the model's other towers.
        places: inputs to vectors of patches.
        fixed: texts are filled up to the tower's length and read whole, filling included.
        head: it ends at its own classifier, what that reads are features.
        pooler: its features go through the model's pooler, so a checkpoint must have it.
    """

    model: str
    pool: str = ""
    run: Run | None = None
    dim: Sequence[Sequence[str]] = ()
    default: int = 0
    shared: bool = False
    places: Run | None = None
    fixed: bool = False
    head: bool = False
    pooler: bool = False


_PROJECTED = (("projection_dim",),)
_HIDDEN = (("hidden_size",), ("d_model",), ("dim",))


def _clip(model: str) -> dict[str, Tower]:
    both = Tower(model, dim=_PROJECTED, default=512, shared=True)
    return {
        "image": replace(both, run=of_method("get_image_features"), places=runs.clip_places),
        "text": replace(both, run=of_method("get_text_features")),
    }


def _siglip(model: str, *, places: bool) -> dict[str, Tower]:
    return {
        "image": Tower(
            model,
            run=of_method("get_image_features"),
            dim=(("vision_config", "hidden_size"),),
            default=768,
            shared=True,
            places=runs.siglip_places if places else None,
        ),
        "text": Tower(
            model,
            run=of_method("get_text_features"),
            dim=(("text_config", "projection_size"), ("text_config", "hidden_size")),
            default=768,
            shared=True,
            fixed=True,
        ),
    }


_BLIP = Tower("BlipForImageTextRetrieval", dim=(("image_text_hidden_size",),), default=256, shared=True)
_CLAP = Tower("ClapModel", dim=_PROJECTED, default=512, shared=True, pooler=True)
_CHINESE = _clip("ChineseCLIPModel")
_XCLIP = Tower("XCLIPModel", dim=_PROJECTED, default=512, shared=True)

SEVERAL: Mapping[str, Mapping[str, Tower]] = {
    "altclip": _clip("AltCLIPModel"),
    "blip": {
        "image": replace(_BLIP, run=runs.blip_image, places=runs.blip_places),
        "text": replace(_BLIP, run=runs.blip_text),
    },
    "chinese_clip": _CHINESE | {"text": replace(_CHINESE["text"], run=runs.chinese_clip_text)},
    "clap": {"audio": replace(_CLAP, run=runs.clap_audio), "text": replace(_CLAP, run=runs.clap_text)},
    "clip": _clip("CLIPModel"),
    "siglip": _siglip("SiglipModel", places=True),
    "siglip2": _siglip("Siglip2Model", places=False),
    "xclip": {
        "video": replace(_XCLIP, run=runs.xclip_video),
        "text": replace(_XCLIP, run=of_method("get_text_features")),
    },
}
"""Models with several towers in one space, by type and modality."""


def _one(pool: str, *, places: bool = False, model: str = "AutoModel") -> Tower:
    return Tower(model, pool, dim=_HIDDEN, places=runs.patches if places else None)


ONE: Mapping[str, tuple[str, Tower]] = {
    "audio-spectrogram-transformer": ("audio", _one(POOLER)),  # Gong et al., Interspeech 2021: both first tokens
    "beit": ("image", _one(POOLER)),  # Bao et al., ICLR 2022: the mean over patches, normalised
    "data2vec-vision": ("image", _one(POOLER)),  # as BEiT
    "deit": ("image", _one(CLS)),  # Touvron et al., ICML 2021
    "dinov2": ("image", _one(CLS, places=True)),  # Oquab et al., TMLR 2024: the first token
    "dinov2_with_registers": ("image", _one(CLS, places=True)),
    "dinov3_vit": ("image", _one(CLS, places=True)),  # Siméoni et al., 2025
    "vit": ("image", _one(CLS, places=True)),  # Dosovitskiy et al., ICLR 2021
    "vit_msn": ("image", _one(CLS, places=True)),  # Assran et al., ECCV 2022
    "hubert": ("audio", _one(MEAN)),  # means over frames, as SUPERB (Yang et al., Interspeech 2021) probes all three
    "wav2vec2": ("audio", _one(MEAN)),
    "wavlm": ("audio", _one(MEAN)),
    "data2vec-audio": ("audio", _one(MEAN)),
    "unispeech-sat": ("audio", _one(MEAN)),
    "whisper": ("audio", replace(_one(MEAN), run=runs.encoder_only)),  # Radford et al., ICML 2023: its encoder
    "timesformer": ("video", _one(CLS)),  # Bertasius et al., ICML 2021
    "videomae": ("video", _one(MEAN)),  # Tong et al., NeurIPS 2022: the mean over patches
    "vivit": ("video", _one(CLS)),  # Arnab et al., ICCV 2021
    **{
        name: ("text", _one(MEAN))  # the mean over tokens, as Sentence-BERT (Reimers & Gurevych, EMNLP 2019) found best
        for name in (
            *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie"),
            *("mpnet", "roberta", "xlm-roberta", "modernbert", "nomic_bert", "new"),
        )
    },
}
"""Models with one tower, by type: the modality, and the tower."""

_HEADS = {
    "image": r"ForImageClassification$",
    "audio": r"For(Audio|Sequence)Classification$",
    "video": r"ForVideoClassification$",
}

OFFSET = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "data2vec-text", "clap", "altclip"})
"""Models of text whose positions count from behind the padding's number."""

SEVERAL_AT_ONCE = {"audio-spectrogram-transformer": 527}
"""Classifiers of that many classes were trained to find several at once though no configuration says so: AudioSet's."""


def find(config: Mapping[str, Any], modality: str, pool: str) -> Tower | None:
    """The tower of a configuration for a modality; None if it has none.

    Args:
        config: as in ``config.json``.
        modality: that is asked for.
        pool: that the user wants; "" for the model's own.
    """
    kind = str(config.get("model_type", ""))
    if kind in ONE and ONE[kind][0] != modality:
        return None
    said = [str(name) for name in config.get("architectures") or () if isinstance(name, str)]
    if said and not pool and modality in _HEADS and re.search(_HEADS[modality], said[0]):
        return Tower(
            said[0],
            "head",
            head=True,
            places=runs.patches if kind == "vit" else None,
        )
    if kind in SEVERAL:
        return SEVERAL[kind].get(modality)
    if kind in ONE:
        tower = ONE[kind][1]
        return replace(tower, pool=pool, run=None, places=tower.places if pool == CLS else None) if pool else tower
    parts = {"image": "vision_config", "text": "text_config", "audio": "audio_config"}
    if "projection_dim" in config and sum(part in config for part in parts.values()) > 1:
        has = parts.get(modality) in config
        return (
            Tower("AutoModel", run=of_method(f"get_{modality}_features"), dim=_PROJECTED, shared=True) if has else None
        )
    return Tower("AutoModel", pool or AUTO, dim=_HIDDEN if modality == "text" else ())


def towers_of(config: Mapping[str, Any]) -> list[str]:
    """The modalities of a known configuration, for messages."""
    kind = str(config.get("model_type", ""))
    return list(SEVERAL.get(kind, ())) or ([ONE[kind][0]] if kind in ONE else [])


def dimensions(tower: Tower, config: Mapping[str, Any]) -> int:
    """Of the features; 0 if only the loaded model knows."""
    for keys in tower.dim:
        value: Any = config
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, int):
            return value
    return tower.default


def class_names(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Of a classifier, in order; None if they are but numbers."""
    given = config.get("id2label")
    if not isinstance(given, Mapping) or not given:
        return None
    try:
        names = tuple(str(given[key]) for key in sorted(given, key=int))
    except ValueError:
        return None
    return None if all(re.fullmatch(r"(LABEL_)?\d+", name) for name in names) else names


def at_once(config: Mapping[str, Any], classes: int) -> bool:
    """Whether several classes of a classifier may hold at once, so that each has a probability of its own."""
    if config.get("problem_type") == "multi_label_classification":
        return True
    return SEVERAL_AT_ONCE.get(str(config.get("model_type"))) == classes
