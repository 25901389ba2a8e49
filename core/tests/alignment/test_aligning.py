"""`xm.align`, and what it saves: encoders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import xm
from xm.alignment.aligner import AlignContext, Aligner, Sides
from xm.alignment.diagnosis import Probe, probe
from xm.alignment.maps import Projection
from xm.alignment.settings import AlignReport
from xm.encoders.aligned import Aligned
from xm.encoders.choice import EncoderChoice
from xm.encoders.encoder import Tail
from xm.encoders.reference import SavedAlignment, make_encoder
from xm.encoders.store import FeatureStore
from xm.foundation.errors import DataError, RunError, UsageError
from xm.foundation.events import Event
from xm.learning.loop import Plan, fit
from xm.learning.model import Behind
from xm.learning.stream import Stream
from xm.plugins.config import Config
from xm.plugins.plugin_manager import PluginManager
from xm.plugins.specs import AlignerSpec, ObjectiveSpec

CPU = torch.device("cpu")
Align = Callable[..., AlignReport]


DIM = 5
"""Of the space that `ToBoth` makes."""


class ToBothConfig(Config):
    """Settings of `ToBoth`."""

    objective: str = "none"
    steps: int = 60


class ToBoth(Aligner):
    """Both sides into few dimensions: the source's by regression on where a random map takes the target's."""

    uses_pairs = True
    config_type = ToBothConfig
    seen: ClassVar[list[AlignContext]] = []

    @property
    def moves_target(self) -> bool:
        return True

    def why_not(self, context: AlignContext) -> str | None:
        return None if context.pairs else "no pairs"

    def fit(self, context: AlignContext) -> nn.Module:
        return self._source(context, nn.Sequential(Tail(), nn.Identity()))

    def sides(self, context: AlignContext) -> Sides:
        self.seen.append(context)
        generator = torch.Generator().manual_seed(1)
        target = nn.Sequential(Tail(), Projection.fresh("linear", context.target.dim, DIM, generator))
        return Sides(self._source(context, target), target)

    def _source(self, context: AlignContext, target: nn.Module) -> nn.Module:
        assert context.pairs is not None
        tail = Tail()
        with torch.no_grad():
            wanted = target(context.pairs.target)
        generator = torch.Generator().manual_seed(context.seed)
        source = Projection.fresh("linear", context.source.dim, wanted.shape[1], generator)
        streams = {"pairs": Stream("pairs", {"x": tail(context.pairs.source), "y": wanted})}

        def loss(model: nn.Module, batch: Mapping[str, Stream]) -> dict[str, Tensor]:
            return {"loss": (model(batch["pairs"].x["x"]) - batch["pairs"].x["y"]).square().mean()}

        plan = Plan({"pairs": 1.0}, steps=self.config.steps, batch_size=8, lr=0.05, seed=context.seed, eval_every=1)
        fit(source, loss, streams, plan, on_event=context.listener, checkpoint=context.checkpoint)
        return nn.Sequential(Tail(), source)

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        own = {name.removeprefix("1."): value for name, value in tensors.items()}
        return nn.Sequential(Tail(), Projection.restored(own))


class Tails(Aligner):
    """Trains the source's tail until it is home."""

    uses_pairs = True

    @property
    def depth(self) -> int:
        return 1

    def why_not(self, context: AlignContext) -> str | None:
        return None if context.pairs else "no pairs"

    def fit(self, context: AlignContext) -> nn.Module:
        assert context.pairs is not None and context.tail is not None
        streams = {
            "pairs": Stream("pairs", {"x": context.pairs.source["hidden"], "y": context.pairs.target["features"]})
        }
        model = Behind(context.tail, nn.Sequential(Tail(), nn.Identity()))

        def loss(model: nn.Module, batch: Mapping[str, Stream]) -> dict[str, Tensor]:
            given = batch["pairs"].x
            return {"loss": (model({"hidden": given["x"]}) - nn.functional.normalize(given["y"])).square().mean()}

        fit(model, loss, streams, Plan({"pairs": 1.0}, steps=80, batch_size=8, lr=0.05, eval_every=100))
        return model

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        assert not tensors
        return nn.Sequential(Tail(), nn.Identity())


