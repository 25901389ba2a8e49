"""ImageNet-ESC, the audiovisual few-shot benchmark of Lin et al. (CVPR 2023), and Caltech-ESC, a small one like it."""

from __future__ import annotations

from xm import BenchmarkSpec, DatasetSpec, hookimpl
from xm_datasets.imagenet_esc.classes import RECORDS

PROTOCOL = {"shots": (1, 2, 4), "seeds": (1, 2, 3, 4, 5), "split": (0.2, 0.0, 0.8), "resplit": True, "aux_shots": 1}
"""One fold of sounds trains, another with each seed, four test; one auxiliary sample a class, whatever shots are."""


@hookimpl
def datasets() -> list[DatasetSpec]:
    return [DatasetSpec(name=r.name, target=r.target, summary=r.summary) for r in RECORDS.values()]


@hookimpl
def benchmarks() -> list[BenchmarkSpec]:
    """Each dataset with images, and with sounds, as the target; names and the other one are auxiliary."""
    return [
        BenchmarkSpec(
            name=f"{r.name}-{target}",
            target="xm.experiment:few_shot",
            summary=f"{target} classification on {r.name}, with and without names and {other}",
            modality=target,
            aux=("text", other),
            reference="linear",
            settings={"data": r.name, **PROTOCOL},
        )
        for r in RECORDS.values()
        for target, other in (("image", "audio"), ("audio", "image"))
    ]
