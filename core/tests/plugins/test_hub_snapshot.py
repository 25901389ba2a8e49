"""Whole repositories of the hub, revisions, and what is said of their weights: from the cache, and of a client."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xm.foundation.errors import PluginError, UsageError
from xm.plugins import hub
from xm.plugins.weights import Weights

REPO, MB = "org/name", 1_000_000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with org/name: "main" has config.json and model.bin, commit "beef" (tag v1, branch x/y) the page."""
    constants = pytest.importorskip("huggingface_hub.constants")
    folder = tmp_path / "models--org--name"
    held = {"c0ffee": {"config.json": "{}", "model.bin": "12345"}, "beef": {"README.md": "---\nlicense: mit\n---\nHi"}}
    for commit, files in held.items():
        (folder / "snapshots" / commit).mkdir(parents=True)
        for name, text in files.items():
            (folder / "snapshots" / commit / name).write_text(text)
    for name, commit in {"main": "c0ffee", "v1": "beef", "x/y": "beef"}.items():
        (folder / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "refs" / name).write_text(commit)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return folder / "snapshots"


class Client:
    """Stands for the hub's: a repository whose download puts files into the cache."""

    def __init__(self, cache: Path, sizes: dict[str, int | None], licence: Any = "apache-2.0") -> None:
        self.cache, self.sizes, self.licence = cache, sizes, licence
        self.fetched: list[str] = []

    def model_info(self, repo: str, revision: str, files_metadata: bool) -> SimpleNamespace:
        siblings = [SimpleNamespace(rfilename=name, size=size) for name, size in self.sizes.items()]
        return SimpleNamespace(siblings=siblings, card_data={"license": self.licence})

    def snapshot_download(self, repo: str, revision: str, allow_patterns: Sequence[str]) -> str:
        folder = self.cache / "c0ffee"
        for name in allow_patterns:
            (folder / name).write_text("new")
            self.fetched.append(name)
        return str(folder)

    def hf_hub_download(self, repo: str, name: str, revision: str) -> str:
        return str(Path(self.snapshot_download(repo, revision, [name])) / name)


@pytest.fixture
def client(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    import huggingface_hub

    made = Client(cache, {"config.json": 2, "model.safetensors": 3 * MB, "logo.png": 9 * MB})
    for name in ("snapshot_download", "hf_hub_download"):
        monkeypatch.setattr(huggingface_hub, name, getattr(made, name))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: made)
    return made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("org/name", (REPO, "main")),
        ("org/name@v1", (REPO, "v1")),
        ("org/name@refs/pr/3", (REPO, "refs/pr/3")),
        ("org/na.me-2@0123abc", ("org/na.me-2", "0123abc")),
        ("name", None),
        ("org/name@", None),
        ("a/b/c", None),
        ("./folder", None),
        ("", None),
    ],
)
def test_repositories_and_revisions(text: str, found: tuple[str, str] | None) -> None:
    assert hub.parsed(text) == found


def test_a_revision_is_a_branch_a_tag_or_a_commit(cache: Path) -> None:
    assert hub.held(REPO) == cache / "c0ffee"
    assert hub.held(REPO, "v1") == hub.held(REPO, "x/y") == hub.held(REPO, "beef") == cache / "beef"
    assert hub.held(REPO, "v2") is None and hub.held("org/other") is None
    assert hub.cached(REPO, "README.md") is None
    assert hub.cached(REPO, "README.md", "v1") == cache / "beef" / "README.md"
    assert hub.fetch(REPO, ("README.md",), "give up", "v1") == cache / "beef" / "README.md"


def test_the_licence_is_the_cached_pages(cache: Path) -> None:
    assert hub.licence(REPO, "v1") == "mit" and hub.licence(REPO) == ""
    (cache / "beef" / "README.md").write_text("license: mit, it says, but not above")
    assert hub.licence(REPO, "v1") == ""


def test_a_snapshot_in_the_cache_needs_no_network(cache: Path) -> None:
    needs = [["config.json"], ["model.safetensors", "model.bin"]]
    assert hub.snapshot(REPO, needs, lambda names: names, "give up") == cache / "c0ffee"
    said = "vocab.txt or vocab.json of org/name is not on this machine and HF_HUB_OFFLINE is set: copy .*, or give up"
    with pytest.raises(PluginError, match=said):
        hub.snapshot(REPO, [*needs, ["vocab.txt", "vocab.json"]], lambda names: names, "give up")


