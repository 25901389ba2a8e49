"""Specs and their targets."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from xm.foundation.errors import PluginError
from xm.plugins.specs import ANY, EncoderSpec, Spec, load_target


def test_a_target_is_imported_on_first_use() -> None:
    assert Spec(name="join", target="os.path:join").load() is __import__("os").path.join


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("os.path", "is not of the form 'package.module:Attribute'"),
        (":join", "is not of the form"),
        ("os.path:", "is not of the form"),
        ("os.path:jion", "does not exist: AttributeError"),
        ("no_such_package.part:Thing", "does not import: ModuleNotFoundError"),
    ],
)
def test_bad_targets(target: str, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        load_target(target)
    assert repr(target) in str(caught.value) and said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_package.part\n", "; try: pip install no_such_package"),
        ("raise RuntimeError('driver\\ntoo old')\n", "does not import: RuntimeError: driver too old"),
        ("def f(:\n", "does not import: SyntaxError"),
        ("import os\nos.no_such_thing\n", "does not import: AttributeError"),
        ("from xm_faulty_target import gone\n", "does not import: ImportError"),
    ],
)
def test_whatever_a_target_raises_is_a_plugin_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    (tmp_path / "xm_faulty_target.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError) as caught:
        load_target("xm_faulty_target:Thing")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert "pip install xm_faulty" not in str(caught.value)


def test_why_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xm_why_not.py").write_text(
        "def fine(): return None\ndef missing(): return 'try: pip install it'\ndef raises(): raise OSError('disk')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def reason(available: str) -> str | None:
        return EncoderSpec(name="e", target="a:b", modality="image", available=available).why_not()

    assert reason("") is None and reason("xm_why_not:fine") is None
    assert reason("xm_why_not:missing") == "try: pip install it"
    assert reason("xm_why_not:raises") == "xm_why_not:raises fails: OSError: disk"
    assert "does not exist" in str(reason("xm_why_not:gone"))


class Whole:
    """Made of an argument, and perhaps of a modality."""

    def __init__(self, argument: str = "", modality: str | None = "not given") -> None:
        self.given = argument, modality


class Bare(Whole):
    def __init__(self, argument: str = "") -> None:
        super().__init__(argument)


@pytest.mark.parametrize(
    ("target", "modality", "given"),
    [
        ("Whole", ANY, ("x", "smell")),
        ("Whole", "smell", ("x", "not given")),
        ("Bare", ANY, ("x", "not given")),
        ("Bare", "smell", ("x", "not given")),
    ],
)
def test_the_modality_is_for_encoders_of_any_that_take_it(
    monkeypatch: pytest.MonkeyPatch, target: str, modality: str, given: tuple[str, str]
) -> None:
    module = ModuleType("xm_of_any")
    module.Whole, module.Bare = Whole, Bare  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xm_of_any", module)
    spec = EncoderSpec(name="e", target=f"xm_of_any:{target}", modality=modality)
    assert spec.encoder(Whole, "x", "smell").given == given
    if given[1] == "smell":
        assert spec.encoder(Whole, "x", None).given == ("x", None)
    with pytest.raises(PluginError, match=f"gives {target}, which is no xm.Path"):
        spec.encoder(Path, "x", "smell")
