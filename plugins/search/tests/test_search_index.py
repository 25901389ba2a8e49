"""Indexes: building, asking, moving, and what is wrong with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

import xm_search.nearest
from xm import (
    AlignContext,
    Aligner,
    AlignerSpec,
    DataError,
    Encoder,
    EncoderSpec,
    ItemError,
    PluginError,
    RunError,
    UsageError,
    fingerprint_of,
    hookimpl,
)
from xm.encoders import Tail
from xm.foundation import Event
from xm.plugins import PluginManager
from xm_search.building import Index, build, open_index
from xm_search.nearest import Effort, Nearest

pytest.importorskip("faiss")

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "violet": (120, 0, 255), "olive": (90, 90, 0)}
VERSION = {"picture": 1}


class Picture(Encoder):
    """The mean colour of a picture, or of a colour's name: the two share a space."""

    modality, suffixes, space, dim = "picture", (".png",), "colours", 3

    def __init__(self, argument: str = "") -> None:
        pass

    def fingerprint(self) -> str:
        return fingerprint_of("mean colour", VERSION["picture"])

    def trunk(self, items: Sequence[Any]) -> Mapping[str, torch.Tensor]:
        return {"features": torch.stack([self._colour(item) for item in items])}

    def _colour(self, item: Any) -> torch.Tensor:
        try:
            pixels = np.asarray(Image.open(item) if isinstance(item, Path) else item, dtype=np.float32)
        except OSError as error:
            raise ItemError(item, "is no picture") from error
        return torch.from_numpy(pixels.reshape(-1, 3).mean(0))


class Words(Encoder):
    modality, suffixes, space, dim, accepts_names = "words", (".txt",), "colours", 3, True

    def __init__(self, argument: str = "") -> None:
        pass

    def fingerprint(self) -> str:
        return fingerprint_of("names of colours")

    def trunk(self, items: Sequence[Any]) -> Mapping[str, torch.Tensor]:
        texts = [item.read_text() if isinstance(item, Path) else item for item in items]
        for text in texts:
            if text not in COLOURS:
                raise ItemError(text, "is no colour")
        return {"features": torch.tensor([COLOURS[text] for text in texts], dtype=torch.float32)}


class Foreign(Words):
    """Reads words too, in a space of its own."""

    space = "elsewhere"


class Deaf(Words):
    modality, space, accepts_names, suffixes = "sound", "sounds", False, (".snd",)


class Bridge(Aligner):
    """From elsewhere to colours, without a pair."""

    made: ClassVar[list[str]] = []

    def why_not(self, context: AlignContext) -> str | None:
        return None if context.source.space == Foreign.space else "not from elsewhere"

    def fit(self, context: AlignContext) -> torch.nn.Module:
        self.made.append(context.source.modality)
        return Tail()

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
        return Tail()


class Bridges:
    @hookimpl
    def aligners(self) -> list[AlignerSpec]:
        return [AlignerSpec(name="bridge", target="xm_colours:Bridge", priority=1)]


