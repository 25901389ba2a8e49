"""A file inside an uncompressed tar, read where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an uncompressed tar. As an item it stands for its bytes, as a `Path` does.

    Attributes:
        path: of the tar.
        offset: where its bytes start in the tar.
        size: how many they are.
        name: in the tar, "train/0001.jpg".
    """

    path: Path
    offset: int
    size: int
    name: str

    def __str__(self) -> str:
        return f"{self.path}/{self.name}"

    @property
    def suffix(self) -> str:
        """Its last suffix, as of a `Path`."""
        return PurePosixPath(self.name).suffix

    @property
    def stem(self) -> str:
        """Its name without folders and last suffix, as of a `Path`."""
        return PurePosixPath(self.name).stem

    def as_posix(self) -> str:
        """The tar's path and the name in it, as of a `Path`."""
        return f"{self.path.as_posix()}/{self.name}"

    def is_file(self) -> bool:
        """Whether its tar is there."""
        return self.path.is_file()

    def open(self, mode: str = "rb") -> BytesIO:
        """Its bytes as a file; for reading only.

        Raises:
            OSError: as `read_bytes` does.
        """
        if mode != "rb":
            raise ValueError(f"a member of a tar is opened with mode 'rb', not {mode!r}")
        return BytesIO(self.read_bytes())

    def read_bytes(self) -> bytes:
        """Its bytes.

        Raises:
            OSError: if the tar is gone, can't be read, or ends before them.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read(self.size)
        if len(data) < self.size:
            raise OSError(f"the tar ends within it, {self.size - len(data)} bytes early")
        return data


File: TypeAlias = Path | Member
"""What has bytes under a name."""


def opened(item: str | File) -> Path | BytesIO:
    """What libraries that read files take: the path of a file, or a member's bytes as a file object.

    Raises:
        OSError: if it is a member that can't be read.
    """
    return item.open() if isinstance(item, Member) else Path(item)
