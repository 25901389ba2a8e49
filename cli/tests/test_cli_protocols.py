"""``xm bench --protocol``, and descriptions, through the program's flags, on the toy plugin's data."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Xm = Callable[..., Any]
SHORT = ("--shots", "1", "--seeds", "1")


def table(path: Path) -> Path:
    """Words of two classes, written large or small."""
    lines = ["text,modality,label,split,meta.size"]
    for name in ("apple", "river"):
        for i, end in enumerate(("s", "er", "boat", "song", "door", "hill")):
            lines.append(f"{name}{end},word,{name},{('train', 'test')[i % 2]},{('small', 'large')[i // 2 % 2]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_cross_dataset(xm: Xm, tmp_path: Path) -> None:
    other = table(tmp_path / "other.csv")
    args = ("bench", "mine", "--data", "toys", "-m", "word", "--aux", "sign", "--strategies", "zero-shot", *SHORT)
    done = xm(*args, "--protocol", "cross-dataset", "--test", other)
    assert done.exit_code == 0, done.stderr
    assert "accuracy in % on word items of test of it and other, seed 1" in done.stdout
    assert "Run folders: runs/bench/mine/cross-dataset" in done.stdout
    rows = list(csv.DictReader(xm(*args, "--protocol", "cross-dataset", "--test", other, "--csv").stdout.splitlines()))
    assert [(row["split"], row["n"]) for row in rows] == [("test", "18"), ("test:dataset=other", "6")]
    lacking = xm(*args, "--protocol", "cross-dataset")
    assert lacking.exit_code == 2 and "error: name the datasets to score on: --test A,B" in lacking.stderr


def test_domains(xm: Xm, tmp_path: Path) -> None:
    args = ("bench", table(tmp_path / "sizes.csv"), "--strategies", "linear", "--word-encoder", "toy-words", *SHORT)
    where = ("--where", "train.size=small", "--where", "test.size=small,large")
    done = xm(*args, "--protocol", "domains", *where)
    assert done.exit_code == 0, done.stderr
    assert "sizes, learned from 1 shot a class, where train.size=small: accuracy in % on word items" in done.stdout
    assert "size=small   size=large" in done.stdout
    lacking = xm(*args, "--protocol", "domains")
    assert lacking.exit_code == 2 and "--where train.domain=photo --where test.domain=sketch,clipart" in lacking.stderr


def test_what_is_wrong_with_the_data_is_said_once(xm: Xm, tmp_path: Path) -> None:
    args = ("bench", table(tmp_path / "sizes.csv"), "--strategies", "linear,nearest-centroid", *SHORT)
    done = xm(*args, "--protocol", "base-to-new", "--unseen", "2")
    assert done.exit_code == 2
    lines = [line for line in done.stderr.splitlines() if "--unseen 2" in line]
    assert len(lines) == 2 and lines[1].startswith("error: no strategy applies: --unseen 2: 2 of 2 classes would be")


def test_descriptions(xm: Xm, tmp_path: Path) -> None:
    told = tmp_path / "by dataset" / "toys.json"
    told.parent.mkdir()
    told.write_text(json.dumps({"apple": {"aliases": ["pear"], "de": ["Apfelbaum"]}, "river": "riverbank"}))
    args = ("-m", "sign", "--aux", "word", "--data", "toys", "--strategy", "zero-shot", "--seeds", "1", "--json")
    values = {}
    for how in ("texts", "samples", "templates"):
        done = xm("train", *args, "--descriptions", told.parent, "--descriptions-as", how, "--out", tmp_path / how)
        assert done.exit_code == 0, done.stderr
        report = json.loads(done.stdout)
        values[how] = report["results"][0]["value"]
        said = "Descriptions: 2 texts, of 2 of 3 classes; 1 alias; de (1)."
        assert any(note.startswith(said) for note in report["notes"])
    index = json.loads((tmp_path / "samples" / "xm.json").read_text())
    assert index["settings"]["descriptions_as"] == "samples" and set(values) == {"texts", "samples", "templates"}
    benched = xm(
        "bench", "toys", "-m", "sign", "--aux", "word", "--strategies", "zero-shot", *SHORT, "--descriptions", told
    )
    assert benched.exit_code == 0, benched.stderr
    wrong = xm("train", *args, "--descriptions", told, "--descriptions-as", "prose")
    assert wrong.exit_code == 2 and "descriptions_as" in wrong.stderr
