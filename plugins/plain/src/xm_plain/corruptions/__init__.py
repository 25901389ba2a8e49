"""Views of images and sounds as they are met in the wild: noise, blur, compression, loudness, lost bands."""

from __future__ import annotations

from xm import ViewSpec, hookimpl

KNOWN = {
    "image": {
        "noise": ("Gaussian noise (ImageNet-C)", "standard deviation, of a range of 1; 0.18 if left out", 0, 1),
        "blur": ("Gaussian blur (ImageNet-C)", "standard deviation in pixels of an image of 224; 3 if left out", 0, 64),
        "jpeg": ("JPEG compression (ImageNet-C)", "quality; 15 if left out", 1, 95),
        "brightness": (
            "the value of HSV raised (ImageNet-C)",
            "what is added, of a range of 1; 0.3 if left out",
            -1,
            1,
        ),
        "contrast": (
            "nearer to the mean colour (ImageNet-C)",
            "share of the contrast that is left; 0.2 if left out",
            0,
            1,
        ),
        "zoom": (
            "a part of random size, shape and place, mirrored in half of the cases (Inception's crop)",
            "least share of the area; 0.5 if left out",
            0.01,
            1,
        ),
    },
    "audio": {
        "noise": ("white noise", "signal-to-noise ratio in dB; 10 if left out", -60, 120),
        "loudness": (
            "louder or softer; what exceeds full scale is clipped",
            "gain in dB; -20 if left out",
            -60,
            60,
        ),
        "band": ("a telephone's band, 300 Hz and above", "its upper end in Hz; 3400 if left out", 400, 20_000),
        "speed": ("faster and higher, or slower and lower", "factor; 1.1 if left out", 0.25, 4),
        "shift": (
            "moved in time to either side, what leaves at one end enters at the other",
            "most of the move, in seconds; 0.1 if left out",
            0,
            3600,
        ),
    },
}
"""By modality and name: what it is, what its strength is, the least and the most of it."""

MODULES = {"image": "xm_plain.corruptions.images", "audio": "xm_plain.corruptions.sounds"}


@hookimpl
def views() -> list[ViewSpec]:
    return [
        ViewSpec(
            name=name,
            target=f"{MODULES[modality]}:{name}",
            summary=summary,
            modality=modality,
            strength=strength,
            least=least,
            most=most,
        )
        for modality, known in KNOWN.items()
        for name, (summary, strength, least, most) in known.items()
    ]
