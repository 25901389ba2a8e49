"""What makes two trainings the same, so that one goes on where the other was interrupted."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from xm.data.content import content_key
from xm.data.contents import stamp
from xm.data.types import Dataset
from xm.encoders.encoder import fingerprint_of
from xm.evaluation.report import versions
from xm.experiment.settings import TrainSettings
from xm.foundation.layout import KEPT
from xm.learning.strategy import Wrapping
from xm.plugins.plugin_manager import PluginManager

NO_MATTER = {"out", "cache", "device", "trackers"}
"""Settings that results do not depend on."""


PLACES = ("", "runs/", "runs/bench/*/", "runs/bench/*/*/")
"""Where runs are, unless they were put elsewhere."""


def unfinished() -> list[Path]:
    """Interrupted runs here and below runs/, that somebody may want to go on with, or to remove."""
    return sorted(kept.parent for place in PLACES for kept in Path().glob(f"{place}.*/{KEPT}"))


def key_of(
    settings: TrainSettings,
    dataset: Dataset,
    pairable: Dataset,
    tasks: Sequence[tuple[str, str]],
    contents: Mapping[str, str],
    encoders: Iterable[str],
    parts: Iterable[object],
    plugins: PluginManager,
) -> str:
    """16 hex digits over all that results depend on: a change in any of it makes another training.

    Args:
        settings: of the training.
        dataset: for its classes, templates, names, and what is known of classes and samples.
        pairable: for its pairs, told by `stamp`.
        tasks: their digests.
        contents: of the tasks.
        encoders: fingerprints.
        parts: strategies, rules and objectives, whose source code counts too, for who is writing one.
        plugins: whose versions count; of a single file its content.
    """
    more = hashlib.blake2b(digest_size=16)
    for sample in dataset.samples:
        known = (sample.group, sample.source, sample.pair, sample.tags, sorted(sample.metadata.items()))
        if any(known):
            more.update(repr((sample.modality, sample.label, *known)).encode())
    for name, given in dataset.semantics.items():
        matrix = None if given.matrix is None else content_key(given.matrix)
        more.update(repr((name, given.texts, given.attributes, given.triples, matrix)).encode())
        if given.aliases:
            more.update(repr(given.aliases).encode())
    for sample in pairable.samples:
        if sample.pair is not None:
            line = f"{sample.modality} {sample.pair} {sample.label} {stamp(sample.item)}\n"
            more.update(line.encode("utf-8", "surrogatepass"))
    said = {
        "settings": settings.model_dump(mode="json", exclude=NO_MATTER),
        "dataset": [dataset.name, dataset.classes, dataset.templates, [stamp(name.item) for name in dataset.names]],
        "described": dataset.described,
        "more": more.hexdigest(),
        "tasks": tasks,
        "contents": contents,
        "encoders": sorted(encoders),
        "versions": versions(plugins),
        "sources": sorted({fingerprint_of(path) for path in _sources(parts, plugins)}),
    }
    return hashlib.blake2b(json.dumps(said, sort_keys=True, default=str).encode(), digest_size=8).hexdigest()


def _sources(parts: Iterable[object], plugins: PluginManager) -> Iterator[Path]:
    """Files of single-file plugins, and of the classes or functions of the parts."""
    for plugin in plugins.plugins():
        if plugin.file:
            yield Path(plugin.file)
    for part in parts:
        if isinstance(part, Wrapping):
            yield from _sources([part.inner], plugins)
        for made in (part,) if inspect.isfunction(part) else type(part).__mro__:
            try:
                path = inspect.getsourcefile(made)
            except TypeError:  # it is built in
                continue
            if path and Path(path).is_file():
                yield Path(path)
