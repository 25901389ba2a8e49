"""Folders that are written whole or not at all, or are gone on with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from xm.foundation.errors import UsageError
from xm.foundation.new_folder import NewFolder

KEY = "0123456789abcdef"


def new(path: Path, key: str = KEY) -> NewFolder:
    return NewFolder(path, lambda: path, key)


def left(path: Path, *, keep: bool, key: str = KEY) -> Path:
    """What a failure leaves."""
    with pytest.raises(KeyError), new(path, key) as folder:
        (folder.partial / "part").write_text("1")
        folder.keep = keep
        raise KeyError
    return folder.partial


@pytest.mark.parametrize("key", ("", KEY))
def test_a_failure_leaves_nothing_not_even_the_folder_around(tmp_path: Path, key: str) -> None:
    left(tmp_path / "runs" / "a", keep=False, key=key)
    assert not list(tmp_path.iterdir())


def test_what_is_kept_is_gone_on_with_and_published(tmp_path: Path) -> None:
    partial = left(tmp_path / "a", keep=True)
    assert [path.name for path in tmp_path.iterdir()] == [f".a.{KEY}"] == [partial.name]
    with new(tmp_path / "a") as folder:
        assert (folder.partial / "part").read_text() == "1"
        assert folder.publish(lambda _: None) == tmp_path / "a"
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "part"]


@pytest.mark.parametrize(("name", "key"), [("b", KEY), ("a", KEY[::-1])])
def test_what_is_anothers_is_left_alone(tmp_path: Path, name: str, key: str) -> None:
    partial = left(tmp_path / "a", keep=True)
    with new(tmp_path / name, key) as folder:
        assert not list(folder.partial.iterdir())
        folder.publish(lambda _: None)
    assert (partial / "part").read_text() == "1"


def test_two_at_once_have_one_each(tmp_path: Path) -> None:
    with new(tmp_path / "a") as one, new(tmp_path / "a") as other:
        assert (one.partial.name, other.partial.name) == (f".a.{KEY}", f".a.{KEY}.2")
        one.publish(lambda _: None)
        with pytest.raises(UsageError, match="can't be written"):
            (other.partial / "part").touch()
            (one.folder / "part").touch()
            other.publish(lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_the_lock_of_a_dead_process_holds_nobody_up(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from xm.foundation import NewFolder\n"
        f"with NewFolder(Path('a'), None, {KEY!r}) as new:\n"
        "    (new.partial / 'part').write_text('1'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".a.{KEY}", f".a.{KEY}.lock"]
    with new(tmp_path / "a") as folder:
        assert (folder.partial / "part").read_text() == "1"
