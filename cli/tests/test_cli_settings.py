"""Flags, variables, file and defaults."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xm import UsageError
from xm.experiment import TrainSettings
from xm_cli.options import rewritten
from xm_cli.settings import Setting, gather, resolve, values
from xm_cli.train import NO_SETTINGS, train

Xm = Callable[..., Any]


def test_every_setting_is_a_flag_and_the_flag_has_no_default() -> None:
    parameters = inspect.signature(train).parameters
    names = {name.rstrip("_") for name in parameters} - set(NO_SETTINGS)
    assert names == set(TrainSettings.model_fields)
    assert all(parameters[n].default is None for n in parameters if n not in ("print_config", "as_json"))


def test_flag_goes_before_variable_before_file_before_default(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('modality = "word"\nshots = [8]\nseeds = [8]\naux-shots = 8\n')
    given = gather({"shots": "1,2", "aux": None}, {"XM_SHOTS": "4", "XM_SEEDS": "4, 5", "XM_OUT": ""}, file)
    assert given["shots"] == Setting(["1", "2"], "flag")
    assert given["seeds"] == Setting(["4", "5"], "XM_SEEDS")
    assert given["aux_shots"] == Setting(8, str(file))
    assert "aux" not in given
    assert "out" not in given
    settings = resolve(given)
    assert (settings.shots, settings.seeds, settings.aux_shots) == ((1, 2), (4, 5), 8)
    assert settings.strategy == TrainSettings(modality="word").strategy


def test_tables_are_merged_by_key(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('modality = "word"\n[set]\nlr = 1\nsteps = 1\n[encoders]\nword = "a"\n')
    given = gather(
        {"set": ["lr=[0.1, 0.2]", "init=random"], "encoders": ["sign=b:c=d"]},
        {"XM_SET": '{"lr": 7, "share": 0.5}'},
        file,
    )
    assert given["set"].value == {"lr": [0.1, 0.2], "steps": 1, "share": 0.5, "init": "random"}
    assert given["set"].source == f"flag; XM_SET; {file}"
    assert given["encoders"].value == {"word": "a", "sign": "b:c=d"}


def test_variables_may_be_json_and_truth_values() -> None:
    given = gather({}, {"XM_MODALITY": "word", "XM_TEMPLATES": '["a {}, seen"]', "XM_BASELINES": "0"}, None)
    settings = resolve(given)
    assert settings.templates == ("a {}, seen",)
    assert settings.baselines is False
    assert values(given)["modality"] == "word"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shotz = [1]", "unknown setting 'shotz': did you mean 'shots'?"),
        ("shots = [", "not TOML"),
        ("shots = 1 = 2", "not TOML"),
    ],
)
def test_a_wrong_file_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"run\.toml") as caught:
        gather({}, {}, file)
    assert expected in str(caught.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(UsageError, match=r"nope\.toml: no such file"):
        gather({}, {}, Path("nope.toml"))


def test_encoder_flags_of_any_modality_arerewritten() -> None:
    assert rewritten(["--smell-encoder", "x:y=z", "--shots", "1", "--word-encoder=w", "--encoder", "a=b"]) == [
        *("--encoder", "smell=x:y=z", "--shots", "1", "--encoder", "word=w", "--encoder", "a=b")
    ]


def test_print_config_shows_values_and_sources(xm: Xm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "run.toml"
    file.write_text('metric = "macro-f1"\n')
    monkeypatch.setenv("XM_SHOTS", "1,2")
    args = ("train", "-m", "word", "--config", file, "--print-config")
    done = xm(*args)
    assert done.exit_code == 0, done.stderr
    shown = {line.partition("=")[0].strip(): line.partition("=")[2].strip() for line in done.stdout.splitlines()}
    assert shown["modality"] == '"word"  (flag)'
    assert shown["shots"] == "[1, 2]  (XM_SHOTS)"
    assert shown["metric"] == f'"macro-f1"  ({file})'
    assert shown["strategy"] == '"linear"  (default)'
    assert shown.keys() == TrainSettings.model_fields.keys()
    as_json = json.loads(xm(*args, "--json").stdout)
    assert as_json["shots"] == {"value": [1, 2], "source": "XM_SHOTS"}
    assert not (tmp_path / "runs").exists()
