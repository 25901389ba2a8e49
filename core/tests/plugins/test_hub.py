"""Files of the Hugging Face hub, from its cache and without network."""

from __future__ import annotations

from pathlib import Path

import pytest

from xm.foundation.errors import PluginError, UsageError
from xm.plugins.hub import cached, fetch


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with one repository, org/name, of the files a and b."""
    constants = pytest.importorskip("huggingface_hub.constants")
    snapshot = tmp_path / "models--org--name" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--org--name" / "refs").mkdir()
    (tmp_path / "models--org--name" / "refs" / "main").write_text("c0ffee\n")
    for name in "ab":
        (snapshot / name).write_text(name)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return snapshot


def test_what_is_in_the_cache_is_found_without_the_client(hub: Path) -> None:
    assert cached("org/name", "a") == hub / "a"
    assert cached("org/name", "c") is None and cached("org/other", "a") is None
    assert fetch("org/name", ("c", "b", "a"), "give up") == hub / "b"


def test_offline_is_one_line_with_the_way_out(hub: Path) -> None:
    said = "c of org/name is not on this machine and HF_HUB_OFFLINE is set: copy .*models--org--name .*, or give up"
    with pytest.raises(PluginError, match=said):
        fetch("org/name", ("c",), "give up")


@pytest.mark.parametrize("name", ["a/b--c", "a/..", "a/b.git"])
def test_what_can_be_no_repository(hub: Path, name: str) -> None:
    with pytest.raises(UsageError, match=f"^'{name}' is no repository's name on huggingface.co; type ORG/NAME$"):
        fetch(name, ("c",), "give up")


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("GatedRepoError", PluginError, "hf auth login"),
        ("RepositoryNotFoundError", UsageError, "no public repository 'org/name'"),
        ("RemoteEntryNotFoundError", UsageError, "'org/name' on huggingface.co has no c or d"),
    ],
)
def test_what_the_client_raises(
    hub: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[Exception], said: str
) -> None:
    import huggingface_hub

    error = getattr(huggingface_hub.errors, name)

    def answer(repo: str, file: str, revision: str) -> str:
        raise error.__new__(error)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", answer)
    with pytest.raises(kind, match=said):
        fetch("org/name", ("c", "d"), "give up")