class OpenTail(nn.Module):
    """One layer."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layer = nn.Linear(12, 8, bias=False)
        self.layer.weight.data = 0.1 * torch.randn(8, 12, generator=generator)

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        return nn.functional.normalize(self.layer(x["hidden"]), dim=1)


@pytest.fixture
def align(plugins: PluginManager, toy: Any, table: Path, events: list[Event], tmp_path: Path) -> Align:
    """`xm.align` of the toys: audio to images, by the pairs of the table."""
    toy.ToBoth, toy.Tails = ToBoth, Tails
    ToBoth.seen.clear()
    plugins.aligners["both"] = AlignerSpec(name="both", target="xm_toy:ToBoth")
    plugins.aligners["tails"] = AlignerSpec(name="tails", target="xm_toy:Tails")
    counter = iter(range(100))

    def call(new: str | tuple[str, ...] = "audio", **settings: Any) -> AlignReport:
        places = {"out": tmp_path / "runs" / f"align{next(counter)}", "cache": tmp_path / "cache"}
        given = {"data": str(table), "device": "cpu", **places, **settings}
        return xm.align("image", new, listener=events.append, plugins=plugins, **given)

    return call


def test_what_it_saves_is_an_encoder(align: Align, plugins: PluginManager, toy: Any) -> None:
    report = align()
    assert (report.space, report.dim) == ("toy", 8)
    assert report.ways["audio"]["aligner"] == "ridge" and report.ways["audio"]["pairs"] == 24
    assert report.ways["image"]["aligner"] == ""
    heard = make_encoder(report.run, plugins, CPU, "audio")
    seen = make_encoder(report.run, plugins, CPU, "image")
    assert (heard.space, heard.dim, heard.modality, heard.suffixes) == ("toy", 8, "audio", (".snd",))
    assert type(seen) is toy.ToyImage, "the anchor was not moved"
    cosines = heard.encode(list(toy.CLASSES)) @ seen.encode(list(toy.CLASSES)).T
    assert cosines.argmax(dim=1).tolist() == [0, 1, 2, 3, 4]
    again = make_encoder(report.run, plugins, CPU, "audio")
    assert again.fingerprint() == heard.fingerprint() != make_encoder("toy-sound", plugins, CPU).fingerprint()
    torch.testing.assert_close(again.encode(["cat 1"]), heard.encode(["cat 1"]), atol=0, rtol=0)
    with pytest.raises(UsageError, match=r"unknown modality of .* 'text'"):
        make_encoder(report.run, plugins, CPU, "text")


def test_training_takes_it_for_an_encoder(
    align: Align, run: Callable[..., Any], table: Path, plugins: PluginManager, events: list[Event], toy: Any
) -> None:
    """In train, eval and predict, as target and as auxiliary; without pairs in the data."""
    aligned = align()
    bare = toy.write_table(table.parent.parent / "bare", pairs=0)
    trained = run("image", aux=("audio",), data=str(bare), encoders={"audio": aligned.run}, shots=(1,), seeds=(1, 2))
    assert any("audio: encoder" in n and "shares the home space" in n for n in trained.notes)
    assert {s.aux for s in trained.summary if s.strategy == "linear"} == {(), ("audio",)}
    loaded = xm.load(trained.run, plugins=plugins)
    assert loaded.evaluate(pick="image+audio").value == pytest.approx(
        next(r.value for r in loaded.results if r.aux and r.strategy == "linear" and r.seed == 1)
    )
    [said] = loaded.predict([table.parent / "sounds" / "cat" / "0.snd"])
    assert said.label in toy.CLASSES and said.error is None
    unsplit = toy.write_table(table.parent.parent / "unsplit", splits=False)
    heard = run("audio", aux=("image",), data=str(unsplit), encoders={"audio": aligned.run}, shots=(1,))
    assert any("image: encoder" in n and "it shares the space of the audio encoder" in n for n in heard.notes)


def test_a_moved_anchor_makes_a_space_of_its_own(align: Align, plugins: PluginManager, toy: Any) -> None:
    report = align(aligner="both")
    assert report.space.startswith("aligned-") and report.dim == DIM
    assert {m: w["aligner"] for m, w in report.ways.items()} == {"image": "both", "audio": "both"}
    heard, seen = (make_encoder(report.run, plugins, CPU, m) for m in ("audio", "image"))
    assert isinstance(heard, Aligned) and isinstance(seen, Aligned)
    assert heard.space == seen.space == report.space
    cosines = heard.encode(list(toy.CLASSES)) @ seen.encode(list(toy.CLASSES)).T
    assert cosines.argmax(dim=1).tolist() == [0, 1, 2, 3, 4]
    assert report.probe is not None and report.probe.after is not None
    assert report.probe.after < report.probe.before, "five dimensions hold less than eight"
    with pytest.raises(UsageError, match="it moves image too; save what it makes with xm align"):
        xm.train("image", aux=("audio",), aligner="both", plugins=plugins, data=report.ways and str(_table(report)))


def _table(report: AlignReport) -> str:
    found: str = json.loads((Path(report.run) / "xm.json").read_text())["settings"]["data"]
    return found


def test_several_modalities_share_one_space(align: Align, plugins: PluginManager, table: Path, toy: Any) -> None:
    """The first moves the anchor, the others come to where it is; a fellow of a space that came goes the same way."""

    class Echo(toy.ToySound):  # type: ignore[misc]
        modality, suffixes = "echo", (".eco",)

    toy.Echo = Echo
    plugins.encoders["echo"] = xm.EncoderSpec(name="echo", target="xm_toy:Echo", modality="echo", suffixes=(".eco",))
    report = align(("audio", "text", "echo"), aligner="both", encoders={"echo": "echo"}, data=str(_with_texts(table)))
    assert report.ways["text"]["aligner"] == "both"
    encoders = [make_encoder(report.run, plugins, CPU, m) for m in ("image", "audio", "text", "echo")]
    assert len({encoder.space for encoder in encoders}) == 1
    image, audio, text, echo = (encoder.encode(list(toy.CLASSES)) for encoder in encoders)
    assert torch.equal(audio, echo)
    for other in (audio, text):
        assert (image @ other.T).argmax(dim=1).tolist() == [0, 1, 2, 3, 4]


def _with_texts(table: Path) -> Path:
    """The table, with a text to each pair."""
    lines = table.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    texts = [
        f"{label} {i},text,{label},pool,{pair}"
        for i, (_, m, label, _, pair) in enumerate(rows)
        if pair and m == "audio"
    ]
    other = table.with_name("texts.csv")
    head = ["path,text,modality,label,split,pair", *(f"{p},,{m},{y},{s},{pair}" for p, m, y, s, pair in rows)]
    other.write_text("\n".join([*head, *(f",{text}" for text in texts)]) + "\n")
    return other


def test_an_encoder_that_is_opened(
    align: Align, plugins: PluginManager, run: Callable[..., Any], table: Path, toy: Any, tmp_path: Path
) -> None:
    """Its tail is trained, saved with the run, and there again when the run is an encoder."""

    class Opening(toy.ToySound):  # type: ignore[misc]
        dim = 8

        def split(self, depth: int) -> tuple[Any, nn.Module]:
            if depth == 0:
                return self.trunk, Tail()
            return lambda items: {"hidden": toy.ToySound().trunk(items)["features"]}, OpenTail()

        def trunk(self, items: Any) -> Any:
            return {"features": OpenTail()({"hidden": toy.ToySound().trunk(items)["features"]}).detach()}

    toy.Opening = Opening
    plugins.encoders["opening"] = xm.EncoderSpec(name="opening", target="xm_toy:Opening", modality="audio")
    report = align(aligner="tails", encoders={"audio": "opening"})
    assert (report.space, report.ways["audio"]["depth"], report.ways["audio"]["pairs"]) == ("toy", 1, 24)
    heard, seen = (make_encoder(report.run, plugins, CPU, m) for m in ("audio", "image"))
    cosines = heard.encode(list(toy.CLASSES)) @ seen.encode(list(toy.CLASSES)).T
    assert cosines.argmax(dim=1).tolist() == [0, 1, 2, 3, 4]
    stored = FeatureStore(tmp_path / "features").features(heard, ["cat 1", "dog 2"])
    torch.testing.assert_close(nn.functional.normalize(stored.x["features"]), heard.encode(["cat 1", "dog 2"]))
    trunk, tail = heard.split(1)
    torch.testing.assert_close(tail(trunk(["cat 1"])), heard.encode(["cat 1"]))
    assert all(parameter.requires_grad for parameter in tail.parameters())
    with pytest.raises(UsageError, match="opened at depth 1 by its alignment; open it at that depth, not at 2"):
        heard.split(2)
    with pytest.raises(UsageError, match="tails: it trains the audio encoder; save that with xm align"):
        run(data=str(table), aux=("audio",), aligner="tails", encoders={"audio": "opening"})


def test_diagnoses_before_and_after(align: Align) -> None:
    [diagnosis] = align().diagnoses
    assert (diagnosis.modality, diagnosis.pairs, diagnosis.held_out) == ("audio", 6, True)
    assert diagnosis.after.found.cosine < 0.5 < diagnosis.before.found.cosine
    assert diagnosis.after.geometry.alignment < diagnosis.before.geometry.alignment
    assert diagnosis.after.found.median_rank <= diagnosis.before.found.median_rank
    [trained_on] = align(holdout=0).diagnoses
    assert (trained_on.pairs, trained_on.held_out) == (30, False)


def test_the_record_is_plain_and_whole(align: Align) -> None:
    report = align(aligner="ridge", aligner_set={"alphas": [0.5]})
    index = json.loads((Path(report.run) / "xm.json").read_text())
    assert (index["format"], index["kind"], index["anchor"]) == (1, "alignment", "image")
    assert index["settings"]["aligner_set"] == {"alphas": [0.5]}
    assert index["diagnoses"][0]["after"]["found"]["r1"] == report.diagnoses[0].after.found.r1
    assert index["run"] == report.run and index["versions"]
    assert sorted(p.relative_to(report.run).as_posix() for p in Path(report.run).rglob("*.*")) == [
        "maps/audio.safetensors",
        "xm.json",
    ]


def test_weak_pairs_and_a_table_of_pairs(align: Align, table: Path, toy: Any, plugins: PluginManager) -> None:
    weak = align(pairs="weak", partners=3)
    assert "pairs of" in weak.notes[-1] and weak.ways["audio"]["pairs"] > 80
    own = table.parent / "mine.csv"
    own.write_text(
        "audio,image\n"
        + "".join(f"sounds/{c}/pair{n}.snd,images/{c}/pair{n}.toy\n" for c in toy.CLASSES for n in range(4))
    )
    report = align(pairs=str(own), data=None)
    assert report.ways["audio"]["pairs"] == 16 and report.probe is None, "a table of pairs has no labels"
    both = align(pairs=str(own))
    assert both.probe is not None and both.probe.after is None
    heard, seen = (make_encoder(report.run, plugins, CPU, m) for m in ("audio", "image"))
    cosines = heard.encode(list(toy.CLASSES)) @ seen.encode(list(toy.CLASSES)).T
    assert cosines.argmax(dim=1).tolist() == [0, 1, 2, 3, 4]


def test_pairs_that_were_asked_for_and_are_not_there(align: Align, table: Path) -> None:
    other = table.parent / "other.csv"
    other.write_text("text,image\na cat,images/cat/pair0.toy\n")
    with pytest.raises(UsageError, match=r"other.csv: has no pairs of audio and image$"):
        align(pairs=str(other), data=None)
    one = table.parent / "one.csv"
    one.write_text("audio,image\nsounds/cat/pair0.snd,images/cat/pair0.toy\n")
    with pytest.raises(UsageError, match=r"one.csv: all 1 pairs of audio and image are held out; add pairs, or type"):
        align(pairs=str(one))


def test_what_is_val_or_test_pairs_nothing(align: Align, table: Path) -> None:
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line.replace(",pool,cat", ",test,cat") for line in lines) + "\n")
    assert align(holdout=0).ways["audio"]["pairs"] == 24


def test_an_aligner_is_given_the_anchors_labels_but_not_of_what_is_held_out(align: Align) -> None:
    align(aligner="both")
    [context] = ToBoth.seen
    assert context.labelled is not None and context.labelled.modality == "image"
    assert len(context.labelled) == 5 * 3 + 30 - 6, "of train and pool, without the held-out pairs"
    assert context.labelled.y is not None and set(context.labelled.y.tolist()) == {0, 1, 2, 3, 4}
    align(aligner="both", holdout=0)
    assert ToBoth.seen[-1].labelled is not None and len(ToBoth.seen[-1].labelled) == 5 * 3 + 30


@pytest.mark.parametrize("stop", [0, 7, 59])
def test_an_interrupted_alignment_goes_on_to_the_same_weights(
    align: Align,
    plugins: PluginManager,
    events: list[Event],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: int,
) -> None:
    monkeypatch.setattr("xm.learning.checkpoint.Checkpoint.due", lambda self, step: True)
    whole = align(aligner="both", cache=tmp_path / "other")

    def interrupted(event: Event) -> None:
        if event.kind == "step" and event.data["step"] == stop:
            raise KeyboardInterrupt

    out = tmp_path / "runs" / "stopped"
    settings = json.loads((Path(whole.run) / "xm.json").read_text())["settings"]
    with pytest.raises(KeyboardInterrupt):
        xm.align(
            "image",
            "audio",
            listener=interrupted,
            plugins=plugins,
            data=settings["data"],
            aligner="both",
            out=out,
            cache=tmp_path / "cache",
            device="cpu",
        )
    assert not out.exists() and [p.name for p in out.parent.iterdir()] == [Path(whole.run).name]
    assert len(list((tmp_path / "cache").glob("checkpoints/*"))) == (stop > 0)
    events.clear()
    again = align(aligner="both", out=out)
    steps = [event.data["step"] for event in events if event.kind == "step"]
    assert steps == list(range(stop, 60)), "it starts anew"
    for name in ("audio", "image"):
        one, other = (Path(r.run, "maps", f"{name}.safetensors").read_bytes() for r in (whole, again))
        assert one == other
    assert not list((tmp_path / "cache").glob("checkpoints/*"))


def test_mistakes_are_one_line_and_leave_nothing(
    align: Align, tmp_path: Path, plugins: PluginManager, toy: Any
) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"new": "image"}, "image is the anchor; take it out of new"),
        ({"new": ("audio", "audio")}, "new names a modality twice"),
        ({"new": "text"}, "text and image share the space toy already; to refine it, name an aligner with --aligner"),
        ({"new": "smell"}, "unknown modality 'smell'"),
        ({"aligner": "rigde"}, "unknown aligner 'rigde': did you mean 'ridge'"),
        ({"aligner": "ridge", "objective": "infonce"}, "Ridge: unknown setting 'objective'"),
        ({"objective": "infonce"}, "name it with --aligner"),
        ({"pairs": "week"}, "--pairs week: no such file, and none of own, stems, weak"),
        ({"pairs": "none.csv"}, "none.csv: no such file"),
        ({"new": "text", "aligner": "ridge"}, "ridge: there are no pairs of text and image items"),
        ({"encoders": {"audio": "toy-image"}}, "is for image, not audio"),
        ({"holdout": 1.5}, "holdout"),
    ]
    for settings, said in wrong:
        with pytest.raises((UsageError, DataError)) as caught:
            pytest.fail(f"not refused: {align(**settings)}")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()
    done = align()
    with pytest.raises(UsageError, match="exists and is not an empty folder"):
        align(out=Path(done.run))


def test_other_folders_are_no_encoders(
    align: Align, run: Callable[..., Any], table: Path, plugins: PluginManager
) -> None:
    trained, aligned = run(data=str(table)), align()
    with pytest.raises(RunError, match="is a run of xm train, not an encoder"):
        make_encoder(trained.run, plugins, CPU, "image")
    with pytest.raises(
        RunError, match=r"is an alignment, not a classifier; name it as an encoder: --<modality>-encoder"
    ):
        xm.load(aligned.run, plugins=plugins)
    index = Path(aligned.run, "xm.json")
    (Path(aligned.run) / "maps" / "audio.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match=r"audio\.safetensors: damaged"):
        make_encoder(aligned.run, plugins, CPU, "audio")
    good = index.read_text()
    index.write_text(good.replace('"format": 1', '"format": 7'))
    with pytest.raises(RunError, match="format 7, but this xm reads 1"):
        SavedAlignment(Path(aligned.run))
    index.write_text("{")
    with pytest.raises(RunError, match="damaged"):
        make_encoder(aligned.run, plugins, CPU, "audio")
    index.write_text(good)


def test_other_weights_are_refused(
    align: Align, plugins: PluginManager, toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligned = align()
    monkeypatch.setitem(toy.WEIGHTS, "version", 2)
    with pytest.raises(RunError, match="is not the one of training"):
        make_encoder(aligned.run, plugins, CPU, "audio")


def test_an_alignment_that_is_gone_is_named(
    align: Align, run: Callable[..., Any], table: Path, plugins: PluginManager
) -> None:
    aligned = Path(align().run)
    trained = run(data=str(table), aux=("audio",), encoders={"audio": str(aligned)})
    aligned.rename(aligned.with_name("moved"))
    with pytest.raises(
        RunError, match=rf"the alignment that it was trained with, {aligned}, is not there; put it back"
    ):
        xm.load(trained.run, plugins=plugins, device="cpu").predict([table.parent / "sounds/cat/0.snd"])


def test_the_encoder_below_is_asked_once(
    align: Align, plugins: PluginManager, toy: Any, table: Path, tmp_path: Path
) -> None:
    """Features are kept as the encoder below gives them: an alignment more costs no pass through it."""
    encoder = make_encoder(align().run, plugins, CPU, "audio")
    store = FeatureStore(tmp_path / "features")
    store.features(make_encoder("toy-sound", plugins, CPU), ["cat 1", "dog 2"])
    toy.ENCODED.clear()
    found = store.features(encoder, ["cat 1", "broken", "dog 2"])
    assert toy.ENCODED["audio"] <= 1 and found.kept.tolist() == [0, 2] and list(found.failed) == [1]
    torch.testing.assert_close(nn.functional.normalize(found.x["features"], dim=1), encoder.encode(["cat 1", "dog 2"]))
    assert not store.features(encoder, ["broken"]).x


def test_a_run_is_named_by_its_absolute_path(
    align: Align, plugins: PluginManager, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligned = Path(align().run)
    monkeypatch.chdir(aligned.parent)
    from xm.data.open import open_dataset

    choice = EncoderChoice(plugins, open_dataset(table, plugins, aligned), CPU, {"audio": aligned.name})
    assert choice["audio"].reference == str(aligned.resolve())


def test_the_probe() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(4).repeat(10)
    x = torch.randn(4, 16, generator=generator)[y] + 0.1 * torch.randn(40, 16, generator=generator)
    groups: list[str | None] = [None] * 40
    assert probe(x, None, y, groups) == Probe(1.0, None, 40, 4)
    spoilt = probe(x, torch.randn(40, 16, generator=generator), y, groups)
    assert spoilt is not None and spoilt.after is not None and spoilt.after < 0.6 and spoilt.hurt
    assert not Probe(0.8, 0.79, 100, 4).hurt, "less than a standard error"
    assert probe(x[:8], None, y[:8], groups[:8]) is None, "two items a class can't be folded in five"
    assert probe(x, None, y, ["one"] * 40) is None


def test_an_objective_of_pairs_does_not_train_classifiers(
    run: Callable[..., Any], plugins: PluginManager, table: Path
) -> None:
    plugins.objectives["infonce"] = ObjectiveSpec(name="infonce", target="xm.learning:InfoNce", pairs=True)
    with pytest.raises(UsageError, match="objective 'infonce' is for pairs: use it with xm align"):
        run(data=str(table), objective="infonce")


class Alone(Aligner):
    """Without pairs: the first dimensions are the other space's."""

    def why_not(self, context: AlignContext) -> str | None:
        return None

    def fit(self, context: AlignContext) -> nn.Module:
        return Projection.fresh("linear", context.source.dim, context.target.dim, torch.Generator().manual_seed(1))

    def restore(self, tensors: Mapping[str, Tensor]) -> nn.Module:
        raise NotImplementedError


def test_an_aligner_without_pairs_needs_no_data(plugins: PluginManager, tmp_path: Path) -> None:
    plugins.aligners["alone"] = AlignerSpec(name="alone", target=f"{__name__}:Alone", priority=1)
    given: dict[str, Any] = {"plugins": plugins, "cache": tmp_path / "cache", "device": "cpu"}
    report = xm.align("image", "audio", aligner="alone", out=tmp_path / "run", **given)
    assert (report.ways["audio"]["aligner"], report.ways["audio"]["pairs"]) == ("alone", 0)
    assert not report.diagnoses
    with pytest.raises(UsageError, match="no dataset is the default"):
        xm.align("image", "audio", aligner="alone", pairs="weak", out=tmp_path / "other", **given)
