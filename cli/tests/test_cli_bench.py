"""``xm bench``: flags, tables and errors, on the toy plugin's data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xm import BenchmarkSpec
from xm.evaluation import Comparison, Result
from xm_cli.bench_tables import accuracies, differences, left_out

Xm = Callable[..., Any]


def result(strategy: str, aux: tuple[str, ...], shots: int, seed: int, value: float) -> Result:
    labels = {"train": 2 * shots, "val": min(shots, 4)}
    return Result(
        "image", aux, strategy, "none", shots, seed, "test", "accuracy", value, 50, labels=labels, seconds=2.0
    )


@pytest.fixture
def report() -> Any:
    from xm.experiment import BenchReport

    made = [result("ours", aux, 4, seed, 0.5 + 0.1 * len(aux)) for aux in ((), ("text",)) for seed in (1, 2)]
    free = [result("free", ("text",), 0, seed, 0.4) for seed in (1, 2)]
    compared = Comparison("ours", ("text",), "ours", (), 4, 0.1, 0.02, 0.18, 0.01, 0.01, 2)
    return BenchReport("toy", (*made, *free), (compared,), {"picky": "it wants the moon"}, (), {})


def test_tables(report: Any) -> None:
    title, headers, rows, *_ = accuracies(report)
    assert title.startswith("toy: accuracy in % on 50 image items of test, mean and standard deviation over seeds 1, 2")
    assert headers == ["strategy", "learned from", "0", "4", "seconds"]
    assert rows == [
        ["ours", "image", "-", "50.0 ± 0.0", "2.0"],
        ["ours", "image + text", "-", "60.0 ± 0.0", "2.0"],
        ["free", "image + text", "40.0 ± 0.0", "-", "2.0"],
        ["", "image labels, train + val", "0 + 0", "8 + 4", ""],
    ]
    title, headers, rows, *_ = differences(report)
    assert title.startswith("Against ours on image alone")
    assert rows == [["ours", "image + text", "+10.0* (+2.0 to +18.0)"]]
    assert left_out(report) == ["Left out: picky (it wants the moon)"]


def test_tables_of_its_own_go_before_the_usual(xm: Xm, monkeypatch: pytest.MonkeyPatch, report: Any) -> None:
    from xm.experiment import BenchReport, BenchTable

    class Own(BenchReport):
        @property
        def tables(self) -> list[BenchTable]:
            return [
                BenchTable("of its own", ["what", "1"], [["toy", "7.0"]], 1, ["and a line", "and another"]),
                BenchTable("without rows", ["what"], []),
            ]

    own = Own(report.name, report.results, report.comparisons, report.left_out, (), {})
    monkeypatch.setattr("xm.bench", lambda name, **given: own)
    done = xm("bench", "toy")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert (
        lines[0] == "of its own" and lines[lines.index("and a line") - 1] == "" == lines[lines.index("and another") + 1]
    )
    assert not {"without rows", "strategy"} & {*lines} and lines[-1] == "Left out: picky (it wants the moon)"
    marked = xm("bench", "toy", "--markdown").stdout
    assert "| what | 1 |\n| --- | --- |\n| toy | 7.0 |\n\nand a line\n\nand another\n" in marked


def test_an_unknown_benchmark_is_told_in_a_line(xm: Xm) -> None:
    done = xm("bench", "nothing")
    assert done.exit_code == 2 and "unknown benchmark 'nothing'" in done.stderr


def test_markdown_and_json(xm: Xm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report: Any) -> None:
    asked: dict[str, Any] = {}

    def bench(name: str | None = None, *, listener: Any, **settings: Any) -> Any:
        asked.update(settings, name=name)
        return report

    monkeypatch.setattr("xm.bench", bench)
    done = xm(
        "bench", "toy", "--quick", "--set", "ours.a=[1]", "--strategies", "ours,free", "--markdown", "--shots", "4"
    )
    assert done.exit_code == 0, done.stderr
    assert asked | {"shots": ["4"], "seeds": ["1"]} == asked, "--quick cuts what is not named"
    assert asked["set"] == {"ours.a": [1]} and asked["strategies"] == ["ours", "free"] and asked["name"] == "toy"
    assert "| ours | image + text | - | 60.0 ± 0.0 | 2.0 |" in done.stdout
    assert "Left out: picky (it wants the moon)" in done.stdout
    printed = json.loads(xm("bench", "toy", "--json").stdout)
    assert printed["name"] == "toy" and printed["comparisons"][0]["difference"] == 0.1


def test_latex_and_csv(xm: Xm, monkeypatch: pytest.MonkeyPatch, report: Any) -> None:
    import csv

    monkeypatch.setattr("xm.bench", lambda name, **given: report)
    lines = xm("bench", "toy", "--latex").stdout.splitlines()
    assert lines[:3] == [r"% \usepackage{booktabs}", r"\begin{table}", r"\centering"]
    assert r"\caption{toy: accuracy in \% on 50 image items of test" in "\n".join(lines)
    assert r"ours & image + text & - & 60.0 $\pm$ 0.0 & 2.0 \\" in lines
    assert lines.count(r"\begin{tabular}{llrrr}") == 1 and lines.count(r"\bottomrule") == 2
    assert lines[-1] == "% Left out: picky (it wants the moon)"
    rows = list(csv.DictReader(xm("bench", "toy", "--csv").stdout.splitlines()))
    assert len(rows) == 3 and rows[1] == {
        "benchmark": "toy",
        "strategy": "ours",
        "learned from": "image + text",
        "shots": "4",
        "split": "test",
        "metric": "accuracy",
        "mean": "0.6",
        "std": "0.0",
        "seeds": "2",
        "n": "50",
        "seconds": "2.000",
    }
    both = xm("bench", "toy", "--csv", "--json")
    assert both.exit_code == 2 and "--csv and --json: print one form at a time" in both.stderr


def test_latex_prints_signs_as_they_are() -> None:
    from xm_cli.bench_forms import escaped

    assert escaped("50 % of a_b & {c} ~ \\") == r"50 \% of a\_b \& \{c\} \textasciitilde{} \textbackslash{}"


def test_protocols_and_names_of_ones_own_through_flags(xm: Xm, toy: list[str], tmp_path: Path) -> None:
    args = ("--data", "toys", "-m", "word", "--aux", "sign", "--strategies", "linear", "--shots", "1")
    done = xm("bench", "mine", *args, "--seeds", "1")
    assert done.exit_code == 0 and "Run folders: runs/bench/mine" in done.stdout, done.stderr
    done = xm("bench", "mine", *args, "--seeds", "2")
    assert "mine: accuracy in % on" in done.stdout and "over seeds 1, 2" in done.stdout
    done = xm("bench", "mine", *args, "--protocol", "base-to-new", "--unseen", "1", "--seeds", "1")
    assert done.exit_code == 0, done.stderr
    assert "mine, base to new, 1 shot of each base class" in done.stdout
    assert "Run folders: runs/bench/mine/base-to-new" in done.stdout
    wrong = xm("bench", "mine", *args, "--protocol", "base-to-now")
    assert wrong.exit_code == 2 and "unknown protocol 'base-to-now': did you mean 'base-to-new'?" in wrong.stderr


def test_a_spec_has_its_fields() -> None:
    spec = BenchmarkSpec(name="toy", target="xm.experiment:few_shot", modality="image")
    assert (spec.aux, spec.reference) == ((), "")


def test_own_data(xm: Xm, tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    lines = [
        f"{name}{end},word,{name},{split}"
        for name in ("apple", "river")
        for end, split in (("s", "train"), ("er", "test"))
    ]
    table.write_text("\n".join(["text,modality,label,split", *lines]) + "\n")
    args = ("--strategies", "linear,nearest-centroid", "--shots", "1", "--seeds", "1", "--word-encoder", "toy-words")
    done = xm("bench", table, *args)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("mine: accuracy in % on 2 word items of test, seed 1")
    assert "Run folders: runs/bench/mine/" in done.stdout
    same = xm("bench", "--data", table, "-m", "word", *args, "--quick")
    assert same.exit_code == 0, same.stderr
    none = xm("bench")
    assert (none.exit_code, none.stderr.splitlines()[-1]) == (
        2,
        "error: name a benchmark (xm plugins list), or data: xm bench --data SOURCE",
    )
