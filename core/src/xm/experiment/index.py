"""What a run says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xm.foundation.errors import RunError
from xm.foundation.layout import ALIGNMENT, FORMAT, INDEX


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a run of ``xm train``.

    Raises:
        RunError: if it is none, is damaged, or was written by another format of xm.
    """
    path = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise RunError(f"{folder}: not a run folder ({INDEX}: {why})") from None
    except ValueError as error:
        raise RunError(f"{path}: damaged ({error})") from None
    found = index.get("format") if isinstance(index, dict) else None
    if found != FORMAT:
        raise RunError(
            f"{path}: format {found!r}, but this xm reads {FORMAT}; train again, or install the xm that wrote it"
        )
    if index.get("kind") == ALIGNMENT:
        raise RunError(
            f"{folder}: is an alignment, not a classifier; name it as an encoder: --<modality>-encoder {folder}"
        )
    missing = [key for key in ("classes", "dataset", "results", "settings", "ways") if not index.get(key)]
    if missing:
        raise RunError(f"{path}: damaged (without {', '.join(missing)})")
    return index
