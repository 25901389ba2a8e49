"""WebDataset tar shards: the reader ``webdataset``."""

from __future__ import annotations

from xm import DatasetSpec, hookimpl


@hookimpl
def datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="webdataset",
            target="xm_datasets.webdataset.dataset:open_shards",
            summary='tar shards of WebDataset, by "shards-{000..099}.tar" or "shards-*.tar" too',
            opens=(".tar",),
        )
    ]
