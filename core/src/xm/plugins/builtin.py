"""What core itself registers, through the same hooks as everybody else."""

from __future__ import annotations

from xm.plugins.hookspecs import hookimpl
from xm.plugins.specs import BenchmarkSpec, DatasetSpec, ObjectiveSpec, PredictorSpec, TrackerSpec, ViewSpec


@hookimpl
def datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="folder",
            target="xm.data.folder:open_folder",
            summary="DIR/<class>/* or DIR/<modality>/<class>/*, optionally below train/, val/ and test/",
            opens=("/",),
        ),
        DatasetSpec(
            name="manifest",
            target="xm.data.manifest:open_manifest",
            summary="a CSV, TSV or JSONL table: path or text, modality, label, split, group, pair, tags, source",
            opens=(".csv", ".tsv", ".jsonl"),
            columns=True,
        ),
    ]


@hookimpl
def objectives() -> list[ObjectiveSpec]:
    return [
        ObjectiveSpec(
            name="cross-entropy",
            target="xm.learning:cross_entropy",
            summary="softmax cross-entropy over all classes",
        ),
        ObjectiveSpec(
            name="infonce",
            target="xm.learning:InfoNce",
            summary="CLIP's contrast of the pairs of a batch, with a learnable temperature",
            pairs=True,
        ),
    ]


@hookimpl
def predictors() -> list[PredictorSpec]:
    return [
        PredictorSpec(
            name="argmax",
            target="xm.learning:Argmax",
            summary="the class with the highest probability",
        )
    ]


@hookimpl
def views() -> list[ViewSpec]:
    return [
        ViewSpec(
            name="flip",
            target="xm.media.images:flip",
            summary="the mirror image",
            modality="image",
        ),
        ViewSpec(
            name="crop",
            target="xm.media.images:crop",
            summary="a square of the short side, mirrored in half of the cases",
            modality="image",
        ),
        ViewSpec(
            name="flip",
            target="xm.media.videos:flip",
            summary="each frame's mirror image",
            modality="video",
        ),
    ]


@hookimpl
def trackers() -> list[TrackerSpec]:
    return [
        TrackerSpec(
            name="jsonl",
            target="xm.plugins.trackers:JsonLines",
            summary="every event as a line of events.jsonl in the run folder",
        )
    ]


@hookimpl
def benchmarks() -> list[BenchmarkSpec]:
    return [
        BenchmarkSpec(
            name="base-to-new",
            target="xm.experiment:base_to_new",
            summary="half of the classes are learned from, and the others scored too (Zhou et al., CVPR 2022)",
            protocol=True,
            settings={"unseen": "half", "shots": (16,)},
        ),
        BenchmarkSpec(
            name="cross-dataset",
            target="xm.experiment:cross_dataset",
            summary="learned on one dataset, scored on others, --test A,B (Zhou et al., CVPR 2022)",
            protocol=True,
            settings={"shots": (16,)},
        ),
        BenchmarkSpec(
            name="domains",
            target="xm.experiment:domains",
            summary="learned in one domain, scored in others, --where test.NAME=A,B (Zhou et al., IJCV 2022)",
            protocol=True,
            settings={"shots": (16,)},
        ),
    ]
