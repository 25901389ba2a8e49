"""What files of sound promise to hold, and whether they hold less: what tells a file that was cut from a whole one.

libsndfile says in its log where a chunk that counts, the one of the samples, is longer than what follows it. Other
lengths of headers are often wrong in whole files (recorders write the file's size for that of a RIFF) and say nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xm.data.member import File

UNKNOWN = 0x7FFF_0000
"""Writers to a pipe put this or more for the length in a header."""

_CHUNK = re.compile(r"(?:data|SSND|BODY|Data Size|Data length) *:? *(\d+) \(?should be (\d+)")
_FRAMES = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")
_W64 = re.compile(r"\briff : .*Block Align +: (\d+).*\ndata : (\d+)", re.DOTALL)
_W64_WHOLE = re.compile(r"\briff : (\d+) \(should be (\d+)")
_GUID = 24
"""Bytes of a W64 chunk's head, which its length counts."""
_NIST = re.compile(rb"sample_count -i (\d+)")
_TRUNCATED = "truncated file"
_PLAIN = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Kinds of samples that have equal numbers of bytes each."""

_PAGE = 27
"""Bytes of an Ogg page's head before its table of lengths."""
_TAIL = 1 << 17
"""More than two pages of the largest size."""

_HEADER_FRAME = 4096
"""More bytes than an MPEG frame has."""


def is_cut(log: str, subtype: str, frames: int, start: bytes) -> bool:
    """Whether a file that libsndfile opened holds less than its header says.

    Args:
        log: libsndfile's.
        subtype: how samples are stored, as soundfile calls it.
        frames: that it holds.
        start: its first bytes, 1024 of them if there are as many.
    """
    for said, real in _CHUNK.findall(log):
        if int(real) < int(said) < UNKNOWN:
            return True
    for real, said in _FRAMES.findall(log):
        if int(real) < int(said):
            return True
    plain, found, whole = subtype.startswith(_PLAIN), _W64.search(log), _W64_WHOLE.search(log)
    if not plain and whole and int(whole[2]) < int(whole[1]):
        return True
    if found and plain and frames * int(found[1]) < int(found[2]) - _GUID:
        return True
    counted = _NIST.search(start) if start.startswith(b"NIST_1A") else None
    return _TRUNCATED in log or (counted is not None and frames < int(counted[1]))


def ogg_lacks_end(file: File, size: int) -> bool:
    """Whether the last page of an Ogg file is not whole, or not flagged as its stream's last."""
    with file.open("rb") as stream:
        stream.seek(max(0, size - _TAIL))
        tail = stream.read()
    at = tail.rfind(b"OggS")
    page = tail[at:] if at >= 0 else b""
    if len(page) < _PAGE or len(page) < _PAGE + page[26]:
        return True
    whole = _PAGE + page[26] + sum(page[_PAGE : _PAGE + page[26]])
    return len(page) < whole or not page[5] & 4


@dataclass(frozen=True)
class Mpeg:
    """What an MPEG audio file (MP3) holds, by its packets.

    Attributes:
        packets: how many there are, a frame each.
        samples: in all of them.
        promised: packets, as its header frame (Xing, Info, VBRI) says; None if there is no such frame.
    """

    packets: int
    samples: int
    promised: int | None

    @property
    def cut(self) -> bool:
        """Whether it holds fewer than it promises."""
        return self.promised is not None and self.packets < 0.99 * self.promised

    @property
    def joined(self) -> bool:
        """Whether it holds more: several files in one, of which the first one's header frame counts its own."""
        return self.promised is not None and self.packets > self.promised + 2


def promised_packets(file: File, end: int) -> int | None:
    """What the header frame of an MPEG audio file says; it lies before the first packet's `end`, or is that packet."""
    with file.open("rb") as stream:
        stream.seek(max(0, end - _HEADER_FRAME))
        head = stream.read(min(end, _HEADER_FRAME))
    for mark in (b"Xing", b"Info"):
        at = head.rfind(mark)
        if at >= 0 and len(head) >= at + 12:
            return int.from_bytes(head[at + 8 : at + 12], "big") if head[at + 7] & 1 else None
    at = head.rfind(b"VBRI")
    return int.from_bytes(head[at + 14 : at + 18], "big") if 0 <= at <= len(head) - 18 else None
