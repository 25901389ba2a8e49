"""Views of images and sounds as they are met in the wild: noise, blur, compression, loudness, lost bands."""

from __future__ import annotations

from xm import ViewSpec, hookimpl

_IMAGES, _SOUNDS = "xm_plain.corruptions.images", "xm_plain.corruptions.sounds"


@hookimpl
def views() -> list[ViewSpec]:
    return [
        ViewSpec(
            name="noise",
            target=f"{_IMAGES}:noise",
            summary="Gaussian noise (ImageNet-C)",
            modality="image",
            strength="standard deviation, of a range of 1; 0.18 if left out",
            least=0,
            most=1,
        ),
        ViewSpec(
            name="blur",
            target=f"{_IMAGES}:blur",
            summary="Gaussian blur (ImageNet-C)",
            modality="image",
            strength="standard deviation in pixels of an image of 224; 3 if left out",
            least=0,
            most=64,
        ),
        ViewSpec(
            name="jpeg",
            target=f"{_IMAGES}:jpeg",
            summary="JPEG compression (ImageNet-C)",
            modality="image",
            strength="quality; 15 if left out",
            least=1,
            most=95,
        ),
        ViewSpec(
            name="brightness",
            target=f"{_IMAGES}:brightness",
            summary="the value of HSV raised (ImageNet-C)",
            modality="image",
            strength="what is added, of a range of 1; 0.3 if left out",
            least=-1,
            most=1,
        ),
        ViewSpec(
            name="contrast",
            target=f"{_IMAGES}:contrast",
            summary="nearer to the mean colour (ImageNet-C)",
            modality="image",
            strength="share of the contrast that is left; 0.2 if left out",
            least=0,
            most=1,
        ),
        ViewSpec(
            name="zoom",
            target=f"{_IMAGES}:zoom",
            summary="a part of random size, shape and place, mirrored in half of the cases (Inception's crop)",
            modality="image",
            strength="least share of the area; 0.5 if left out",
            least=0.01,
            most=1,
        ),
        ViewSpec(
            name="noise",
            target=f"{_SOUNDS}:noise",
            summary="white noise",
            modality="audio",
            strength="signal-to-noise ratio in dB; 10 if left out",
            least=-60,
            most=120,
        ),
        ViewSpec(
            name="loudness",
            target=f"{_SOUNDS}:loudness",
            summary="louder or softer; what exceeds full scale is clipped",
            modality="audio",
            strength="gain in dB; -20 if left out",
            least=-60,
            most=60,
        ),
        ViewSpec(
            name="band",
            target=f"{_SOUNDS}:band",
            summary="a telephone's band, 300 Hz and above",
            modality="audio",
            strength="its upper end in Hz; 3400 if left out",
            least=400,
            most=20_000,
        ),
        ViewSpec(
            name="speed",
            target=f"{_SOUNDS}:speed",
            summary="faster and higher, or slower and lower",
            modality="audio",
            strength="factor; 1.1 if left out",
            least=0.25,
            most=4,
        ),
        ViewSpec(
            name="shift",
            target=f"{_SOUNDS}:shift",
            summary="moved in time to either side, what leaves at one end enters at the other",
            modality="audio",
            strength="most of the move, in seconds; 0.1 if left out",
            least=0,
            most=3600,
        ),
    ]
