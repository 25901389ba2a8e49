"""Tars as several programs write them: our index is tarfile's."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from xm import DataError
from xm_datasets.webdataset.headers import members
from xm_datasets.webdataset.index import indexed

LONG = "folder/" * 30 + "x" * 120 + ".png"
FILES = {
    "1.png": b"one",
    "./2.png": b"",
    "façade/3.png": b"x" * 1025,
    LONG: b"long",
    "f/" + "y" * 95 + ".png": b"ustar",
}


def same(path: Path) -> dict[str, bytes]:
    """Content by name, after it was compared with what tarfile reads."""
    with tarfile.open(path) as tar:
        expected = {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]
    found = {member.name: member.read_bytes() for member in members(path)}
    assert found == expected
    return found


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mtime", [0, 1.5])
def test_formats(form: int, mtime: float, tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in FILES.items():
            if form == tarfile.USTAR_FORMAT and name == LONG:
                continue
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), mtime
            tar.addfile(info, io.BytesIO(content))
        folder = tarfile.TarInfo("folder/")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    assert len(same(path)) == len(FILES) - (form == tarfile.USTAR_FORMAT)


def test_the_program_tar(tmp_path: Path) -> None:
    if not shutil.which("tar"):
        pytest.skip("there is no program tar here")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").write_bytes(b"one")
    (tmp_path / "a" / "2.png").hardlink_to(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "3.png").symlink_to("1.png")
    for form in ("gnu", "ustar", "posix"):
        path = tmp_path / f"{form}.tar"
        made = subprocess.run(["tar", f"--format={form}", "-cf", path, "-C", tmp_path, "a"], capture_output=True)
        if made.returncode:
            pytest.skip("this tar knows no --format")
        found = {member.name: member.read_bytes() for member in members(path)}
        assert found == {"a/1.png": b"one", "a/2.png": b"one"}, "a hard link is a file, a symbolic link none"


def test_webdataset_writes_such(tmp_path: Path) -> None:
    writer = pytest.importorskip("webdataset").TarWriter(str(tmp_path / "some.tar"))
    writer.write({"__key__": "a/0001", "cls": 3, "json": {"label": "dog"}, "txt": "a dog"})
    writer.close()
    assert same(tmp_path / "some.tar").keys() == {"a/0001.cls", "a/0001.json", "a/0001.txt"}


def test_the_last_of_one_name_counts(tmp_path: Path, toys: Any) -> None:
    path = toys.write_tar(tmp_path / "some.tar", {"1.txt": "old", "2.txt": "two"})
    toys.write_tar(path, {"1.txt": "new"}, mode="a")
    assert [(member.name, member.read_bytes()) for member in members(path)] == [("2.txt", b"two"), ("1.txt", b"new")]


def test_files_that_are_passed_over(tmp_path: Path, toys: Any) -> None:
    litter = [
        "._1.txt",
        ".hidden/1.txt",
        "a/.b/1.txt",
        "__MACOSX/a/._1.txt",
        "__MACOSX/1.txt",
        "__meta__/1.json",
        ".cls",
    ]
    files = {"./1.txt": "one", "a.b/__1__.txt": "two", "../2.txt": "three", **dict.fromkeys(litter, "litter")}
    path = toys.write_tar(tmp_path / "some.tar", files)
    found = indexed(path, tmp_path / "cache")
    assert list(found.items) == ["1", "a.b/__1__", "../2"] and not found.facts


def test_a_name_like_the_start_of_a_compressed_file(tmp_path: Path, toys: Any) -> None:
    path = toys.write_tar(tmp_path / "some.tar", {"BZh91AY.txt": "one"})
    assert [member.name for member in members(path)] == ["BZh91AY.txt"]


def test_links_alone(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(3):
            info = tarfile.TarInfo(f"{number}.png")
            info.type, info.linkname = tarfile.SYMTYPE, "/data/image.png"
            tar.addfile(info)
    with pytest.raises(DataError, match=r"some\.tar: holds 3 symbolic links and no file; .* tar --dereference$"):
        members(path)


@pytest.mark.parametrize("filled", [b"", bytes(9000)])
def test_tars_joined_by_cat(filled: bytes, tmp_path: Path, toys: Any) -> None:
    one, other = (toys.write_tar(tmp_path / f"{n}.tar", {f"{n}.txt": "x" * 20_000 * n}) for n in (1, 2))
    path = tmp_path / "some.tar"
    path.write_bytes(one.read_bytes() + bytes(10_240) * bool(filled) + other.read_bytes())
    with pytest.raises(
        DataError, match=r"goes on after its end at byte [\d,]+, as tars joined by cat do; unpack it with"
    ):
        members(path)
    path.write_bytes(one.read_bytes() + filled)
    assert len(members(path)) == 1


def test_a_pointer_of_git_lfs(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 3\n")
    with pytest.raises(DataError, match=r"some\.tar: is a pointer of Git LFS, .* \(git lfs pull\)$"):
        members(path)


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("hole.png")
        info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "4"}
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(DataError, match=r"hole\.png: is a sparse file; pack the shard without --sparse"):
        members(path)
