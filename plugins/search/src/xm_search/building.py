"""Search: an index over the items of one modality, asked by items of any modality that shares its space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import normalize

from xm import DataError, Dataset, Encoder
from xm.data import item_name, open_dataset
from xm.encoders import EncoderChoice, FeatureStore
from xm.foundation import (
    Event,
    Listener,
    NewFolder,
    cache_dir,
    leads,
    logged,
    now,
    pick_device,
    write_json,
    write_tensors,
)
from xm.plugins import PluginManager, manager
from xm_search.index import FAISS, FORMAT, INDEX, KIND, NO_DATA, VECTORS, Hit, Index, suffixes_of
from xm_search.items import Indexed, in_dataset, in_folder, stored
from xm_search.nearest import Nearest, load_faiss

__all__ = ["Hit", "Index", "build", "open_index"]


def build(
    source: str | Path,
    *,
    modality: str,
    out: str | Path,
    encoder: str | None = None,
    plugins: PluginManager | None = None,
    device: str = "auto",
    cache: Path | None = None,
    listener: Listener = logged,
) -> Index:
    """Make an index of all items of a modality. Those that can't be read are left out with a warning.

    Args:
        source: a folder, whose files at any depth are taken by their suffix; or a dataset's name or file.
        modality: of the items.
        out: the index's folder, which must not exist yet, or be empty.
        encoder: its reference; None: the one the dataset asks for, else the default of the modality.
        plugins: the plugin manager; the process's own if None.
        device: where to compute.
        cache: for features; None: XM_CACHE or the platform's.
        listener: hears progress and warnings; by default warnings are logged.

    Raises:
        UsageError: if `out` is taken, or modality or encoder are unknown.
        DataError: if there is no such item, or none that can be read.
        PluginError: without faiss, or if the encoder can't be used.
    """
    plugins, cache, folder = plugins or manager(), cache or cache_dir(), Path(out)
    new = NewFolder(folder, lambda: folder)
    load_faiss()  # what is missing is told before anything is computed
    dataset = _dataset(source, plugins, cache)
    chosen = EncoderChoice(plugins, dataset or NO_DATA, pick_device(device), {modality: encoder} if encoder else {})[
        modality
    ]
    listener(Event("note", {"message": f"{modality}: encoder {chosen.reference} ({chosen.why})"}))
    if dataset is None:
        items = in_folder(Path(source).expanduser(), modality, suffixes_of(plugins, chosen.encoder))
    else:
        items = in_dataset(dataset, modality)
    store = FeatureStore(cache / "features", listener=listener)
    kept, vectors = _embedded(items, chosen.encoder, store)
    nearest = Nearest.of(vectors.numpy())
    with new:
        if leads():
            write_tensors(new.partial / VECTORS, {"vectors": vectors})
            nearest.write(new.partial / FAISS)
        about = {
            "format": FORMAT,
            "kind": KIND,
            "created": now(),
            "modality": modality,
            "encoder": chosen.reference,
            "fingerprint": chosen.encoder.fingerprint(),
            "space": chosen.encoder.space,
            "dim": vectors.shape[1],
            "method": nearest.method,
            "near": asdict(nearest.near),
            "far": asdict(nearest.far),
            "items": [stored(item, folder) for item in kept],
        }
        new.publish(lambda _: write_json(new.partial / INDEX, about))
    return open_index(folder, plugins=plugins, device=device, cache=cache, listener=listener)


def open_index(
    path: str | Path,
    *,
    encoders: Mapping[str, str] | None = None,
    plugins: PluginManager | None = None,
    device: str = "auto",
    cache: Path | None = None,
    listener: Listener = logged,
) -> Index:
    """Open a folder that `build` wrote.

    Args:
        path: the folder.
        encoders: references by modality, for queries; None: those that share the index's space.
        plugins: the plugin manager; the process's own if None.
        device: where to compute.
        cache: for what aligners embed; None: XM_CACHE or the platform's.
        listener: hears notes and warnings; by default warnings are logged.

    Raises:
        RunError: if it is none, is damaged, or was written by another format of xm.
        PluginError: without faiss.
    """
    return Index(Path(path), dict(encoders or {}), plugins or manager(), pick_device(device), listener, cache)


def _dataset(source: str | Path, plugins: PluginManager, cache: Path) -> Dataset | None:
    """The dataset; None for a folder. As with ``--data``, a name goes before a folder of the same name."""
    spec = plugins.datasets.get(source) if isinstance(source, str) else None
    if (spec is None or spec.opens) and Path(source).expanduser().is_dir():
        return None
    return open_dataset(source, plugins, cache)


def _embedded(items: Sequence[Indexed], encoder: Encoder, store: FeatureStore) -> tuple[list[Indexed], Tensor]:
    """The items that can be read, and their unit vectors (n, dim)."""
    store.share_out(encoder, [indexed.item for indexed in items])
    features = store.features(encoder, [indexed.item for indexed in items])
    if not len(features.kept):
        first = next(iter(features.failed.values()))
        raise DataError(f"none of the {len(items)} {encoder.modality} items can be read: {first}")
    kept = [items[i] for i in features.kept.tolist()]
    tail = encoder.split(0)[1]
    with torch.inference_mode():
        x = {name: value.to(encoder.device) for name, value in features.x.items()}
        vectors = normalize(tail(x).float().cpu(), dim=1)
    wrong = ~vectors.isfinite().all(dim=1)
    if wrong.any():
        name = item_name(kept[int(wrong.nonzero()[0])].item)
        raise DataError(f"{name}: the {encoder.modality} encoder gives values that are not finite")
    return kept, vectors
