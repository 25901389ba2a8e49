"""xm objectives of alignments: what pairs are brought together, and what is held apart, and how strongly."""

from __future__ import annotations

from xm import ObjectiveSpec, hookimpl

KNOWN = {
    "nce": ("nce:Nce", "a pair against unpaired vectors of the new modality (CroMA, Liang et al., ACM MM 2021)"),
    "triplet": ("triplet:Triplet", "hinge with a margin, on the hardest or all negatives (VSE++, Faghri et al., 2018)"),
    "infoloob": ("infoloob:InfoLoob", "InfoLOOB on Hopfield retrievals (CLOOB, Fürst et al., NeurIPS 2022)"),
    "cwcl": ("cwcl:Cwcl", "contrast weighted by similarity in the frozen space (Srinivasa et al., NeurIPS 2023)"),
    "geodesic-mixup": (
        "mixup:GeodesicMixup",
        "CLIP's contrast, and one against mixtures on the sphere (Oh et al., NeurIPS 2023)",
    ),
    "supcon": ("supcon:SupCon", "supervised contrast, for weak pairs (Khosla et al., NeurIPS 2020)"),
    "siglip": ("siglip:SigLip", "each pair a yes-no question, with learnable t and b (Zhai et al., ICCV 2023)"),
    "look": ("look:Look", "leave-one-out k nearest neighbours (Feng et al., ICLR 2022)"),
}
"""Name to implementation and summary."""


@hookimpl
def objectives() -> list[ObjectiveSpec]:
    return [
        ObjectiveSpec(name=name, target=f"xm_aligners.contrasts.{target}", summary=summary, pairs=True)
        for name, (target, summary) in KNOWN.items()
    ]
