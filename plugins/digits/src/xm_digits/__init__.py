"""Digits seen, heard and named: the dataset `digits`, the text encoder `spoken`, the command `digits`."""

from __future__ import annotations

from xm import CommandSpec, DatasetSpec, EncoderSpec, hookimpl


@hookimpl
def datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="digits",
            target="xm_digits.dataset:open_digits",
            summary="ten digits seen (scikit-learn's scans), heard (eSpeak NG) and named in many languages",
            default=True,
        )
    ]


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="spoken",
            target="xm_digits.encoder:Spoken",
            summary="text as it sounds: eSpeak NG says it in several voices, logmel hears it",
            modality="text",
            suffixes=(".txt",),
            available="xm_digits.available:why_not",
        )
    ]


@hookimpl
def commands() -> list[CommandSpec]:
    return [
        CommandSpec(
            name="digits",
            target="xm_digits.command:export",
            summary="Write the digits as a folder of pictures, sounds and texts.",
        )
    ]
