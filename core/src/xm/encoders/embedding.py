"""Embedding a whole dataset into a bank."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from xm.data.content import item_name
from xm.data.contents import stamp
from xm.data.open import open_dataset
from xm.data.types import Dataset, Sample
from xm.encoders.bank import array_name
from xm.encoders.bank_export import exporter
from xm.encoders.bank_writer import Array, Part, write_bank
from xm.encoders.choice import Chosen, EncoderChoice
from xm.encoders.cuts import heard_cuts, told_cuts
from xm.encoders.encoder import Encoder
from xm.encoders.faults import check_some
from xm.encoders.pipeline import encode
from xm.encoders.speed import Way, measured
from xm.foundation.device import pick_device
from xm.foundation.distributed import barrier, gather, leads, rank, share, world
from xm.foundation.errors import DataError, ItemError, PluginError, UsageError
from xm.foundation.events import Event, Listener, logged
from xm.foundation.files import cache_dir
from xm.plugins.blame import blaming
from xm.plugins.config import Config, validated
from xm.plugins.plugin_manager import PluginManager, manager


class EmbedSettings(Config):
    """What ``xm embed`` and `xm.embed` take. Every field is a flag of the same name."""

    data: str | None = Field(None, description="a dataset's name, a folder or a file; none: the default dataset")
    modalities: tuple[str, ...] = Field((), description="which; none: every one that the data hold")
    encoders: dict[str, str] = Field({}, description="modality to encoder, NAME or NAME:ARGUMENT or a run of xm align")
    workers: int | None = Field(None, ge=1, description="threads that read; none: as many as processors, at most 8")
    precision: Literal["float32", "bfloat16", "float16", "auto"] = Field(
        "float32",
        description="of what encoders compute; auto: the fastest way here whose vectors have a cosine of 0.999",
    )
    on_error: Literal["skip", "fail"] = Field("skip", description="what an unreadable item does")
    device: str = Field("auto", description="auto, cpu, cuda, mps")
    cache: Path | None = Field(None, description="the cache's folder, for data that are made; none: XM_CACHE")


@dataclass(frozen=True)
class Embedded:
    """What `embed` did.

    Attributes:
        bank: the file.
        rows: by array.
        failed: what could not be read, by name, and why.
        seconds: that embedding took this time.
        embedded: items that were embedded this time; less than the rows if it went on where it was.
    """

    bank: str
    rows: Mapping[str, int]
    failed: Mapping[str, str]
    seconds: float
    embedded: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@blaming()
def embed(
    data: str | None,
    out: str | Path,
    *,
    listener: Listener = logged,
    plugins: PluginManager | None = None,
    **settings: Any,
) -> Embedded:
    """Embed all items of a dataset, in bounded memory, into a bank that every command reads.

    A call that was killed goes on where it was, if it is made again: what is done lies in a folder beside the bank,
    until the bank is written. Under ``torchrun`` the processes divide the items.

    Args:
        data: a dataset's name, a folder or a file; None: the default dataset.
        out: the bank, ``.safetensors``; or an export, ``.npz`` or ``.parquet``.
        listener: hears progress and warnings; by default warnings are logged.
        plugins: the plugin manager; the process's own if None.
        **settings: the other fields of `EmbedSettings`.

    Raises:
        UsageError: for wrong settings, or another suffix.
        DataError: if nothing can be read, or, with ``on_error="fail"``, an item can't.
        PluginError: if the encoder's code fails on each of several items.
    """
    given = validated(EmbedSettings, {"data": data, **settings}, "embed")
    return Embedding(given, Path(out), plugins or manager(), listener).run()


class Embedding:
    """One call of `embed`."""

    def __init__(self, settings: EmbedSettings, out: Path, plugins: PluginManager, listener: Listener) -> None:
        self.settings = settings
        self.out = out
        self.listener = listener
        self.export: Callable[[Path], None] | None = exporter(out)
        if out.is_dir():
            raise UsageError(f"--out {out}: is a folder; name a file")
        self.dataset = open_dataset(settings.data, plugins, settings.cache or cache_dir())
        self.encoders = EncoderChoice(plugins, self.dataset, pick_device(settings.device), settings.encoders)
        self._measured: dict[str, Way] = {}
        self._refused: list[ItemError] = []
        self._cut: dict[str, tuple[int, int, int]] = {}

    def run(self) -> Embedded:
        """Embed what is missing, and write the bank."""
        plans = self._plans()
        folder = self.out.with_name(f".{self.out.name}.partial")
        started, before = time.perf_counter(), 0
        total = sum(len(samples) for _, _, samples in plans)
        done = 0
        failed: dict[str, str] = {}
        for name, chosen, samples in plans:
            way = self._way(chosen.encoder, samples)
            plan = _plan(chosen, samples, self.settings.precision)
            part = Part(folder / f"{name}-{rank()}of{world()}", plan, chosen.encoder.dim)
            before += len(part.done)
            done += self._embed(part, chosen.encoder, samples, done, total, way)
        for modality, (most, cut, of) in self._cut.items():
            if cut:
                self.listener(Event("warning", {"message": told_cuts(modality, most, cut, of)}))
        barrier()
        seconds = time.perf_counter() - started
        rows: dict[str, int] = {}
        if leads():
            rows, failed = self._write(plans, folder)
        barrier()
        return Embedded(str(self.out), rows, failed, round(seconds, 3), done - before)

    def _plans(self) -> list[tuple[str, Chosen, list[Sample]]]:
        """Arrays, whose encoder, and whose samples."""
        present = sorted({sample.modality for sample in self.dataset.samples})
        for modality in self.settings.modalities:
            self._check(modality, present)
        found = []
        for modality in self.settings.modalities or present:
            chosen = self._encoder(modality)
            if chosen is None:
                continue
            note = f"{modality}: encoder {chosen.reference} ({chosen.why}), {chosen.encoder.dim} dimensions"
            self.listener(Event("note", {"message": note}))
            by_split: dict[str, list[Sample]] = {}
            for sample in self._samples(modality):
                by_split.setdefault(array_name(sample.split, modality), []).append(sample)
            found += [(name, chosen, samples) for name, samples in sorted(by_split.items())]
        if not found:
            raise DataError(f"{self.dataset.name}: nothing to embed")
        return found

    def _check(self, modality: str, present: Sequence[str]) -> None:
        if modality not in present and not self._samples(modality):
            raise UsageError(f"{self.dataset.name} holds no {modality} (its modalities: {', '.join(present)})")

    def _encoder(self, modality: str) -> Chosen | None:
        try:
            return self.encoders[modality]
        except PluginError as error:
            if modality in self.settings.modalities:
                raise
            self.listener(Event("warning", {"message": f"{modality} is left out: {error}"}))
            return None

    def _samples(self, modality: str) -> list[Sample]:
        """Of a modality; where the data have none and its encoder reads words, the class names, as train."""
        dataset: Dataset = self.dataset
        samples = [sample for sample in (*dataset.samples, *dataset.names) if sample.modality == modality]
        if samples or modality not in self.encoders.modalities():
            return samples
        chosen = self._encoder(modality)
        if chosen is None or not chosen.encoder.accepts_names:
            return []
        named = [(name, label) for label, name in enumerate(dataset.classes)]
        return [Sample(t.format(name), modality, label, "train") for name, label in named for t in dataset.templates]

    def _way(self, encoder: Encoder, samples: Sequence[Sample]) -> Way:
        """In the precision that was asked for; or the fastest for the encoder, measured once, by the first process."""
        if self.settings.precision != "auto":
            return Way(self.settings.precision)
        fingerprint = encoder.fingerprint()
        if fingerprint not in self._measured:
            found = gather(measured(encoder, [sample.item for sample in samples]) if leads() else None)[0]
            assert found is not None
            self.listener(Event("note", {"message": f"{encoder.modality}: precision {found}"}))
            self._measured[fingerprint] = found.way
        return self._measured[fingerprint]

    def _embed(self, part: Part, encoder: Encoder, samples: Sequence[Sample], before: int, total: int, way: Way) -> int:
        """Embed what this process has not done of its share; how many it has then."""
        known = {*part.done, *part.failed}
        mine = share(range(len(samples)))
        missing = [row for row in mine if row not in known]
        count = before + len(mine) - len(missing)
        if not missing:
            return len(mine)
        items = [samples[row].item for row in missing]
        with way.of(encoder), heard_cuts() as cut:
            for found in encode(encoder, items, workers=self.settings.workers, precision=way.precision):
                failed = {missing[i]: error for i, error in found.failed.items()}
                for error in failed.values():
                    if self.settings.on_error == "fail":
                        raise error
                    self.listener(Event("warning", {"message": f"left out: {error}"}))
                    self._refused.append(error)
                vectors = found.x["features"].float() if found.rows else None
                if vectors is not None or failed:
                    why = {row: error.reason for row, error in failed.items()}
                    part.append([missing[i] for i in found.rows], _rows(vectors, encoder.dim), why)
                count += len(found)
                data = {"done": count * world(), "total": total, "modality": encoder.modality}
                self.listener(Event("embed", data))
        most, longer, of = self._cut.get(encoder.modality, (0, 0, 0))
        self._cut[encoder.modality] = (max((most, *cut.values())), longer + len(cut), of + len(items))
        return len(mine)

    def _write(
        self, plans: Sequence[tuple[str, Chosen, list[Sample]]], folder: Path
    ) -> tuple[dict[str, int], dict[str, str]]:
        arrays, parts, dims = [], [], []
        failed: dict[str, str] = {}
        for name, chosen, samples in plans:
            own = [
                Part(
                    folder / f"{name}-{i}of{world()}",
                    _plan(chosen, samples, self.settings.precision),
                    chosen.encoder.dim,
                )
                for i in range(world())
            ]
            labels = [-1 if sample.label is None else sample.label for sample in samples]
            arrays.append(Array(name, labels, [_known(sample) for sample in samples]))
            parts.append(own)
            dims.append(chosen.encoder.dim)
            failed |= {item_name(samples[row].item): why for part in own for row, why in part.failed.items()}
        rows = {array.name: sum(len(part.done) for part in own) for array, own in zip(arrays, parts, strict=True)}
        if not any(rows.values()):
            if len(self._refused) == len(failed):  # none of them is of an interrupted call
                check_some(0, self._refused)
            first = next(iter(failed.items()), ("", "nothing was found"))
            raise DataError(f"no item can be read: {first[0]}: {first[1]}")
        about = {
            "dataset": self.dataset.name,
            "precision": {name: str(way) for name, way in self._measured.items()} or self.settings.precision,
            "encoders": {
                name: {"encoder": c.reference, "fingerprint": c.encoder.fingerprint(), "space": c.encoder.space}
                for name, c, _ in plans
            },
        }
        bank = self.out if self.export is None else folder / "bank.safetensors"
        write_bank(bank, arrays, parts, dims, about, self.dataset.classes)
        if self.export is not None:
            self.export(bank)
        shutil.rmtree(folder)
        return rows, failed


def _known(sample: Sample) -> dict[str, Any]:
    """What a bank says of a row."""
    more = {"group": sample.group, "pair": sample.pair, "tags": list(sample.tags), "source": sample.source}
    return {"item": item_name(sample.item), **{name: value for name, value in more.items() if value}}


def _plan(chosen: Chosen, samples: Sequence[Sample], precision: str) -> dict[str, Any]:
    """What a part is of: other items or another encoder make another plan."""
    digest = hashlib.blake2b(digest_size=16)
    for sample in samples:
        digest.update(f"{stamp(sample.item)}\n".encode("utf-8", "surrogatepass"))
    return {
        "encoder": chosen.encoder.fingerprint(),
        "items": digest.hexdigest(),
        "n": len(samples),
        "world": world(),
        "precision": precision,
    }


def _rows(vectors: Any, dim: int) -> Any:
    import torch

    return torch.zeros(0, dim) if vectors is None else vectors
