"""CoOp's split files, and the few-shot draws that Lin et al. published for them."""

from __future__ import annotations

from xm.hookspecs import hookimpl
from xm.specs import DatasetSpec


@hookimpl
def datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="coop",
            target="xm_coop.dataset:open_coop",
            summary="CoOp's split_zhou_<Dataset>.json, with the published draws of few_shot/ beside it",
            opens=(".json",),
        )
    ]
