"""Where the files of a tar lie."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import BinaryIO, Self

from xm import DataError
from xm.data import Member

_AHEAD = 1 << 20
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)
_PACKED = "is compressed, so its files can't be read alone; unpack it first"
_NO_TAR = {
    b"\x1f\x8b": f"{_PACKED} (gunzip)",
    b"BZh": f"{_PACKED} (bunzip2)",
    b"\xfd7zXZ": f"{_PACKED} (unxz)",
    b"\x28\xb5\x2f\xfd": f"{_PACKED} (unzstd)",
    b"version https://git-lfs": "is a pointer of Git LFS, not the shard; fetch that first (git lfs pull)",
}
"""How files begin that are often given in place of a tar, and what to say of them."""


class _Header(tarfile.TarInfo):
    """Of an ordinary file's header, reads what is needed here: name, size and type. That takes half the time."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        kind = bytes(buf[156:157])
        try:
            if len(buf) == tarfile.BLOCKSIZE and kind in _PLAIN:
                size, told = (int(bytes(field).rstrip(b" \0"), 8) for field in (buf[124:136], buf[148:156]))
                name = bytes(buf[:100]).partition(b"\0")[0]
                if buf[257:263] == b"ustar\0" and buf[345]:
                    name = bytes(buf[345:500]).partition(b"\0")[0] + b"/" + name
                if told == sum(buf) - sum(buf[148:156]) + 8 * ord(" ") and not name.endswith(b"/"):
                    header = cls(name.decode(encoding, errors))
                    header.size, header.type = size, kind
                    return header
        except ValueError:
            pass  # such as a size that is not octal, which tarfile knows more of
        return super().frombuf(buf, encoding, errors)


def members(shard: Path) -> list[Member]:
    """The files of a tar, hard links too, in order; of one name, the last, as when it is unpacked.

    Raises:
        DataError: if it is compressed, cut short, damaged, has nothing but links or can't be read.
    """
    found: dict[str, Member] = {}
    start, links = b"", 0
    try:
        with shard.open("rb") as file:
            start = file.read(32)
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
                for info in tar:
                    member = _member(shard, info, found)
                    links += info.issym()
                    if member:
                        found.pop(info.name, None)
                        found[info.name] = member
                end = tar.offset
            _check_end(shard, file, end)
    except tarfile.TarError as error:
        known = next((said for magic, said in _NO_TAR.items() if start.startswith(magic)), None)
        raise DataError(f"{shard}: {known or f'is no tar, or cut short ({error}); pack it again'}") from error
    except OSError as error:
        raise DataError(f"{shard}: can't be read: {error.strerror or error}") from error
    if links and not found:
        raise DataError(f"{shard}: holds {links} symbolic links and no file; pack it again with tar --dereference")
    return list(found.values())


def _check_end(shard: Path, file: BinaryIO, end: int) -> None:
    """Raise if the end that tarfile found is none: it stops at a damaged header, and where tars were joined."""
    file.seek(end)
    block = file.read(tarfile.BLOCKSIZE)
    if any(block):
        raise DataError(f"{shard}: is damaged at byte {end:,}: no file's header is there; pack it again")
    records = -(-(end + len(block)) // tarfile.RECORDSIZE)
    file.seek(records * tarfile.RECORDSIZE)  # up to there a tar may be filled up with anything
    if any(file.read(_AHEAD)):
        raise DataError(
            f"{shard}: goes on after its end at byte {end:,}, as tars joined by cat do; "
            "unpack it with tar --ignore-zeros, and pack it again"
        )


def _member(shard: Path, info: tarfile.TarInfo, found: dict[str, Member]) -> Member | None:
    """None if it is no file: a folder, a symbolic link, a device."""
    if info.issparse():
        raise DataError(f"{shard}/{info.name}: is a sparse file; pack the shard without --sparse")
    if info.islnk() and info.linkname in found:
        target = found[info.linkname]
        return Member(shard, target.offset, target.size, info.name)
    return Member(shard, info.offset_data, info.size, info.name) if info.isreg() else None
