"""Videos as a target and as an auxiliary: through `xm.train`, and through the program."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from xm import Dataset, UsageError, load, train
from xm.encoders import EncoderChoice
from xm.plugins import manager

TOYS = Path(__file__).with_name("frames_toys.py")
QUIET: dict[str, Any] = {"device": "cpu", "shots": (2,), "seeds": (1,), "baselines": False, "listener": lambda _: None}
PARTIAL = {"lr": [3e-3], "weight_decay": [0.0], "steps": 200, "eval_every": 50}


def needs(*strategies: str) -> None:
    for name in strategies:
        if name not in manager().strategies:
            pytest.skip(f"the strategy {name} is not installed")


def folder(root: Path, kinds: dict[str, Callable[[int], Path]], train: int = 4, test: int = 4) -> Path:
    """Class folders below train/ and test/; a maker is called with a number and gives a file to move there."""
    for split, numbers in (("train", range(train)), ("test", range(train, train + test))):
        for name, make in kinds.items():
            place = root / split / name
            place.mkdir(parents=True)
            for number in numbers:
                made = make(number)
                made.rename(place / f"{number:02d}{made.suffix}")
    return root


@pytest.fixture
def orders(tmp_path: Path, toys: Any) -> Path:
    """Red then blue, and blue then red: the same frames in another order, eight a video."""

    def clip(first: tuple[int, int, int], then: tuple[int, int, int]) -> Callable[[int], Path]:
        def make(number: int) -> Path:
            halves = (toys.shade(colour, 100 * number + i) for i, colour in enumerate(sorted((first, then))))
            shades = dict(zip(sorted((first, then)), halves, strict=True))
            path: Path = toys.write(tmp_path / "made.mp4", [shades[first]] * 4 + [shades[then]] * 4)
            return path

        return make

    kinds = {"red to blue": clip(toys.RED, toys.BLUE), "blue to red": clip(toys.BLUE, toys.RED)}
    return folder(tmp_path / "orders", kinds, train=8, test=8)


def accuracy(
    data: Path, tmp_path: Path, encoder: str, strategy: str = "partial", **settings: Any
) -> tuple[float, Path]:
    """On test, and the run."""
    out = tmp_path / f"run {encoder.partition(':')[0]} {strategy}"
    given = {**QUIET, "data": str(data), "encoders": {"video": encoder}, "strategy": strategy, "out": out}
    report = train("video", **{**given, "cache": tmp_path / "cache", **settings})
    (found,) = [row.value for row in report.results if row.strategy == strategy]
    return found, out


def test_temporal_learns_an_order_that_mean_pooling_cannot_tell(orders: Path, tmp_path: Path) -> None:
    needs("partial", "linear")
    mean, _ = accuracy(orders, tmp_path, "temporal:hues?n=8", "linear", shots=(4,))
    learned, out = accuracy(orders, tmp_path, "temporal:hues?n=8", shots=(4,), set=PARTIAL)
    assert mean < 0.75
    assert learned == 1.0
    videos = sorted((orders / "test").glob("*/*.mp4"))
    predictions = load(out).predict(videos)
    assert [p.label for p in predictions] == [path.parent.name for path in videos], "not the same model again"


def test_frames_cannot_be_opened(orders: Path, tmp_path: Path) -> None:
    needs("partial")
    with pytest.raises(UsageError, match="has no blocks to open"):
        accuracy(orders, tmp_path, "frames:hues", set=PARTIAL)


def colours(toys: Any, place: Path) -> dict[str, Callable[[int], Path]]:
    def clip(colour: tuple[int, int, int], tone: int) -> Callable[[int], Path]:
        def make(number: int) -> Path:
            shades = [toys.shade(colour, 10 * number + i) for i in range(6)]
            path: Path = toys.write(place / "made.mp4", shades, tone=tone + 5 * number)
            return path

        return make

    return {"red": clip(toys.RED, 300), "green": clip(toys.GREEN, 900), "blue": clip(toys.BLUE, 2500)}


def test_the_program_trains_on_a_folder_of_videos(tmp_path: Path, toys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    app = pytest.importorskip("xm_cli.main").app
    monkeypatch.setenv("XM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    needs("linear", "zero-shot")
    data = folder(tmp_path / "clips", colours(toys, tmp_path))
    (data / "train" / "red" / "broken.mp4").write_bytes(b"none")

    def xm(*args: str) -> Any:
        manager.cache_clear()
        return CliRunner().invoke(app, ["--plugin", str(TOYS), *args])

    few = ("--shots", "1,2", "--seeds", "1,2", "--data", str(data), "--modality", "video", "--no-baselines", "--json")
    done = xm("train", *few, "--video-encoder", "frames:hues?n=4", "--out", "run")
    assert done.exit_code == 0, done.stderr
    assert all(row["value"] == 1.0 for row in json.loads(done.stdout)["results"])
    assert f"left out: {data / 'train' / 'red' / 'broken.mp4'}: is not a video that libav reads" in done.stderr
    one = str(data / "test" / "blue" / "04.mp4")
    done = xm("predict", "run", one, "--json")
    assert done.exit_code == 0, done.stderr
    assert '"blue"' in done.stdout
    done = xm("train", *few, "--video-encoder", "frames:hues?frames=4")
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("error: frames:hues?frames=4: unknown setting 'frames'")


def test_video_is_trained_by_default_where_an_image_encoder_is_installed(tmp_path: Path, toys: Any) -> None:
    reason = manager().encoders.find("frames").why_not()
    if reason:
        pytest.skip(reason)
    needs("linear")
    data = folder(tmp_path / "clips", colours(toys, tmp_path), train=2, test=1)
    given = {**QUIET, "data": str(data), "out": tmp_path / "run", "cache": tmp_path / "cache", "strategy": "linear"}
    report = train("video", **{**given, "shots": (1,)})
    assert [row.value for row in report.results] == [1.0]


def table(root: Path, videos: Sequence[Path], pictures: Sequence[Path] = ()) -> Path:
    """Every video as a video and as a sound; pictures as images."""
    lines = ["path,modality,label,split,group"]
    for path in [*videos, *pictures]:
        split, label = path.parts[-3:-1]
        kinds = ("image",) if path in pictures else ("video", "audio")
        lines += [f"{path},{kind},{label},{split},{split}-{label}-{path.stem}" for kind in kinds]
    made = root / "clips.csv"
    made.write_text("\n".join(lines) + "\n")
    return made


def test_one_file_is_a_video_and_a_sound(tmp_path: Path, toys: Any) -> None:
    """Sounds of the videos help to tell sounds; videos by their tracks share their space."""
    needs("linear")
    data = folder(tmp_path / "clips", colours(toys, tmp_path))
    given = {**QUIET, "data": str(table(tmp_path, sorted(data.glob("*/*/*.mp4")))), "cache": tmp_path / "cache"}
    encoders = {"video": "track:pitch", "audio": "track-audio:pitch"}
    report = train("video", **given, aux=("audio",), encoders=encoders, out=tmp_path / "a", strategy="linear")
    assert len(report.results) == 2
    assert all(row.value == 1.0 for row in report.results)


def test_pictures_help_to_tell_videos(tmp_path: Path, toys: Any) -> None:
    """Images and videos share the image encoder's space."""
    from PIL import Image

    needs("linear")
    data = folder(tmp_path / "clips", colours(toys, tmp_path))
    for name, colour in (("red", toys.RED), ("green", toys.GREEN), ("blue", toys.BLUE)):
        for i in range(3):
            Image.fromarray(toys.plain(toys.shade(colour, 50 + i))).save(data / "train" / name / f"p{i}.png")
    source = table(tmp_path, sorted(data.glob("*/*/*.mp4")), sorted(data.glob("*/*/*.png")))
    given = {**QUIET, "data": str(source), "cache": tmp_path / "cache", "out": tmp_path / "run", "strategy": "linear"}
    report = train("video", **given, aux=("image",), encoders={"video": "frames:hues", "image": "hues"})
    assert all(row.value == 1.0 for row in report.results)
    assert any("image: encoder hues" in note and "shares the home space" in note for note in report.notes)


def test_naming_a_video_encoder_leaves_the_others_as_they_are() -> None:
    choice = EncoderChoice(manager(), Dataset("none", (), ()), torch.device("cpu"), {"video": "frames:hues"})
    try:
        assert choice["audio"].why == "the best that can be used here"
    except Exception as error:  # where no sound encoder is installed
        assert "no audio encoder can be used by default" in str(error)


def test_the_same_features_in_every_process(tmp_path: Path, toys: Any) -> None:
    path = toys.write(tmp_path / "a.mp4", [toys.RED] * 3 + [toys.BLUE] * 3)
    code = (
        "import sys; from xm.plugins import manager; manager().load_file(sys.argv[1]);"
        "e = manager().encoders.find('temporal').load()('hues?n=3');"
        "print([e.fingerprint(), e.encode([sys.argv[2]]).tolist()])"
    )
    run = [sys.executable, "-c", code, str(TOYS), str(path)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    here = manager().encoders.find("temporal").load()("hues?n=3")
    assert ast.literal_eval(done.stdout) == [here.fingerprint(), here.encode([path]).tolist()]
