"""Models of transformers, by their hub ids or from folders: images, texts, sounds and videos."""

from __future__ import annotations

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import IMAGES, SOUNDS, VIDEOS

ARGUMENT = "ORG/NAME[@REVISION] of the Hugging Face hub, or a FOLDER; then ?length=POLICY&pool=cls&tokens=77&code=trust"


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="transformers",
            target="xm_hub.pretrained.pictures:image_encoder",
            summary="image towers by transformers: CLIP, SigLIP, DINOv2, ViT …",
            modality="image",
            suffixes=IMAGES,
            argument=ARGUMENT,
            available="xm_hub.transformers.available:images",
        ),
        EncoderSpec(
            name="transformers-text",
            target="xm_hub.pretrained.texts:TextEncoder",
            summary="text towers by transformers: CLIP, SigLIP, CLAP, BERT …; share a space with their siblings",
            modality="text",
            suffixes=(".txt",),
            argument=ARGUMENT,
            available="xm_hub.transformers.available:texts",
        ),
        EncoderSpec(
            name="transformers-audio",
            target="xm_hub.pretrained.sounds:AudioEncoder",
            summary="audio towers by transformers: CLAP, AST, Wav2Vec2, HuBERT, WavLM, Whisper …",
            modality="audio",
            suffixes=SOUNDS,
            looks="xm.media.streams:is_sound",
            argument=ARGUMENT,
            available="xm_hub.transformers.available:sounds",
        ),
        EncoderSpec(
            name="transformers-video",
            target="xm_hub.pretrained.clips:VideoEncoder",
            summary="video towers by transformers: X-CLIP, VideoMAE, TimeSformer …",
            modality="video",
            suffixes=VIDEOS,
            argument=ARGUMENT,
            available="xm_hub.transformers.available:videos",
        ),
    ]
