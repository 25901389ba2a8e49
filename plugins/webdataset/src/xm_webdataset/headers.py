"""Where the files of a tar lie."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Self

from xm.data.member import Member
from xm.errors import DataError

_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)
_MAGIC = {b"\x1f\x8b": "gunzip", b"BZ": "bunzip2", b"\xfd7": "unxz", b"\x28\xb5": "unzstd"}
"""First two bytes of compressed files, and what unpacks them."""


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
        DataError: if it is compressed, cut short, damaged or can't be read.
    """
    found: dict[str, Member] = {}
    try:
        with shard.open("rb") as file:
            tool = _MAGIC.get(file.read(2))
            if tool:
                raise DataError(f"{shard}: is compressed, so its files can't be read alone; unpack it first ({tool})")
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
                for info in tar:
                    member = _member(shard, info, found)
                    if member:
                        found.pop(info.name, None)
                        found[info.name] = member
                end = tar.offset
            file.seek(end)
            if any(file.read(tarfile.BLOCKSIZE)):  # tarfile takes a damaged header for the end
                raise DataError(f"{shard}: is damaged at byte {end:,}: no file's header is there; pack it again")
    except tarfile.TarError as error:
        raise DataError(f"{shard}: is no tar, or cut short ({error}); pack it again") from error
    except OSError as error:
        raise DataError(f"{shard}: can't be read: {error.strerror or error}") from error
    return list(found.values())


def _member(shard: Path, info: tarfile.TarInfo, found: dict[str, Member]) -> Member | None:
    """None if it is no file: a folder, a symbolic link, a device."""
    if info.issparse():
        raise DataError(f"{shard}/{info.name}: is a sparse file; pack the shard without --sparse")
    if info.islnk() and info.linkname in found:
        target = found[info.linkname]
        return Member(shard, target.offset, target.size, info.name)
    return Member(shard, info.offset_data, info.size, info.name) if info.isreg() else None
