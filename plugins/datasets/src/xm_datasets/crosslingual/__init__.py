"""Names of emoji in many languages: the dataset ``emoji-names`` and the benchmark ``crosslingual``."""

from __future__ import annotations

from xm import BenchmarkSpec, DatasetSpec, hookimpl

LEARNED = "en"
TESTED = ("en", "de", "fr", "es", "ru", "ja", "zh", "th", "sv", "fi", "hi")
"""Languages that `use` was trained on, and three that it was not."""


@hookimpl
def datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            name="emoji-names",
            target="xm_datasets.crosslingual.dataset:open_emoji_names",
            summary="names of emoji in up to 28 languages, 8 topics (emojibase-data)",
        )
    ]


@hookimpl
def benchmarks() -> list[BenchmarkSpec]:
    return [
        BenchmarkSpec(
            name="crosslingual",
            target="xm_datasets.crosslingual.protocol:crosslingual",
            summary=f"text classification learned in {LEARNED}, tested in {', '.join(TESTED)}",
            modality="text",
            reference="linear",
            settings={
                "data": "emoji-names",
                "encoders": {"text": "use"},
                "where": (f"train.language={LEARNED}", f"test.language={','.join(TESTED)}"),
                "split": (0.5, 0.0, 0.5),
                "resplit": True,
                "shots": (4, 16),
            },
        )
    ]
