"""Files of the Hugging Face hub: found in the local cache without its client, downloaded with it.

The cache's layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from xm.foundation.errors import PluginError, UsageError


def cache_dir() -> Path:
    """The folder where the hub's client keeps files, by its environment variables."""
    root = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if not root:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        root = str(Path(os.environ.get("HF_HOME") or Path(cache, "huggingface"), "hub"))
    return Path(os.path.expandvars(root)).expanduser()


def cached(repo: str, name: str) -> Path | None:
    """The file of the repository's main branch in the local cache, or None."""
    folder = _folder(repo)
    try:
        commit = (folder / "refs" / "main").read_text().strip()
    except OSError:
        return None
    path = folder / "snapshots" / commit / name
    return path if path.is_file() else None


def fetch(repo: str, names: Sequence[str], otherwise: str) -> Path:
    """The first of `names` that is in the local cache, else the first that can be downloaded.

    Args:
        repo: ORG/NAME.
        names: of files.
        otherwise: what to type if there is no network: "name a local file: audioclip:FILE.pt".

    Raises:
        UsageError: if it can't be a repository's name, there is no such repository, or it has none of the files.
        PluginError: if the file is not here and the network is off or fails, or the client is not installed.
    """
    for name in names:
        if path := cached(repo, name):
            return path
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise PluginError("huggingface_hub is not installed; try: pip install huggingface_hub") from error
    for name in names:
        try:
            return Path(hf_hub_download(repo, name))
        except errors.GatedRepoError as error:
            raise PluginError(
                f"{repo} asks for consent: accept its terms at https://huggingface.co/{repo}, "
                "then log in with: hf auth login"
            ) from error
        except errors.HFValidationError as error:
            raise UsageError(f"{repo!r} is no repository's name on huggingface.co; type ORG/NAME") from error
        except errors.RepositoryNotFoundError as error:
            raise UsageError(f"there is no public repository {repo!r} on huggingface.co") from error
        except errors.LocalEntryNotFoundError as error:
            raise PluginError(_missing(repo, name, otherwise)) from error
        except errors.EntryNotFoundError:
            continue
        except OSError as error:
            raise PluginError(_missing(repo, name, otherwise)) from error
    raise UsageError(f"repository {repo!r} on huggingface.co has no {' or '.join(names)}")


def _folder(repo: str) -> Path:
    return cache_dir() / f"models--{repo.replace('/', '--')}"


def _missing(repo: str, name: str, otherwise: str) -> str:
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    why = "HF_HUB_OFFLINE is set" if offline else "huggingface.co can't be reached"
    return (
        f"{name} of {repo} is not on this machine and {why}: copy {_folder(repo)} from a machine that has it, "
        f"or {otherwise}"
    )
