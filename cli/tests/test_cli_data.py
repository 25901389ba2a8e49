"""xm data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Xm = Callable[..., Any]


def test_list_names_datasets_and_readers(xm: Xm) -> None:
    done = xm("data", "list")
    assert done.exit_code == 0, done.stderr
    assert next(line for line in done.stdout.splitlines() if line.startswith("toys")).split()[1:3] == ["by", "name"]
    found = {d["name"]: d for d in json.loads(xm("data", "list", "--json").stdout)["datasets"]}
    assert found["folder"]["opens"] == ["/"]
    assert found["toys"]["plugin"] == "toy_plugin"


def test_show_counts_by_split_and_modality(xm: Xm) -> None:
    found = json.loads(xm("data", "show", "toys", "--json").stdout)
    assert [(s["split"], s["modality"], s["items"], s["classes"]) for s in found["splits"]] == [
        *[("train", "sign", 12, 3), ("train", "word", 12, 3), ("val", "sign", 6, 3)],
        *[("val", "word", 6, 3), ("test", "sign", 18, 3), ("test", "word", 18, 3)],
    ]
    assert (found["items"], found["drawn"], found["groups"], found["pairs"]) == (72, 0, 12, 36)
    assert found["classes"][0] == {"name": "apple", "items": {"sign": 12, "word": 12}}
    text = xm("data", "show", "toys").stdout
    assert text.startswith("toys: 72 items, 3 classes\nclasses: apple, house, river\n")
    assert "Toys are words and signs." in text


def test_show_draws_splits_of_a_folder_and_keeps_groups_whole(xm: Xm, tmp_path: Path) -> None:
    for name in ("apple", "house"):
        for i in range(10):
            file = tmp_path / "mine" / name / f"{i % 5}-{i}.word"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{name}{i}")
    args = ("data", "show", tmp_path / "mine", "--group-by", r"(\d)-\d\.word", "--split", "0.2,0,0.8", "--json")
    found = json.loads(xm(*args).stdout)
    assert [(s["split"], s["items"], s["groups"]) for s in found["splits"]] == [("train", 4, 1), ("test", 16, 4)]
    assert found["drawn"] == 20


def test_mistakes(xm: Xm) -> None:
    for args, code, expected in [
        (("toyz",), 2, "did you mean 'toys'?"),
        (("./toys",), 3, "toys: no such file or folder"),
        (("toys", "--split", "1"), 2, "--split 1: expected three numbers"),
        (("toys", "--group-by", "("), 2, "not a regular expression"),
    ]:
        done = xm("data", "show", *args)
        assert (done.exit_code, done.stdout) == (code, "")
        assert expected in done.stderr