class Colours:
    @hookimpl
    def encoders(self) -> list[EncoderSpec]:
        made = {"picture": Picture, "words": Words, "foreign": Foreign, "deaf": Deaf}
        return [
            EncoderSpec(
                name=name,
                target=f"xm_colours:{kind.__name__}",
                modality=kind.modality,
                suffixes=kind.suffixes,
                priority=0 if name == "foreign" else 1,
            )
            for name, kind in made.items()
        ]


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> PluginManager:
    import sys
    from types import ModuleType

    module = ModuleType("xm_colours")
    vars(module).update(Picture=Picture, Words=Words, Foreign=Foreign, Deaf=Deaf, Bridge=Bridge)
    monkeypatch.setitem(sys.modules, "xm_colours", module)
    manager = PluginManager(installed=False)
    manager.register(Colours(), "colours")
    return manager


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five pictures of one colour, one of them deep down."""
    folder = tmp_path / "photos"
    (folder / "deep" / "deeper").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (4, 4), colour).save(
            (folder / "deep" / "deeper" if name == "blue" else folder) / f"{name}.png"
        )
    (folder / "notes.md").write_text("of another suffix")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


Make = Callable[..., Index]


@pytest.fixture
def make(plugins: PluginManager, tmp_path: Path, events: list[Event]) -> Make:
    def call(source: Path | str, out: Path | None = None, **given: Any) -> Index:
        settings = {"modality": "picture", "plugins": plugins, "device": "cpu", "cache": tmp_path / "cache", **given}
        return build(source, out=out or tmp_path / "photos.index", listener=events.append, **settings)

    return call


def names(index: Index, *queries: Any, **given: Any) -> list[list[str]]:
    return [[Path(hit.item).stem for hit in hits] for hits in index.find(queries, **given)]


def test_pictures_are_found_by_pictures_words_and_arrays(make: Make, photos: Path, tmp_path: Path) -> None:
    index = make(photos)
    assert len(index) == 5
    Image.new("RGB", (2, 2), (200, 10, 0)).save(tmp_path / "reddish.png")
    query = tmp_path / "reddish.png"
    array = np.full((2, 2, 3), (0, 0, 9))
    found = index.find([query, "violet", array], k=2)
    assert [[Path(hit.item).stem for hit in hits] for hits in found] == [
        ["red", "olive"],
        ["violet", "blue"],
        ["blue", "violet"],
    ]
    assert [hit.rank for hit in found[0]] == [1, 2]
    assert found[0][0].score == pytest.approx(200 / (200**2 + 10**2) ** 0.5)
    assert found[2][1].score == pytest.approx(255 / (255**2 + 120**2) ** 0.5)
    assert index.find([]) == []


def test_a_file_of_words_is_told_by_its_suffix_and_modality_says_what_suffixes_do_not(
    make: Make, photos: Path, tmp_path: Path
) -> None:
    index = make(photos)
    (tmp_path / "query.txt").write_text("olive")
    (tmp_path / "query").write_text("green")
    assert names(index, tmp_path / "query.txt", k=1) == [["olive"]]
    assert names(index, tmp_path / "query", k=1, modality="words") == [["green"]]
    with pytest.raises(UsageError, match=r"query: its suffix says no modality; name it with --modality"):
        index.find([tmp_path / "query"])


def test_more_than_there_are_gives_all(make: Make, photos: Path) -> None:
    assert sorted(names(make(photos), "red", k=50)[0]) == sorted(COLOURS)
    with pytest.raises(UsageError, match="k must be 1 at least, not 0"):
        open_index(photos.parent / "photos.index").find(["red"], k=0)


def test_files_and_index_move_together(
    make: Make, photos: Path, tmp_path: Path, plugins: PluginManager, events: list[Event], monkeypatch: Any
) -> None:
    make(photos)
    (tmp_path / "new" / "place").mkdir(parents=True)
    for name in ("photos", "photos.index"):
        shutil.move(tmp_path / name, tmp_path / "new" / "place" / name)
    monkeypatch.chdir(tmp_path / "new")
    index = open_index("place/photos.index", plugins=plugins, listener=events.append)
    assert index.find(["blue"], k=1)[0][0].item == Path("place/photos/deep/deeper/blue.png")
    assert not [event for event in events if event.kind == "warning"]
    shutil.move("place/photos.index", tmp_path / "alone.index")
    index = open_index(tmp_path / "alone.index", plugins=plugins, listener=events.append)
    index.find(["blue"], k=1)
    assert "move index and files together" in events[-1].data["message"]


def test_a_manifest_gives_files_and_texts_each_once(plugins: PluginManager, make: Make, photos: Path) -> None:
    from xm import DatasetSpec

    class Readers:
        @hookimpl
        def datasets(self) -> list[DatasetSpec]:
            return [DatasetSpec(name="manifest", target="xm.data.manifest:open_manifest", opens=(".csv",))]

    if not any(".csv" in spec.opens for spec in plugins.datasets.values()):
        plugins.register(Readers(), "readers")
    table = photos.parent / "table.csv"
    table.write_text(
        "path,text,modality,label\nphotos/red.png,,,a\nphotos/red.png,,,b\nphotos/olive.png,,,a\n,violet,words,a\n"
    )
    assert sorted(names(make(table), "red")[0]) == ["olive", "red"]
    index = make(table, photos.parent / "words.index", modality="words")
    assert index.find([photos / "red.png"])[0][0].item == "violet"
    with pytest.raises(DataError, match=r"table: no sound item in it \(its modalities: picture, words\)"):
        make(table, photos.parent / "sounds.index", modality="sound")


def test_arrays_are_called_by_dataset_number_and_class(plugins: PluginManager, make: Make, tmp_path: Path) -> None:
    import sys

    from xm import Dataset, DatasetSpec, Sample

    samples = tuple(Sample(np.full((1, 1, 3), COLOURS[name]), "picture", i) for i, name in enumerate(("red", "blue")))
    sys.modules["xm_colours"].opener = lambda *_, **__: Dataset("patches", ("warm", "cold"), samples)  # type: ignore[attr-defined]

    class Patches:
        @hookimpl
        def datasets(self) -> list[DatasetSpec]:
            return [DatasetSpec(name="patches", target="xm_colours:opener")]

    plugins.register(Patches(), "patches")
    index = make("patches")
    assert index.find(["violet"], k=1)[0][0].item == "patches picture 1 (cold): <array 1x1x3 int64>"


def test_what_cannot_be_read_is_left_out_with_a_warning(make: Make, photos: Path, events: list[Event]) -> None:
    (photos / "broken.png").write_bytes(b"no picture")
    assert len(make(photos)) == 5
    assert any("broken.png: is no picture" in event.data["message"] for event in events if event.kind == "warning")
    for path in photos.rglob("*.png"):
        path.write_bytes(b"no picture either")
    with pytest.raises(DataError, match="none of the 6 picture items can be read"):
        make(photos, photos.parent / "none.index")


def test_vectors_are_kept_and_features_cached(make: Make, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(photos)
    assert index.vectors.shape == (5, 3)
    assert torch.allclose(index.vectors.norm(dim=1), torch.ones(5))
    monkeypatch.setattr(Picture, "trunk", lambda *_: pytest.fail("computed again"))
    assert torch.equal(make(photos, photos.parent / "again.index").vectors, index.vectors)


@pytest.mark.parametrize(
    ("source", "given", "kind", "said"),
    [
        ("nothing", {}, UsageError, "nothing"),
        ("./nothing", {}, DataError, "nothing: no such file or folder"),
        ("empty", {}, DataError, r"empty: no picture file in it (suffixes: .png)"),
        ("photos", {"modality": "smell"}, UsageError, "unknown modality 'smell'"),
        ("photos", {"encoder": "pictures"}, UsageError, "did you mean 'picture'?"),
        ("photos", {"encoder": "words"}, UsageError, "encoder 'words' is for words, not picture"),
    ],
)
def test_what_cannot_be_built(
    make: Make, photos: Path, monkeypatch: Any, source: str, given: Any, kind: type[Exception], said: str
) -> None:
    (photos.parent / "empty").mkdir()
    monkeypatch.chdir(photos.parent)
    with pytest.raises(kind) as error:
        make(source, **given)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert not (photos.parent / "photos.index").exists()


def test_a_taken_folder_is_not_overwritten(make: Make, photos: Path) -> None:
    with pytest.raises(UsageError, match="exists and is not an empty folder"):
        make(photos, photos)


def test_an_interrupted_build_leaves_nothing(make: Make, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: Nearest, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Nearest, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make(photos, photos.parent / "deep" / "photos.index")
    assert sorted(path.name for path in photos.parent.iterdir()) == ["cache", "photos"]


def test_another_space_is_refused_with_the_command_that_aligns(
    make: Make, photos: Path, plugins: PluginManager
) -> None:
    make(photos)
    index = open_index(photos.parent / "photos.index", encoders={"words": "foreign"}, plugins=plugins)
    with pytest.raises(UsageError) as error:
        index.find(["red"])
    assert (
        "words encoder 'foreign' is of the space 'elsewhere', the index of 'colours': align them "
        "(xm align --anchor picture --new words --pairs FILE --out runs/align), then search with "
        "--words-encoder runs/align"
    ) in str(error.value)
    with pytest.raises(UsageError, match="xm align --anchor picture --new sound"):
        index.find(["x"], modality="sound")


def test_words_need_an_encoder_that_reads_them(make: Make, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Words, "accepts_names", False)
    with pytest.raises(UsageError, match="no encoder here reads words"):
        make(photos).find(["red"])


def test_a_query_that_cannot_be_read_is_an_error(make: Make, photos: Path) -> None:
    with pytest.raises(ItemError, match="mauve: is no colour"):
        make(photos).find(["mauve"])


def test_the_encoder_must_be_the_one_at_building_time(
    make: Make, photos: Path, plugins: PluginManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(photos)
    folder = photos.parent / "photos.index"
    monkeypatch.setitem(VERSION, "picture", 2)
    with pytest.raises(RunError, match=r"'picture' is not the one it was built with: .*build the index again"):
        open_index(folder, plugins=plugins).find(["red"])
    about = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps({**about, "encoder": "gone"}))
    with pytest.raises(RunError, match=r"its encoder 'gone' can't be made again: .*name it with --picture-encoder"):
        open_index(folder, plugins=plugins).find(["red"])
    with pytest.raises(UsageError, match="unknown modality 'smell'"):
        open_index(folder, plugins=plugins, encoders={"smell": "gone"}).find(["red"])


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: shutil.rmtree(f), "not an index (index.json: No such file or directory)"),
        (lambda f: (f / "index.json").write_text("{"), "index.json: damaged"),
        (lambda f: (f / "index.json").write_text("[]"), "not of an index that xm search build wrote"),
        (lambda f: rewrite(f, kind="run"), "not of an index that xm search build wrote"),
        (lambda f: rewrite(f, format=99), "format 99, but this xm reads 1; build the index again"),
        (lambda f: (f / "index.json").write_text('{"kind": "index", "format": 1}'), "damaged (without modality,"),
        (lambda f: rewrite(f, items=[{}]), "index.json: damaged (KeyError: 'name')"),
        (lambda f: rewrite(f, items=[{"name": "one"}]), "holds 5 vectors of 3 dimensions, index.json says 1 of 3"),
        (lambda f: cut(f / "index.faiss"), "index.faiss: damaged"),
        (lambda f: (f / "index.faiss").write_bytes(b"nonsense"), "index.faiss: damaged"),
        (lambda f: rewrite(f, near={"probes": 4, "recall": 1.0}), "index.faiss: damaged (it is of another kind)"),
        (lambda f: rewrite(f, far=3), "index.json: damaged ("),
        (lambda f: (f / "index.faiss").unlink(), "index.faiss: no such file"),
    ],
)
def test_a_damaged_index_is_refused(
    make: Make, photos: Path, plugins: PluginManager, damage: Callable[[Path], Any], said: str
) -> None:
    make(photos)
    damage(photos.parent / "photos.index")
    with pytest.raises(RunError) as error:
        open_index(photos.parent / "photos.index", plugins=plugins)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_damaged_vectors_are_refused(make: Make, photos: Path) -> None:
    index = make(photos)
    cut(index.folder / "vectors.safetensors")
    with pytest.raises(RunError, match=r"vectors\.safetensors: damaged"):
        _ = index.vectors


def test_faiss_is_named_where_it_is_missing(make: Make, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(PluginError, match="pip install faiss-cpu"):
        make(photos)


def clustered(n: int, dim: int, seed: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    centres = np.random.default_rng(0).standard_normal((40, dim), dtype=np.float32)
    rng = np.random.default_rng(seed)
    x = centres[rng.integers(40, size=n)] + 0.7 * rng.standard_normal((n, dim), dtype=np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_cells_find_what_exact_search_finds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(xm_search.nearest, "EXACT_BELOW", 1000)
    x, asked = clustered(5000, 16, 1), clustered(100, 16, 2)
    nearest = Nearest.of(x)
    assert nearest.method == "ivf"
    exact = np.argsort(-asked @ x.T, axis=1)[:, :10]
    scores, rows = nearest.search(asked, 10)
    assert np.mean([len({*a} & {*b}) / 10 for a, b in zip(exact, rows, strict=True)]) >= 0.95
    assert np.allclose(scores[:, 0], np.take_along_axis(asked @ x.T, rows[:, :1], axis=1)[:, 0], atol=1e-5)
    nearest.write(tmp_path / "x")
    again = Nearest.read(tmp_path / "x", nearest.near, nearest.far)
    assert again.method == "ivf" and np.array_equal(again.search(asked, 10)[1], rows)
    everything = again.search(asked[:3], 5000)[1]
    assert [len(set(row)) for row in everything] == [5000] * 3 and everything.min() == 0


def test_queries_that_lie_off_look_through_more_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xm_search.nearest, "EXACT_BELOW", 1000)
    x, asked = clustered(6000, 64, 1), clustered(100, 64, 2)
    off = np.random.default_rng(3).standard_normal(asked.shape, dtype=np.float32)
    asked = asked + 3 * off / np.linalg.norm(off, axis=1, keepdims=True)
    nearest = Nearest.of(x)
    exact = np.argsort(-asked @ x.T, axis=1)[:, :10]
    recall = [
        np.mean([len({*a} & {*b}) / 10 for a, b in zip(exact, nearest.search(asked, 10, far=far)[1], strict=True)])
        for far in (False, True)
    ]
    assert nearest.far.probes > nearest.near.probes
    assert recall[0] < 0.95 <= recall[1]


def test_where_cells_do_not_pay_search_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xm_search.nearest, "EXACT_BELOW", 1000)
    x = np.random.default_rng(0).standard_normal((2000, 128), dtype=np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    nearest = Nearest.of(x)
    assert (nearest.method, nearest.near, nearest.far) == ("exact", Effort(), Effort())
    assert (nearest.search(x[:50], 1)[1][:, 0] == np.arange(50)).all()


def test_an_aligner_that_needs_no_pairs_brings_queries_by_itself(
    make: Make, photos: Path, plugins: PluginManager, events: list[Event], tmp_path: Path
) -> None:
    make(photos)
    plugins.register(Bridges(), "bridges")
    Bridge.made.clear()
    events.clear()
    given: dict[str, Any] = {"plugins": plugins, "cache": tmp_path / "cache", "listener": events.append}
    index = open_index(tmp_path / "photos.index", encoders={"words": "foreign"}, **given)
    assert names(index, "red", "olive", k=1) == [["red"], ["olive"]]
    assert names(index, "blue", k=1) == [["blue"]]
    assert Bridge.made == ["words"]
    assert [event.data["message"] for event in events if event.kind == "note"] == [
        "words: encoder foreign is of another space than the index (colours); the aligner bridge brings it there, "
        "without pairs"
    ]
    with pytest.raises(UsageError, match="xm align --anchor picture --new sound"):
        index.find(["x"], modality="sound")


def test_equal_scores_are_in_the_order_of_names(make: Make, photos: Path) -> None:
    for name in ("c", "a", "b", "d"):
        shutil.copyfile(photos / "red.png", photos / f"red-{name}.png")
    index = make(photos)
    reds = ["red-a", "red-b", "red-c", "red-d", "red"]
    for k in (1, 2, 4, 5):
        assert names(index, photos / "red.png", k=k) == [reds[:k]]
    assert [hit.rank for hit in index.find(["red"], k=3)[0]] == [1, 2, 3]


def test_a_run_folder_that_is_not_there_is_named(make: Make, photos: Path, plugins: PluginManager) -> None:
    make(photos)
    for reference, expected in (
        ("runs/heard", r"runs/heard: no such run folder \(runs is missing\).*; an encoder is a name"),
        (str(photos), "photos: is a folder without xm.json, no run of xm align, and so no encoder"),
    ):
        index = open_index(photos.parent / "photos.index", encoders={"words": reference}, plugins=plugins)
        with pytest.raises(RunError, match=expected):
            index.find(["red"])
