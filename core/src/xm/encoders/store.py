"""The feature store: an encoder's trunk outputs, kept on disk and addressed by content.

A shard is one safetensors file: ``key`` (n, 16) uint8, the items' content hashes, and the trunk's tensors, n rows
each; and, where an encoder read the beginning of some items alone, ``cut`` (n,) int32: of how many tokens, 0 for items
that were read whole. Shards of one encoder fingerprint and depth share a folder. They are written whole, under names
of their own, and never changed, so that processes may share a store; a damaged one is reported, removed and made again.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from xm.data.content import item_name
from xm.data.contents import Contents
from xm.encoders.cuts import heard_cuts, told_cuts
from xm.encoders.encoder import Derived, Encoder
from xm.encoders.faults import check_some
from xm.encoders.pipeline import derived, encode
from xm.encoders.soundness import unsound
from xm.foundation.distributed import barrier, share, world
from xm.foundation.errors import ItemError, RunError
from xm.foundation.events import Event, Listener, silent
from xm.foundation.files import read_tensors, write_tensors
from xm.learning.stream import Inputs

log = logging.getLogger("xm.encoders.store")

SHARD = 1024
"""Items to a shard: what a kill can cost."""

KEY, CUT = "key", "cut"


@dataclass(frozen=True)
class Features:
    """Trunk outputs for items.

    Attributes:
        x: named tensors, a row for each kept item.
        kept: indices of the items that could be read, ascending.
        failed: the errors of the others, by index.
    """

    x: Inputs
    kept: Tensor
    failed: Mapping[int, ItemError]


class FeatureStore:
    """Trunk outputs by encoder fingerprint, depth and item content.

    Args:
        root: the folder, made when first written to; None keeps everything in memory alone.
        strict: raise on the first item that can't be read, instead of leaving it out. What was encoded before
            is kept either way.
        listener: hears "embed" events and "warning" events.
        contents: the items' keys, so that what is known is not read again.
    """

    def __init__(
        self,
        root: Path | None,
        *,
        strict: bool = False,
        listener: Listener = silent,
        contents: Contents | None = None,
    ) -> None:
        self.root = root
        self.contents = contents or Contents()
        self.strict = strict
        self.listener = listener
        self._rows: dict[tuple[str, int], dict[bytes, Inputs]] = {}
        self._refused: dict[tuple[str, int], dict[bytes, ItemError]] = {}
        self._cut: dict[tuple[str, int], dict[bytes, int]] = {}
        self._told: set[tuple[str, int, bytes]] = set()

    def features(self, encoder: Encoder, items: Sequence[Any], *, depth: int = 0) -> Features:
        """Trunk outputs of `encoder` at `depth` for `items`; only what is new is computed.

        Raises:
            ItemError: if `strict` and an item can't be read.
            PluginError: if the encoder's code fails on each of several items.
        """
        if isinstance(encoder, Derived) and depth == 0:
            below = self.features(encoder.base, items, depth=encoder.depth)
            return replace(below, x=derived(encoder, below.x))
        place = (encoder.fingerprint(), depth)
        rows = self._rows.get(place)
        if rows is None:
            rows = self._rows[place] = self._load(self._folder(encoder, depth), self._cut.setdefault(place, {}))
        failed: dict[int, ItemError] = {}
        keys: list[bytes | None] = []
        for i, item in enumerate(items):
            try:
                keys.append(bytes.fromhex(self.contents.key(item)))
            except ItemError as error:
                failed[i] = self._refuse(error)
                keys.append(None)
        missing = {k: i for i, k in enumerate(keys) if k is not None and k not in rows}
        self._encode(encoder, depth, {k: items[i] for k, i in missing.items()}, rows, place)
        for i, key in enumerate(keys):
            if key is not None and key not in rows:
                failed[i] = self._refused[place][key].of(item_name(items[i]))
        kept = [i for i in range(len(items)) if i not in failed]
        check_some(len(kept), failed.values())
        self._tell_cuts(encoder, place, [key for i in kept if (key := keys[i]) is not None])
        found = [rows[key] for i in kept if (key := keys[i]) is not None]
        x = {name: torch.stack([row[name] for row in found]) for name in found[0]} if found else {}
        return Features(x, torch.tensor(kept, dtype=torch.long), failed)

    def share_out(self, encoder: Encoder, items: Sequence[Any], *, depth: int = 0) -> None:
        """Of several processes (`torchrun`), each computes a part of what is new, for all of them to read.

        All processes must call it, with the same items. Alone, it does nothing: `features` computes what it is asked.
        """
        if isinstance(encoder, Derived) and depth == 0:
            self.share_out(encoder.base, items, depth=encoder.depth)
            return
        if world() == 1 or self._folder(encoder, depth) is None:
            return
        self.features(encoder, share(items), depth=depth)
        barrier()
        self._rows.pop((encoder.fingerprint(), depth), None)

    def _folder(self, encoder: Encoder, depth: int) -> Path | None:
        """Where rows are kept; raw inputs (depth -1) are as large as they are cheap, and stay in memory."""
        if self.root is None or not encoder.cached or depth == -1:
            return None
        return self.root / f"{encoder.fingerprint()}-{depth}"

    def _load(self, folder: Path | None, cut: dict[bytes, int]) -> dict[bytes, Inputs]:
        rows: dict[bytes, Inputs] = {}
        if folder is None:
            return rows
        form: dict[str, tuple[Any, ...]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            try:
                tensors = read_tensors(path)
                keys, lengths = tensors.pop(KEY), tensors.pop(CUT, None)
                counted = lengths is None or (lengths.dtype == torch.int32 and lengths.shape == keys.shape[:1])
                if not counted or not _whole(keys, tensors):
                    raise RunError(f"{path}: rows are missing")
                form = form or _form(tensors)
                if _form(tensors) != form:
                    raise RunError(f"{path}: its rows are not like those of others")
            except (RunError, KeyError) as error:
                self._warn(f"cache file {path} is damaged and will be made again ({type(error).__name__})")
                _remove(path)
                continue
            for i, key in enumerate(keys.numpy()):
                rows[key.tobytes()] = {name: value[i] for name, value in tensors.items()}
                if lengths is not None and lengths[i]:
                    cut[key.tobytes()] = int(lengths[i])
        return rows

    def _encode(
        self,
        encoder: Encoder,
        depth: int,
        missing: dict[bytes, Any],
        rows: dict[bytes, Inputs],
        place: tuple[str, int],
    ) -> None:
        """Compute what is missing, a shard at a time."""
        refused = self._refused.setdefault(place, {})
        missing = {k: item for k, item in missing.items() if k not in refused}
        if not missing:
            return
        keys, folder = list(missing), self._folder(encoder, depth)
        fresh: dict[bytes, Inputs] = {}
        cut, done = self._cut.setdefault(place, {}), 0
        with heard_cuts() as heard:
            try:
                for part in encode(encoder, list(missing.values()), depth):
                    for i, row in enumerate(part.rows):
                        key = keys[row]
                        fresh[key] = {name: value[i].clone() for name, value in part.x.items()}
                        if (most := heard.get(id(missing[key]))) is not None:
                            cut[key] = most
                    for row, error in part.failed.items():
                        refused[keys[row]] = self._refuse(error)
                    while len(fresh) >= SHARD:
                        full = {key: fresh.pop(key) for key in list(itertools.islice(fresh, SHARD))}
                        rows |= full
                        self._write(folder, full, cut)
                    done += len(part)
                    self.listener(Event("embed", {"done": done, "total": len(keys), "modality": encoder.modality}))
            finally:
                if fresh:
                    rows |= fresh
                    self._write(folder, fresh, cut)

    def _tell_cuts(self, encoder: Encoder, place: tuple[str, int], keys: Sequence[bytes]) -> None:
        """Warn, once, of items that were not read whole."""
        known = self._cut.get(place, {})
        cut = [key for key in keys if key in known]
        fresh = {(*place, key) for key in cut} - self._told
        if fresh:
            self._told |= fresh
            self._warn(told_cuts(encoder.modality, max(known[key] for key in cut), len(cut), len(keys)))

    def _refuse(self, error: ItemError) -> ItemError:
        if self.strict:
            raise error
        self._warn(f"left out: {error}")
        return error

    def _write(self, folder: Path | None, fresh: dict[bytes, Inputs], cut: Mapping[bytes, int]) -> None:
        if folder is None:
            return
        names = next(iter(fresh.values()))
        tensors = {name: torch.stack([row[name] for row in fresh.values()]) for name in names}
        keys = torch.stack([torch.frombuffer(bytearray(k), dtype=torch.uint8) for k in fresh])
        if not cut.keys().isdisjoint(fresh):
            tensors[CUT] = torch.tensor([cut.get(k, 0) for k in fresh], dtype=torch.int32)
        try:
            write_tensors(folder / f"{uuid.uuid4().hex}.safetensors", {**tensors, KEY: keys})
        except (OSError, SafetensorError) as error:
            self._warn(f"cache folder {folder} can't be written, so what was computed is lost at the end ({error})")

    def _warn(self, message: str) -> None:
        log.debug(message)
        self.listener(Event("warning", {"message": message}))


def _whole(keys: Tensor, tensors: Inputs) -> bool:
    """Whether there is a row of sound numbers for each key."""
    if keys.dtype != torch.uint8 or keys.ndim != 2 or not tensors:
        return False
    return all(value.ndim and len(value) == len(keys) for value in tensors.values()) and not unsound(tensors)


def _form(tensors: Inputs) -> dict[str, tuple[Any, ...]]:
    """What rows of one encoder have in common."""
    return {name: (value.dtype, *value.shape[1:]) for name, value in sorted(tensors.items())}


def _remove(path: Path) -> None:
    """Take away what is in a file's place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
