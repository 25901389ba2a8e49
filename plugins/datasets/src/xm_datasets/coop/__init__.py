"""The datasets of CoOp's protocol, its split files, and the few-shot draws that Lin et al. published for them."""

from __future__ import annotations

from xm import BenchmarkSpec, DatasetSpec, hookimpl
from xm_datasets.coop.records import RECORDS


@hookimpl
def datasets() -> list[DatasetSpec]:
    reader = DatasetSpec(
        name="coop",
        target="xm_datasets.coop.dataset:open_coop",
        summary="CoOp's split_zhou_<Dataset>.json, with the published draws of few_shot/ beside it",
        opens=(".json",),
        looks="xm_datasets.coop.looks:is_split_file",
    )
    named = (DatasetSpec(name=r.name, target=r.target, summary=r.summary) for r in RECORDS.values())
    return [reader, *named]


@hookimpl
def benchmarks() -> list[BenchmarkSpec]:
    """All strategies on each of the datasets; and table 1 of Lin et al., the linear probe on the eleven of CoOp."""
    paper = BenchmarkSpec(
        name="cvpr2023",
        target="xm_datasets.coop.cvpr2023.bench:cvpr2023",
        summary="table 1 of Lin et al. (CVPR 2023): CoOp's eleven datasets, beside the published means",
        modality="image",
        aux=("text",),
        reference="linear",
        settings={"encoders": {"image": "openclip:RN50/openai", "text": "openclip-text:RN50/openai"}},
    )
    named = (
        BenchmarkSpec(
            name=r.name,
            target="xm.experiment:few_shot",
            summary=f"all strategies on {r.name}",
            modality="image",
            aux=("text",),
            reference="linear",
        )
        for r in RECORDS.values()
    )
    return [paper, *named]