def test_what_is_chosen_is_downloaded_and_told(cache: Path, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    def chosen(names: Sequence[str]) -> list[str]:
        return [name for name in names if name != "logo.png"]

    with caplog.at_level(logging.WARNING):
        folder = hub.snapshot(REPO, [["model.safetensors"]], chosen, "give up")
    assert folder == cache / "c0ffee" and client.fetched == ["config.json", "model.safetensors"]
    assert caplog.messages == ["downloading org/name: 3 MB, licence apache-2.0"]
    client.fetched.clear()
    assert hub.snapshot(REPO, [["model.safetensors"]], chosen, "give up") == folder and not client.fetched


def test_a_repository_without_what_is_needed(client: Client) -> None:
    with pytest.raises(UsageError, match=r"repository .org/name. on huggingface\.co has no vocab\.txt or vocab\.json"):
        hub.snapshot(REPO, [["vocab.txt", "vocab.json"]], lambda names: ["config.json"], "give up")


def test_small_downloads_are_not_told(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.sizes["vocab.txt"] = 900
    with caplog.at_level(logging.WARNING):
        hub.fetch(REPO, ("vocab.txt",), "give up")
    assert client.fetched == ["vocab.txt"] and not caplog.messages


def test_weights_that_are_here(cache: Path) -> None:
    (cache / "c0ffee" / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    found = hub.weights(REPO, ("model.safetensors", "model.bin"), "give up")
    assert found == Weights(REPO, "huggingface.co", (cache / "c0ffee" / "model.bin",), 5, "cc-by-4.0")


def test_weights_in_several_files(cache: Path, client: Client) -> None:
    def parts(names: Sequence[str]) -> list[str]:
        return [name for name in names if name.endswith(".bin")]

    (cache / "c0ffee" / "more.bin").write_text("more")
    found = hub.weights(REPO, ("model.bin",), "give up", parts=parts)
    assert [path.name for path in found.paths] == ["model.bin", "more.bin"] and found.size == 9
    client.sizes |= {"1.bin": MB, "2.bin": MB}
    assert hub.weights(REPO, ("model.json",), "give up", parts=parts).size == 2 * MB


def test_weights_that_can_be_had(cache: Path, client: Client) -> None:
    found = hub.weights(REPO, ("model.safetensors", "model.pt"), "give up")
    assert found == Weights(REPO, "huggingface.co", (), 3 * MB, "apache-2.0")
    assert found.get is not None and found.get() == cache / "c0ffee" / "model.safetensors"
    client.licence = ["mit", "other"]
    assert hub.weights(REPO, ("model.safetensors",), "give up", "v1") == Weights(
        "org/name@v1", "huggingface.co", (), 3 * MB, "mit, other"
    )


def test_weights_of_which_the_hub_does_not_say_the_size(client: Client) -> None:
    client.sizes["model.safetensors"] = None
    assert hub.weights(REPO, ("model.safetensors",), "give up").size is None


def test_weights_without_a_network_are_not_known(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def info(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(model_info=info))
    found = hub.weights("org/other", ("model.safetensors",), "give up")
    assert found == Weights("org/other", "huggingface.co") and not found.here and found.get is not None
    with pytest.raises(PluginError, match="or give up"):
        found.get()


def test_without_a_network_the_clients_http_errors_are_told_likewise(
    cache: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its HTTP library need not be OSErrors. What can't be reached is not asked twice."""
    import huggingface_hub
    from huggingface_hub import errors

    monkeypatch.delenv("HF_HUB_OFFLINE")

    def fail(*_: object, **__: object) -> None:
        raise errors.HTTPError("no route to host")

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: SimpleNamespace(model_info=fail))
    said = "a of org/other is not on this machine and huggingface.co can't be reached: copy .*models--org--other"
    with pytest.raises(PluginError, match=said):
        hub.fetch("org/other", ("a",), "give up")
    with pytest.raises(PluginError, match=said):
        hub.snapshot("org/other", [["a"]], lambda names: names, "give up")
    assert not hub.weights("org/other", ("a",), "give up").here and not client.fetched
