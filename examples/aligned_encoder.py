"""Bring spoken digits into the space of scanned ones, and find a scan by its sound.

python examples/aligned_encoder.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

import xm
from xm.encoders import make_encoder
from xm.plugins import manager


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = xm.align("image", "audio", out=Path(folder) / "heard")
        for diagnosis in report.diagnoses:
            before, after = diagnosis.before.found, diagnosis.after.found
            print(f"median rank of {after.n}: {before.median_rank:g} before, {after.median_rank:g} after")
        heard = make_encoder(report.run, manager(), torch.device("cpu"), "audio")
        print(f"audio is in the space {heard.space} now, of {heard.dim} dimensions")
        trained = xm.train("image", aux=["audio"], encoders={"audio": report.run}, shots=[1], out=Path(folder) / "run")
        for cell in trained.summary:
            print(f"{' + '.join(('image', *cell.aux)):<14} {cell.strategy:<10} {100 * cell.mean:.1f} %")


if __name__ == "__main__":
    main()
