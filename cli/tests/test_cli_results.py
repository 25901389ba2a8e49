"""The table and the sentences, from made-up results."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from xm.evaluation import Hits, Reference, Report, Result, with_the_names_alone, with_the_target_alone
from xm_cli.results import below_names, differences, print_report, table


def result(strategy: str, aux: tuple[str, ...], shots: int, seed: int, value: float) -> Result:
    labels = {"train": 2 * shots, "val": min(shots, 4)}
    return Result(
        "image",
        aux,
        strategy,
        "random",
        shots,
        seed,
        "test",
        "accuracy",
        value,
        100,
        labels=labels,
        model=f"{strategy} {aux} {shots} {seed}",
    )


def report(*results: Result) -> Report:
    """Each of 100 test items is right or wrong as `value` says, the first ones right."""
    hits = {r.model: Hits(np.arange(100), np.arange(100) < round(100 * r.value)) for r in results}
    compared = (*with_the_target_alone(results, hits), *with_the_names_alone(results, hits, "ours"))
    return Report(results, (Reference("pairs", "a probe on the pairs", 40, 0.9, 0.01, 3),), compared, (), "runs/x", {})


MADE = report(
    *[result("ours", (), 1, seed, value) for seed, value in [(1, 0.50), (2, 0.54), (3, 0.52)]],
    *[result("ours", (), 8, seed, 0.80) for seed in (1, 2, 3)],
    *[result("ours", ("text",), 1, seed, value) for seed, value in [(1, 0.60), (2, 0.62), (3, 0.61)]],
    *[result("ours", ("text",), 8, seed, 0.80) for seed in (1, 2, 3)],
    *[result("ours", ("audio",), 1, seed, value) for seed, value in [(1, 0.40), (2, 0.41), (3, 0.42)]],
    *[result("free", ("text",), 0, seed, 0.30) for seed in (1, 2, 3)],
    *[result("other", (), 8, seed, 0.70) for seed in (1, 2, 3)],
)


def test_a_baseline_without_labels_stands_in_the_rows_of_the_chosen_strategy() -> None:
    headers, rows = table(MADE, "ours")
    assert headers == ["strategy", "learned from", "0 (free)", "1", "8"]
    assert rows == [
        ["ours", "image", "-", "52.0 ± 2.0", "80.0 ± 0.0"],
        ["ours", "image + text", "30.0 ± 0.0", "61.0 ± 1.0", "80.0 ± 0.0"],
        ["ours", "image + audio", "-", "41.0 ± 1.0", "-"],
        ["other", "image", "-", "-", "70.0 ± 0.0"],
        ["", "image labels, train + val", "0 + 0", "2 + 1", "16 + 4"],
    ]


def test_a_chosen_strategy_without_labels_has_its_own_rows() -> None:
    headers, rows = table(report(result("free", ("text",), 0, 1, 0.3)), "free")
    assert headers == ["learned from", "0"]
    assert rows[0] == ["image + text", "30.0"]


def test_a_chosen_strategy_that_does_without_labels_too_keeps_its_figures() -> None:
    """With unlabelled items and an auxiliary modality; the baseline is a row beside it."""
    headers, rows = table(report(*MADE.results, result("ours", ("text",), 0, 1, 0.45)), "ours")
    assert headers == ["strategy", "learned from", "0", "1", "8"]
    assert ["ours", "image + text", "45.0", "61.0 ± 1.0", "80.0 ± 0.0"] in rows
    assert ["free", "image + text", "30.0 ± 0.0", "-", "-"] in rows


def test_a_row_that_is_below_the_names_alone_is_named() -> None:
    """The names have 45 %, on the first items of test: rows of 41 and 52 % at 1 shot, and one of 80 % at 8."""
    found = report(
        *[r for r in MADE.results if r.strategy == "ours"],
        *[result("free", ("text",), 0, seed, 0.45) for seed in (1, 2, 3)],
    )
    (line,) = below_names(found, "ours")
    assert re.fullmatch(
        r"At 1 shot image \+ audio is below free of image \+ text, which needs no image label: "
        r"-4\.0, -[78]\.\d to -[01]\.\d\.",
        line,
    )
    assert below_names(MADE, "ours") == []


def test_sentences_say_where_auxiliaries_help_and_where_not() -> None:
    first, one, eight = differences(MADE, "ours")
    assert first == "Against image alone, in points, with 95 % intervals over seeds and test items:"
    assert re.fullmatch(
        r"  1 shot: helps: text \(\+9\.0, \+\d+\.\d to \+\d+\.\d\); hurts: audio \(-11\.0, -\d+\.\d to -\d+\.\d\)", one
    )
    assert eight == "  8 shots: no clear difference: text (+0.0, +0.0 to +0.0)"


def test_parts_of_test_have_rows_and_sentences_of_their_own() -> None:
    hits: dict[str, Hits] = {}
    results = []
    for aux in ((), ("text",)):
        whole = result("ours", aux, 1, 1, 0.6 if aux else 0.5)
        right = np.arange(100) < round(100 * whole.value)
        for split, rows in (("test", np.arange(100)), ("test:language=de", np.arange(40, 100))):
            part = replace(whole, split=split, n=len(rows), value=float(right[rows].mean()))
            results.append(part)
            hits[part.scored] = Hits(np.arange(100), right)[rows]
    found = Report(tuple(results), (), tuple(with_the_target_alone(results, hits)), (), "runs/x", {})
    headers, rows_ = table(found, "ours")
    assert headers == ["learned from", "scored on", "1"]
    assert [row[:2] for row in rows_] == [
        ["image", "test"],
        ["image + text", "test"],
        ["image", "language=de"],
        ["image + text", "language=de"],
        ["image labels, train + val", ""],
    ]
    _, whole_said, part_said = differences(found, "ours")
    assert whole_said.startswith("  1 shot: helps: text (+10.0,")
    assert part_said.startswith("  1 shot, language=de: helps: text (+16.7,")


def test_seen_and_unseen_classes_are_blocks_of_the_table_and_means_are_not_compared() -> None:
    hits: dict[str, Hits] = {}
    results = []
    for aux in ((), ("text",)):
        for split in ("test", "test:seen", "test:unseen", "test:harmonic", "test:generalised-seen"):
            part = replace(result("ours", aux, 1, 1, 0.5), split=split)
            results.append(part)
            if "harmonic" not in split:
                hits[part.scored] = Hits(np.arange(100), np.arange(100) < 50)
    found = Report(tuple(results), (), tuple(with_the_target_alone(results, hits)), (), "runs/x", {})
    parts = [row[1] for row in table(found, "ours")[1]]
    assert parts == [
        part for name in ("test", "seen", "unseen", "harmonic", "seen, generalised") for part in (name, name)
    ] + [""]
    assert [line.partition(": ")[0] for line in differences(found, "ours")[1:]] == [
        "  1 shot",
        "  1 shot, seen",
        "  1 shot, unseen",
    ]


def test_a_difference_within_its_interval_is_not_clear() -> None:
    close = report(
        *[result("ours", (), 1, seed, value) for seed, value in [(1, 0.50), (2, 0.60)]],
        *[result("ours", ("text",), 1, seed, value) for seed, value in [(1, 0.49), (2, 0.63)]],
    )
    assert differences(close, "ours")[1].startswith("  1 shot: no clear difference: text (+1.0, -")


def test_one_seed_has_an_interval_over_test_items() -> None:
    single = report(result("ours", (), 1, 1, 0.5), result("ours", ("text",), 1, 1, 0.9))
    said = differences(single, "ours")
    assert said[0] == "Against image alone, in points, with 95 % intervals over test items (one seed):"
    assert said[1].startswith("  1 shot: helps: text (+40.0, +3")


def test_nothing_is_said_without_an_auxiliary() -> None:
    assert differences(report(result("ours", (), 1, 1, 0.5)), "ours") == []


def test_the_whole_has_references_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(MADE, "ours")
    out = capsys.readouterr().out
    assert "accuracy in % on 100 image items of test, mean ± standard deviation over seeds 1, 2, 3" in out
    assert "For comparison, a probe on the pairs (40 labels): 90.0 ± 1.0\n" in out
