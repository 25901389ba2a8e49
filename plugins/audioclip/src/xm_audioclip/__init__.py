"""AudioCLIP: sounds, images and texts in one space."""

from xm import EncoderSpec, hookimpl
from xm.media.suffixes import IMAGES, SOUNDS

CHECKPOINT = "CHECKPOINT.pt or hf-hub:ORG/NAME/CHECKPOINT.pt"


@hookimpl
def encoders() -> list[EncoderSpec]:
    return [
        EncoderSpec(
            name="audioclip",
            target="xm_audioclip.audio:AudioEncoder",
            summary="AudioCLIP's audio head (ESResNeXt-fbsp); shares a space with audioclip-image and audioclip-text",
            modality="audio",
            suffixes=SOUNDS,
            looks="xm.media.streams:is_sound",
            argument=f"{CHECKPOINT}, then ?length=POLICY, batch_statistics=N, amplitude=unit, joined by &",
        ),
        EncoderSpec(
            name="audioclip-image",
            target="xm_audioclip.clip:ImageEncoder",
            summary="AudioCLIP's image tower (CLIP RN50)",
            modality="image",
            suffixes=IMAGES,
            argument=CHECKPOINT,
        ),
        EncoderSpec(
            name="audioclip-text",
            target="xm_audioclip.clip:TextEncoder",
            summary="AudioCLIP's text tower (CLIP RN50)",
            modality="text",
            suffixes=(".txt",),
            argument=CHECKPOINT,
        ),
    ]
