"""A checkpoint on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from xm.errors import PluginError, UsageError


def fetch(place: str) -> Path:
    """The file ``ORG/NAME/FILE``, from the hub's local cache if it is there, else downloaded.

    Raises:
        UsageError: if the place is not of that form, or the hub has no such file.
        PluginError: if the file is not here and the network is off or fails.
    """
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)/(.+)", place)
    if not match:
        raise UsageError(f"audioclip:hf-hub:{place}: expected audioclip:hf-hub:ORG/NAME/CHECKPOINT.pt")
    try:
        from huggingface_hub import errors, hf_hub_download, try_to_load_from_cache
    except ImportError as error:
        raise PluginError("huggingface_hub is not installed; try: pip install huggingface_hub") from error
    repo, name = match.groups()
    cached = try_to_load_from_cache(repo, name)
    if isinstance(cached, str):
        return Path(cached)
    try:
        return Path(hf_hub_download(repo, name))
    except errors.LocalEntryNotFoundError as error:
        raise PluginError(_unreachable(repo, name)) from error
    except errors.GatedRepoError as error:
        raise PluginError(f"{repo} asks for consent on https://huggingface.co/{repo}; then: hf auth login") from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(f"there is no public repository {repo!r} on huggingface.co") from error
    except errors.EntryNotFoundError as error:
        raise UsageError(f"repository {repo!r} on huggingface.co has no {name}") from error
    except OSError as error:
        raise PluginError(_unreachable(repo, name)) from error


def _unreachable(repo: str, name: str) -> str:
    return (
        f"{name} of {repo} is not on this machine, and huggingface.co can't be reached (or HF_HUB_OFFLINE is set); "
        "name a local file: audioclip:CHECKPOINT.pt"
    )
