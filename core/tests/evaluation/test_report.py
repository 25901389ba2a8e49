"""The JSON contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from xm.evaluation.report import Report, Result, mean_std, summarise, versions

RESULT = {"target", "aux", "strategy", "init", "shots", "seed", "split", "metric", "value", "n"}
SUMMARY = {"target", "aux", "strategy", "shots", "mean", "std", "seeds", "split"}


def test_keys_of_the_contract(run: Callable[..., Report], table: Path) -> None:
    report = run(aux=("text", "audio"), data=str(table), seeds=(1, 2))
    found = json.loads(json.dumps(report.to_json()))
    assert set(found) == {"results", "summary", "references", "comparisons", "notes", "run", "versions"}
    for result in found["results"]:
        assert set(result) == RESULT | {
            "val",
            "labels",
            "transductive",
            "model",
            "record",
            "seconds",
            "predictor",
            "coverage",
        }
        assert isinstance(result["aux"], list) and 0 <= result["value"] <= 1
        assert (result["strategy"] == "zero-shot") == (result["shots"] == 0)
    assert {json.dumps(r["aux"]) for r in found["results"]} == {"[]", '["text"]', '["audio"]', '["text", "audio"]'}
    assert all(set(summary) == SUMMARY for summary in found["summary"])
    assert all(
        set(reference) == {"name", "text", "labels", "mean", "std", "seeds"} for reference in found["references"]
    )
    assert Path(found["run"], "xm.json").is_file()
    assert {"torch", "numpy", "xm-core"} <= set(found["versions"])


def test_the_run_holds_what_the_report_says(run: Callable[..., Report], table: Path) -> None:
    report = run(aux=("text",), data=str(table))
    index = json.loads(Path(report.run, "xm.json").read_text())
    assert {key: index[key] for key in report.to_json()} == json.loads(json.dumps(report.to_json()))
    assert index["settings"]["seeds"] == [1] and index["format"] == 1
    assert set(index["tasks"]) == {"shots-1/seed-1", "shots-0/seed-1"}
    for result in report.results:
        assert Path(report.run, result.model, "model.safetensors").is_file()


def result(value: float, seed: int, aux: tuple[str, ...] = ()) -> Result:
    return Result("image", aux, "linear", "random", 1, seed, "test", "accuracy", value, 10)


def test_summary_is_over_seeds() -> None:
    first, second = summarise([result(0.5, 1), result(0.9, 1, ("text",)), result(0.7, 2)])
    assert (first.aux, first.seeds, second.aux, second.seeds) == ((), 2, ("text",), 1)
    assert first.mean == pytest.approx(0.6) and first.std == pytest.approx(0.02**0.5)
    assert second.std == 0
    assert mean_std([0.25]) == (0.25, 0.0)


def test_parts_of_test_are_averaged_apart() -> None:
    part = replace(result(0.1, 1), split="test:language=de")
    whole, german = summarise([result(0.5, 1), part, result(0.7, 2), replace(part, value=0.3, seed=2)])
    assert (whole.split, whole.mean, whole.seeds) == ("test", pytest.approx(0.6), 2)
    assert (german.split, german.mean, german.seeds) == ("test:language=de", pytest.approx(0.2), 2)
    assert result(0.5, 1).scored == result(0.5, 1).model != part.scored


def test_versions_name_plugins_that_are_installed() -> None:
    from xm.plugins.plugin_manager import manager

    found = versions(manager())
    assert all(found[plugin.distribution] == plugin.version for plugin in manager().plugins() if plugin.distribution)
    assert list(found) == sorted(found)
