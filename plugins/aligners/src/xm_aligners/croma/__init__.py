"""xm plugin ``croma``: cross-modal meta-alignment, as an aligner and as benchmarks."""

from __future__ import annotations

from xm import AlignerSpec, BenchmarkSpec, hookimpl


@hookimpl
def aligners() -> list[AlignerSpec]:
    return [
        AlignerSpec(
            name="croma",
            target="xm_aligners.croma.aligner:Croma",
            summary="meta-alignment of both sides, from pairs and the anchor's labels, ready to learn from few samples",
        )
    ]


@hookimpl
def benchmarks() -> list[BenchmarkSpec]:
    return [
        BenchmarkSpec(
            name="croma",
            target="xm_aligners.croma.bench:croma",
            summary="few-shot learning in a modality without labels: CroMA and its baselines, image and text to audio",
            modality="audio",
            reference="align-classify",
            quick={"shots": "1", "seeds": "1", "data": "text-audio", "strategies": "align-classify,croma"},
        ),
        BenchmarkSpec(
            name="croma-noise",
            target="xm_aligners.croma.bench:noise",
            summary="the same with 0 to 80 % of the few labels wrong, against learning within the modality",
            modality="audio",
            reference="oracle",
        ),
        BenchmarkSpec(
            name="croma-pairs",
            target="xm_aligners.croma.bench:pairs",
            summary="the same by number of pairs, and by the share of wrong ones",
            modality="audio",
            reference="oracle",
        ),
    ]
