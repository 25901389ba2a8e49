"""The walk of files that all share."""

from __future__ import annotations

from pathlib import Path

import pytest

from xm.data import files_below
from xm.data.files import is_litter
from xm.foundation.errors import DataError


def test_neither_hidden_files_nor_litter_and_links_once(tmp_path: Path) -> None:
    root = tmp_path / "root"
    kept = ["1.png", "more/2.png", "more/deep/3.png"]
    litter = [".DS_Store", "._1.png", ".Trash-1000/files/x.png", ".ipynb_checkpoints/1-checkpoint.png"]
    litter += ["__MACOSX/more/2.png", "._AppleDouble/1.png", "Thumbs.db", "desktop.ini", "@eaDir/1.png"]
    for name in (*kept, *litter, "../far/4.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (root / "linked").symlink_to(tmp_path / "far")
    (root / "linked again").symlink_to(tmp_path / "far")
    (root / "loop").symlink_to(root)
    (root / "itself").symlink_to("itself")
    (root / "gone.png").symlink_to("nowhere")
    (root / "file.png").symlink_to("1.png")
    found = [path.relative_to(root).as_posix() for path in files_below(root)]
    assert found == ["1.png", "file.png", "linked/4.png", "more/2.png", "more/deep/3.png"]
    assert is_litter("THUMBS.DB") and not is_litter("thumbs.png")


def test_deep_folders_and_none(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 400)
    deep.mkdir(parents=True)
    (deep / "x.png").touch()
    assert len(list(files_below(tmp_path))) == 1
    with pytest.raises(DataError, match="can't be read: No such file"):
        list(files_below(tmp_path / "none"))
