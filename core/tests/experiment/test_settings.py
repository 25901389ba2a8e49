"""Settings: wrong ones are told all at once."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from xm.experiment.settings import TrainSettings
from xm.foundation.errors import UsageError
from xm.plugins.config import Config, Configurable, validated


def complaint(**given: Any) -> str:
    with pytest.raises(UsageError) as caught:
        validated(TrainSettings, {"modality": "image", **given}, "train")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_one_value_where_several_may_stand() -> None:
    made = validated(TrainSettings, {"modality": "image", "aux": "text", "shots": 4, "seeds": "1, 2"}, "train")
    assert (made.aux, made.shots, made.seeds) == (("text",), (4,), (1, 2))
    sentence = validated(TrainSettings, {"modality": "image", "templates": "a {}, a pet"}, "train")
    assert sentence.templates == ("a {}, a pet",)


def test_all_errors_at_once_with_the_nearest_names() -> None:
    said = complaint(shot=[1], seeds="many", precision="float33", on_error="ignore")
    for part in ("unknown setting 'shot' (did you mean 'shots'?)", "seeds='many'", "precision='float33'", "on_error"):
        assert part in said
    said = complaint(aux=("image", "text", "text"), metric="acuracy", shots=(-1, 1, 1), templates=("a dog", "{x}"))
    for part in (
        "image is the target; take it out of aux",
        "aux names text twice",
        "shots names 1 twice",
        "shots can't be negative",
        "template 'a dog' needs one {}",
        "template '{x}' needs one {}",
        "unknown metric 'acuracy': did you mean 'accuracy'?",
    ):
        assert part in said


@pytest.mark.parametrize("given", [{"shots": ()}, {"seeds": ()}, {"aux_shots": -1}, {"split": (0.5, 0.5)}])
def test_refused(given: dict[str, Any]) -> None:
    assert next(iter(given)) in complaint(**given)


def test_missing_modality() -> None:
    with pytest.raises(UsageError, match="modality"):
        validated(TrainSettings, {}, "train")


def test_settings_survive_json() -> None:
    settings = TrainSettings(modality="image", aux=("text",), set={"lr": [0.1]}, out="runs/x", cache=None)  # type: ignore[arg-type]
    assert TrainSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_every_setting_has_a_description() -> None:
    assert all(field.description for field in TrainSettings.model_fields.values())


def test_settings_import_no_torch() -> None:
    code = "import sys, xm.experiment.settings; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_configurable() -> None:
    class Its(Config):
        width: int = 3

    class Thing(Configurable):
        config_type = Its

    assert Thing().config.width == 3
    assert Thing({"width": 4}).config == Thing(Its(width=4)).config
    with pytest.raises(UsageError, match=r"Thing: width='x': .*; unknown setting 'widht'"):
        Thing({"width": "x", "widht": 1})
    with pytest.raises(UsageError, match="known: width"):
        Thing({"zzz": 1})


def test_settings_of_an_aligner_need_its_name() -> None:
    with pytest.raises(UsageError, match="aligner_set is of use with a named aligner only; name it with --aligner"):
        validated(TrainSettings, {"modality": "image", "aligner_set": {"top": 5}}, "train")
