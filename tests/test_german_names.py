"""Photographs in folders with German names: the default encoder of text is one that reads German, and says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import xm
from xm.evaluation import Report
from xm.foundation import Event
from xm.plugins import manager

pytestmark = [pytest.mark.slow, pytest.mark.whole]

FOLDERS = {
    "butterfly": "Schmetterling",
    "cannon": "Kanone",
    "chair": "Stuhl",
    "elephant": "Elefant",
    "ferry": "Fähre",
    "grand_piano": "Konzertflügel",
    "kangaroo": "Känguru",
    "scissors": "Schere",
    "soccer_ball": "Fußball",
    "strawberry": "Erdbeere",
    "umbrella": "Regenschirm",
    "wrench": "Schraubenschlüssel",
}
EACH = 4
PHOTOS = Path(os.environ.get("XM_DATA", "")) / "caltech-101/101_ObjectCategories"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`EACH` photographs of Caltech-101 for each class, linked."""
    if "XM_DATA" not in os.environ or not PHOTOS.is_dir():
        pytest.skip("XM_DATA names no folder with caltech-101/")
    for name in ("efficientnet-lite0", "minilm", "use"):
        if reason := manager().encoders.find(name).why_not():
            pytest.skip(reason)
    pytest.importorskip("py3langid")
    folder = tmp_path_factory.mktemp("fotos")
    for theirs, ours in FOLDERS.items():
        (folder / ours).mkdir()
        for path in sorted((PHOTOS / theirs).glob("*.jpg"))[:EACH]:
            (folder / ours / path.name).symlink_to(path)
    return folder


def test_german_photographs(photos: Path, tmp_path: Path) -> None:
    heard: list[str] = []

    def listen(event: Event) -> None:
        heard.extend([event.data["message"]] if event.kind in ("note", "warning") else [])

    def trained(**encoders: str) -> Report:
        return xm.train(
            "image",
            aux=["text"],
            data=str(photos),
            shots=[0],
            seeds=[1],
            encoders={"image": "efficientnet-lite0", **encoders},
            split=(0.2, 0.0, 0.8),
            out=tmp_path / f"run-{len(encoders)}",
            cache=tmp_path / "cache",
            device="cpu",
            listener=listen,
        )

    report = trained()
    assert any("text: encoder use (class names look German; minilm reads English)" in note for note in heard)
    by_default, by_minilm = report.results[0].value, trained(text="minilm").results[0].value
    assert by_default > 0.4 and by_default > by_minilm + 0.2

    ferry = next((photos / "Fähre").iterdir())
    (found,) = xm.load(report.run, device="cpu").predict([ferry])
    assert found.label == "fähre"
    heard.clear()
    names = [name.lower() for name in FOLDERS.values()]
    encoders = {"image": "efficientnet-lite0"}
    (said,) = xm.classify([ferry], names, encoders=encoders, cache=tmp_path / "cache", device="cpu", listener=listen)
    assert said.label == "fähre"
    assert any("names: encoder use (class names look German" in note for note in heard)
