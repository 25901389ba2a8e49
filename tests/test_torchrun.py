"""Commands that train or embed, in two processes: the same results as in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from xm.foundation import read_tensors

pytestmark = [pytest.mark.slow, pytest.mark.whole]


def launch(processes: int, folder: Path, *words: str, **environment: str) -> str:
    """What ``xm`` prints, in so many processes, with a cache of its own."""
    program = [sys.executable, "-m", "xm_cli"]
    if processes > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        program = [*torchrun, "--master-port", "29611", "-m", "xm_cli"]
    cache = {"XM_CACHE": str(folder / f"cache-{processes}"), "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(
        [*program, *words],
        cwd=folder,
        env={**os.environ, **cache},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def close(one: Path, other: Path) -> None:
    """Every tensor file of two folders is the same to 1e-5."""
    files = [sorted(p.relative_to(folder) for p in folder.rglob("*.safetensors")) for folder in (one, other)]
    assert files[0] == files[1] and files[0]
    for name in files[0]:
        mine, theirs = read_tensors(one / name), read_tensors(other / name)
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            assert float((value.double() - theirs[key].double()).abs().max()) <= 1e-5, (name, key)


def figures(folder: Path) -> list[Any]:
    index = json.loads((folder / "xm.json").read_text(encoding="utf-8"))
    return [(r["model"], r["value"], r["val"]) for r in index["results"]]


def test_train(tmp_path: Path) -> None:
    words = ("train", "--modality", "image", "--aux", "text,audio", "--shots", "1,2", "--seeds", "1,2")
    printed = [launch(n, tmp_path, *words, "--out", f"run-{n}") for n in (1, 2)]
    assert printed[0].replace("run-1", "run") == printed[1].replace("run-2", "run"), "or two processes spoke"
    assert figures(tmp_path / "run-1") == figures(tmp_path / "run-2")
    close(tmp_path / "run-1", tmp_path / "run-2")
    assert not list(tmp_path.glob(".run*"))


def test_embed(tmp_path: Path) -> None:
    for n in (1, 2):
        (tmp_path / f"banks-{n}").mkdir()
        launch(
            n,
            tmp_path,
            "embed",
            "digits",
            "--out",
            f"banks-{n}/digits.safetensors",
            "-m",
            "image,audio",
            XM_CACHE="cache",
        )
    close(tmp_path / "banks-1", tmp_path / "banks-2")
    names = [sorted(path.name for path in (tmp_path / f"banks-{n}").iterdir()) for n in (1, 2)]
    assert names == [["digits.safetensors"]] * 2, "something unfinished stays"


def test_align(tmp_path: Path) -> None:
    words = ("align", "--anchor", "image", "--new", "audio", "--aligner", "contrastive", "--aligner-set", "steps=20")
    for n in (1, 2):
        launch(n, tmp_path, *words, "--out", f"aligned-{n}")
    close(tmp_path / "aligned-1", tmp_path / "aligned-2")


def test_search_build(tmp_path: Path) -> None:
    launch(1, tmp_path, "digits", "data")
    for n in (1, 2):
        words = ("--modality", "image", "--image-encoder", "pixels", "--out", f"index-{n}/digits.index")
        (tmp_path / f"index-{n}").mkdir()
        launch(n, tmp_path, "search", "build", "data/test", *words)
    close(tmp_path / "index-1", tmp_path / "index-2")


def test_bench(tmp_path: Path) -> None:
    words = ("bench", "caltech-101", "--data", "digits", "--strategies", "linear,nearest-centroid", "--shots", "1")
    for n in (1, 2):
        launch(n, tmp_path, *words, "--out", f"bench-{n}")
    close(tmp_path / "bench-1", tmp_path / "bench-2")
