"""Precomputed features: the reader and the encoder ``features``."""

from __future__ import annotations

from xm import DatasetSpec, EncoderSpec, hookimpl
from xm.plugins import ANY


@hookimpl
def datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="features",
            target="xm_datasets.features.dataset:open_features",
            summary="precomputed features: arrays <split>_<modality> and <split>_<modality>_y",
            opens=(".npz", ".safetensors"),
        )
    ]


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="features",
            target="xm_datasets.features.encoder:Features",
            summary="vectors as they are, of any modality",
            modality=ANY,
            argument="MODALITY/DIM",
            available="xm_datasets.features.encoder:why_not",
        )
    ]
