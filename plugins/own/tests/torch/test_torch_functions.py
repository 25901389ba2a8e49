"""Functions and encoders of the user's code: the conformance kit, what they are given, how their errors are told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from xm import Encoder, EncoderSpec, ItemError, PluginError, UsageError, XMError
from xm.data import Member, View
from xm.encoders import make_encoder
from xm.plugins import manager
from xm.testing import EncoderConformance
from xm_own.torch.encoder import own

CODE = '''
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from pathlib import Path
from xm import Encoder, ItemError, fingerprint_of

seen = []


def pictures(paths):
    """Mean colours."""
    seen.extend(paths)
    rows = []
    for path in paths:
        try:
            rows.append(np.asarray(Image.open(path).convert("RGB"), dtype=np.float32).mean((0, 1)) + 1)
        except UnidentifiedImageError as error:
            raise ItemError(path, "is no picture") from error
    return np.stack(rows)


def letters(texts):
    return [[float(text.count(letter)) + 0.1 for letter in "aeiou"] for text in texts]


letters.modality, letters.space = "text", "vowels"


def sounds(paths):
    return torch.ones(len(paths), 4)


def smells(items):
    return torch.tensor(items).reshape(len(items), -1)


smells.modality, smells.dim, smells.suffixes, smells.batch_size = "smell", 2, (".smell",), 3


class Colours(Encoder):
    modality, suffixes, space, dim = "image", (".png",), "mine", 3

    def fingerprint(self):
        return fingerprint_of("mine")

    def trunk(self, items):
        return {"features": torch.from_numpy(pictures(items))}


ready = Colours()


def load():
    return letters


class Counter:
    def __call__(self, items):
        return letters(items)


class Strict(Encoder):
    def __init__(self, size):
        pass


class Failing(Colours):
    def trunk(self, items):
        raise ValueError("no luck")


def fails(items):
    known = {}
    return known[items[0]]


def flat(items):
    return [1.0 for _ in items]


def ragged(items):
    return [[1.0], [1.0, 2.0]]


def few(items):
    return torch.ones(1, 3)


def two(items, more):
    return items


def nothing():
    return 7


number = 7
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the file own_code.py, which is where the user is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_code.py").write_text(CODE)
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith(("own_", "_xm_own_own_")):
            del sys.modules[name]


class _Suite(EncoderConformance):
    @pytest.fixture
    def spec(self) -> EncoderSpec:
        return manager().encoders.find("torch")

    def test_says_what_it_is(self, spec: EncoderSpec, encoder: Encoder) -> None:
        assert spec.suffixes == () and encoder.modality and encoder.suffixes


class TestPictures(_Suite):
    argument = "own_code.py:pictures?modality=image"

    @pytest.fixture
    def items(self, images: list[Path]) -> list[Any]:
        return [*images, str(images[0])]

    @pytest.fixture
    def bad_item(self, broken: Path) -> Path:
        return broken


class TestLetters(_Suite):
    argument = "own_code:letters"

    @pytest.fixture
    def items(self, tmp_path: Path) -> list[Any]:
        (tmp_path / "long.txt").write_text("banana " * 30)
        return ["a cat", "the sun", "seek", tmp_path / "long.txt"]

    @pytest.fixture
    def bad_item(self, tmp_path: Path) -> Path:
        return tmp_path / "missing.txt"


class TestEncoder(TestPictures):
    argument = "own_code:Colours"


def test_what_is_told_by_attributes() -> None:
    encoder = own("own_code:smells")
    assert (encoder.modality, encoder.dim, encoder.suffixes, encoder.batch_size) == ("smell", 2, (".smell",), 3)
    torch.testing.assert_close(encoder.trunk([(1.0, 2.0), (3.0, 4.0)])["features"], torch.tensor([[1, 2], [3, 4.0]]))
    typed = own("own_code:letters?space=mine&modality=image")
    assert (typed.modality, typed.space, typed.accepts_names) == ("image", "mine", False)
    assert own("own_code:letters").accepts_names and own("own_code:letters").space == "vowels"
    assert (
        own("own_code:pictures", "image").modality == "image" and ".jpg" in own("own_code:pictures", "image").suffixes
    )


def test_a_path_is_given_as_such_and_anything_else_as_it_is(images: list[Path]) -> None:
    encoder = own("own_code:pictures", "image")
    encoder.encode([str(images[0]), images[1]])
    assert sys.modules["own_code"].seen == images[:2]
    for item, said in (
        (Path("gone.png"), "gone.png: no such file"),
        (Member(Path("a.tar"), 0, 3, "b.png"), "is in a tar, and own_code:pictures reads files; unpack it"),
        (View.of(images[0], "flip"), "in no other view"),
    ):
        with pytest.raises(ItemError, match=said):
            encoder.encode([item])


@pytest.mark.parametrize(("name", "modality", "dim"), [("letters", "text", 5), ("pictures", "image", 3)])
def test_the_length_is_that_of_something_made_up(name: str, modality: str, dim: int) -> None:
    assert own(f"own_code:{name}", modality).dim == dim
    assert own(f"own_code:{name}", modality).encode([]).shape == (0, dim)


def test_of_sounds_too_but_not_of_everything() -> None:
    assert own("own_code:sounds", "audio").dim == 4
    with pytest.raises(UsageError, match=r"how long are its vectors\? type torch:own_code:sounds\?dim=512"):
        _ = own("own_code:sounds", "video").dim
    encoder = own("own_code:sounds?dim=3", "audio")
    with pytest.raises(PluginError, match="own_code:sounds: gives vectors of 4 numbers, not of 3"):
        encoder.encode([(np.zeros(9), 8000)])


@pytest.mark.parametrize("name", ["own_code:load", "own_code.py:load", "own_code:Counter"])
def test_a_function_may_be_made(name: str) -> None:
    encoder = own(f"{name}", "text")
    torch.testing.assert_close(encoder.trunk(["a e"])["features"], torch.tensor([[1.1, 1.1, 0.1, 0.1, 0.1]]))
    assert encoder.space == ("vowels" if "load" in name else f"torch:{encoder.fingerprint()[:12]}")


def test_an_encoder_is_used_as_it_is(images: list[Path]) -> None:
    encoder = own("own_code:ready")
    assert encoder is sys.modules["own_code"].ready and encoder is not own("own_code:Colours")
    joined = make_encoder("mean:torch:own_code:ready+torch:own_code:Colours*2", manager(), torch.device("cpu"), "image")
    torch.testing.assert_close(joined.encode(images), encoder.encode(images))
    with pytest.raises(UsageError, match=r"own_code:Colours is an encoder, which says all itself; leave out \?dim=3"):
        own("own_code:Colours?dim=3")
    with pytest.raises(UsageError, match="is for image, not text"):
        make_encoder("torch:own_code:Colours", manager(), torch.device("cpu"), "text")


def test_the_fingerprint_is_of_the_file_and_what_it_says(here: Path) -> None:
    first = own("own_code:letters")
    assert (
        first.fingerprint() == own("own_code.py:letters").fingerprint() != own("own_code:Counter", "text").fingerprint()
    )
    sys.modules["own_code"].letters.fingerprint = "2"
    assert own("own_code:letters").fingerprint() != first.fingerprint()
    sys.modules["own_code"].letters.fingerprint = lambda: "2"
    second = own("own_code:letters").fingerprint()
    (here / "own_code.py").write_text(CODE + "\n# changed\n")
    assert own("own_code:letters").fingerprint() != second


def test_files_beside_are_found_and_equal_names_are_two(here: Path) -> None:
    for folder, value in (("a", 1), ("b", 2)):
        (here / folder).mkdir()
        (here / folder / f"own_beside_{folder}.py").write_text(f"value = {value}.0\n")
        text = f"from own_beside_{folder} import value\n\ndef embed(texts):\n    return [[value, 1.0] for _ in texts]\n"
        (here / folder / "own_same.py").write_text(text)
    found = [own(f"{folder}/own_same.py:embed", "text").trunk(["x"])["features"][0, 0].item() for folder in "ab"]
    assert found == [1, 2]


@pytest.mark.parametrize(
    ("argument", "kind", "said"),
    [
        ("", UsageError, "expected MODULE:NAME or FILE.py:NAME, as in torch:my_code.py:embed"),
        ("own_code", UsageError, "expected MODULE:NAME"),
        ("gone.py:embed", UsageError, "torch:gone.py: no such file"),
        ("own_gone:embed", UsageError, "torch:own_gone: no module of that name in /"),
        ("own_code.part:embed", UsageError, "torch:own_code.part: no module of that name"),
        ("own_code:lettres", UsageError, "unknown name in own_code: 'lettres': did you mean 'letters'"),
        ("own_code:number", UsageError, "torch:own_code:number: is int; expected an xm.Encoder"),
        ("own_code:nothing", UsageError, "torch:own_code:nothing: gives int"),
        ("own_code:two", UsageError, "torch:own_code:two: is function; expected .* a function of one argument"),
        ("own_code:pictures", UsageError, r"of which modality\? type torch:own_code:pictures\?modality=image"),
        ("own_code:letters?dims=3", UsageError, r"unknown setting 'dims' \(did you mean 'dim'\?\)"),
        ("own_code:letters?dim", UsageError, "what follows the question mark must be NAME=VALUE"),
        (
            "own_code:Strict",
            PluginError,
            "own_code:Strict: fails: TypeError: Can't instantiate .*; see it with --debug",
        ),
    ],
)
def test_wrong_arguments_are_one_line(argument: str, kind: type[XMError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught:
        own(argument)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fails", r"own_code:fails \(own_code\.py, line 75\): fails: KeyError: 'x'; see it with --debug"),
        ("flat", r"own_code:flat: gives \(2,\) for 2 items, not a vector for each"),
        ("ragged", "own_code:ragged: gives no vectors .*stack expects each tensor to be equal size"),
        ("few", r"own_code:few: gives \(1, 3\) for 2 items"),
    ],
)
def test_what_the_code_does_wrong_is_told_by_file_and_function(name: str, said: str) -> None:
    with pytest.raises(PluginError, match=said) as caught:
        own(f"own_code:{name}", "text").encode(["x", "y"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import no_such_package.part\n",
            r"\(own_wrong\.py, line 1\): does not import: ModuleNotFoundError: .*; try: pip install no_such",
        ),
        (
            "x = 1\nraise RuntimeError('driver\\ntoo old')\n",
            r"\(own_wrong\.py, line 2\): does not import: RuntimeError: driver too old",
        ),
        ("def f(:\n", r"\(own_wrong\.py, line 1\): does not import: SyntaxError"),
        ("import sys\nsys.exit(3)\n", r"\(own_wrong\.py, line 2\): does not import: SystemExit: 3"),
    ],
)
@pytest.mark.parametrize("place", ["own_wrong", "own_wrong.py"])
def test_what_does_not_import(here: Path, text: str, said: str, place: str) -> None:
    (here / "own_wrong.py").write_text(text)
    with pytest.raises(PluginError, match=f"^{place} {said}") as caught:
        own(f"{place}:embed", "image")
    assert "\n" not in str(caught.value)
    (here / "own_wrong.py").write_text("def embed(texts):\n    return [[1.0] for _ in texts]\n# mended now\n")
    assert own("own_wrong.py:embed", "text").dim == 1


def test_an_image_that_is_no_path_is_given_as_it_is(images: list[Path]) -> None:
    assert own("own_code:smells?dim=1", "smell").encode([3.0]).shape == (1, 1)
    with pytest.raises(PluginError, match="AttributeError"):
        own("own_code:pictures", "image").encode([Image.open(images[0])])


def test_what_an_encoder_does_wrong_is_told_likewise(images: list[Path]) -> None:
    said = r"own_code:Failing \(own_code\.py, line 70\): fails: ValueError: no luck; see it with --debug"
    with pytest.raises(PluginError, match=said):
        own("own_code:Failing").encode(images)
