"""Everything runs from a pre-fetched folder: a Hugging Face cache laid out by hand, and the network refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.whole

CONFIG: dict[str, Any] = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
REPO = "org/tiny-clip"
REFUSE = """
import socket

def refuse(*_, **__):
    raise OSError("the network is refused")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""
"""For ``sitecustomize``: no process of a test reaches anything. The hub's own switches stay off."""


def put(home: Path, repo: str, files: dict[str, bytes]) -> Path:
    """Files of a repository, as the hub's client lays them out below HF_HOME; the snapshot's folder."""
    root = home / "hub" / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / "c0ffee"
    for folder in (snapshot, root / "blobs", root / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (root / "refs" / "main").write_text("c0ffee")
    for name, content in files.items():
        digest = hashlib.sha256(content).hexdigest()
        (root / "blobs" / digest).write_bytes(content)
        (snapshot / name).symlink_to(f"../../blobs/{digest}")
    return snapshot


@pytest.fixture(scope="module")
def clip() -> dict[str, bytes]:
    """The files of a tiny CLIP with random weights, as open_clip publishes them."""
    open_clip = pytest.importorskip("open_clip")
    import torch
    from safetensors.torch import save

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = open_clip.CLIP(**CONFIG)
    content = {"model_cfg": CONFIG, "preprocess_cfg": {}}
    return {
        "open_clip_config.json": json.dumps(content).encode(),
        "open_clip_model.safetensors": save(dict(model.state_dict())),
        "README.md": b"---\nlicense: mit\n---\n# Tiny\n",
    }


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with photos of two classes, and a `sitecustomize` that refuses the network."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(REFUSE)
    rng = np.random.default_rng(0)
    for name, grey in (("day", 200), ("night", 40)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.clip(grey + rng.normal(0, 20, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path


def xm(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own, with nothing but the folder HF_HOME of weights, and no network."""
    given = {k: v for k, v in os.environ.items() if not k.startswith(("XM_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_"))}
    given |= {"HF_HOME": str(work / "home"), "XM_CACHE": str(work / "cache"), "PYTHONPATH": str(work / "site")}
    command = [sys.executable, "-m", "xm_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=work, env=given)


@pytest.mark.slow
def test_training_and_prediction_from_a_folder_of_weights(work: Path, clip: dict[str, bytes]) -> None:
    """CLIP's image tower as target; its text tower is found beside it, as auxiliary."""
    put(work / "home", REPO, clip)
    how = ("--modality", "image", "--aux", "text", "--image-encoder", f"openclip:hf-hub:{REPO}")
    done = xm(work, "train", "--data", "photos", *how, "--shots", "1", "--seeds", "1", "--json", "--out", "run")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert {(tuple(s["aux"]), s["shots"]) for s in report["summary"]} == {((), 1), (("text",), 0), (("text",), 1)}
    found = xm(work, "predict", "run", "photos/day/0.png")
    assert found.returncode == 0, found.stderr
    assert "day" in found.stdout
    told = xm(work, "weights", "list", f"openclip:hf-hub:{REPO}")
    assert told.returncode == 0 and REPO in told.stdout and "mit" in told.stdout, told.stderr


@pytest.mark.slow
def test_what_is_not_there_is_told_with_what_to_copy(work: Path, clip: dict[str, bytes]) -> None:
    """Of a repository that is not there at all, and of one without its weights."""
    config = {"open_clip_config.json": clip["open_clip_config.json"]}
    put(work / "home", "org/half", config)
    folder = work / "home" / "hub" / "models--org--half"
    for repo, file in (("org/half", "open_clip_model.safetensors"), ("org/none", "open_clip_config.json")):
        how = ("--data", "photos", "--modality", "image", "--image-encoder", f"openclip:hf-hub:{repo}")
        done = xm(work, "train", *how, "--shots", "1", "--out", "run")
        assert done.returncode == 4
        [said] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert f"{file} of {repo} is not on this machine and huggingface.co can't be reached" in said
        assert f"copy {str(folder).replace('half', repo[4:])} from a machine that has it" in said
        assert "openclip:local-dir:FOLDER" in said and not (work / "run").exists()


@pytest.mark.slow
def test_what_packages_carry_needs_no_folder(work: Path) -> None:
    """The offline encoders, with an empty folder of weights."""
    pytest.importorskip("xm_offline")
    how = ("--modality", "image", "--aux", "text", "--image-encoder", "efficientnet-lite0", "--text-encoder", "minilm")
    done = xm(work, "train", "--data", "photos", *how, "--shots", "1", "--seeds", "1", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert not (work / "home").exists()
