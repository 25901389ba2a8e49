"""What is said of weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from xm.plugins.weights import Weights, in_bytes, of_files, of_package, told


def test_of_files(tmp_path: Path) -> None:
    one, two, gone = tmp_path / "a.pt", tmp_path / "b.pt", tmp_path / "c.pt"
    one.write_bytes(b"123")
    two.write_bytes(b"12")
    found = of_files(one, two)
    assert found == Weights(str(one), "file", (one, two), 5) and found.here and found.get is None
    assert of_files(gone) == Weights(str(gone), "file") and not of_files(gone).here


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The distribution xm-toy-weights 2.0 of three files; what it states is in the file that is returned."""
    info, folder = tmp_path / "xm_toy_weights-2.0.dist-info", tmp_path / "xm_toy_weights"
    info.mkdir()
    folder.mkdir()
    for name in ("a.safetensors", "b.zip", "c.py"):
        (folder / name).write_bytes(b"123")
    (info / "RECORD").write_text("".join(f"xm_toy_weights/{path.name},,\n" for path in folder.iterdir()))
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: xm-toy-weights\nVersion: 2.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    return info / "METADATA"


def test_of_package(package: Path) -> None:
    folder = package.parents[1] / "xm_toy_weights"
    expected = Weights("xm-toy-weights 2.0", "package", (folder / "a.safetensors",), 3)
    assert of_package("xm-toy-weights") == expected
    assert of_package("xm-toy-weights", (".zip",)).paths == (folder / "b.zip",)


def test_of_a_package_that_is_not_installed() -> None:
    assert of_package("xm-no-such-package") == Weights("xm-no-such-package", "package")


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ("License-Expression: MIT\n", "MIT"),
        ("License: BSD\nClassifier: License :: OSI Approved :: Apache Software License\n", "Apache Software License"),
        ("License: Apache-2.0\nClassifier: Topic :: Other\n", "Apache-2.0"),
        ("License: UNKNOWN\n", ""),
        ("License: Permission is hereby granted\n  to any person obtaining a copy\n", ""),
        ("", ""),
    ],
)
def test_a_licence_is_what_the_package_states(package: Path, said: str, licence: str) -> None:
    package.write_text(package.read_text() + said)
    assert of_package("xm-toy-weights").licence == licence


@pytest.mark.parametrize(
    ("size", "said"), [(7, "7 B"), (999, "999 B"), (1000, "1 kB"), (350_400_000, "350 MB"), (2.5e9, "2.5 GB")]
)
def test_sizes_as_people_read_them(size: float, said: str) -> None:
    assert in_bytes(size) == said


def test_what_is_told_before_a_download() -> None:
    assert told(Weights("org/name", "hub", size=5000, licence="mit")) == "org/name: 5 kB, licence mit"
    assert told(Weights("org/name", "hub")) == "org/name: of unknown size, licence not stated"
