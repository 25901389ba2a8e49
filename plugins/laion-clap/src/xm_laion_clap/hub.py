"""Models of the Hugging Face hub: found in the local cache without its client, downloaded with it.

The cache's layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from xm.errors import PluginError, UsageError

DEFAULT = "laion/clap-htsat-unfused"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_NEEDED = ("transformers", "safetensors", "soundfile", "torchaudio")


def why_not() -> str | None:
    """None if packages and the default weights are here, else what is missing and what to type."""
    missing = [package for package in _NEEDED if find_spec(package) is None]
    if missing:
        return f"{', '.join(missing)} not installed; try: pip install {' '.join(missing)}"
    snapshot = cached(DEFAULT)
    if snapshot is not None and any((snapshot / name).is_file() for name in WEIGHTS):
        return None
    return f"no CLAP weights on this machine; name a model to download it: --audio-encoder laion-clap:{DEFAULT}"


def cached(repo: str) -> Path | None:
    """The folder of the repository's main branch in the local cache, whole or in part; None if there is none."""
    root = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if not root:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        root = str(Path(os.environ.get("HF_HOME") or Path(cache, "huggingface"), "hub"))
    folder = Path(os.path.expandvars(root)).expanduser() / f"models--{repo.replace('/', '--')}"
    try:
        snapshot = folder / "snapshots" / (folder / "refs" / "main").read_text().strip()
    except OSError:
        return None
    return snapshot if snapshot.is_dir() else None


def fetch(repo: str, names: tuple[str, ...]) -> Path:
    """The first of the files that is in the local cache, else the first that can be downloaded.

    Raises:
        UsageError: if there is no such repository, or it has none of the files.
        PluginError: if none is here and the network is off or fails.
    """
    snapshot = cached(repo)
    found = [snapshot / name for name in names if (snapshot / name).is_file()] if snapshot else []
    if found:
        return found[0]
    from huggingface_hub import errors, hf_hub_download

    for name in names:
        try:
            return Path(hf_hub_download(repo, name))
        except errors.GatedRepoError as error:
            raise PluginError(
                f"{repo} asks for consent: accept its terms at https://huggingface.co/{repo}, then: hf auth login"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise UsageError(f"there is no public repository {repo!r} on huggingface.co") from error
        except errors.LocalEntryNotFoundError as error:
            raise PluginError(_missing(repo, name)) from error
        except errors.EntryNotFoundError:
            continue
        except OSError as error:
            raise PluginError(_missing(repo, name)) from error
    raise UsageError(f"repository {repo!r} on huggingface.co has no {' or '.join(names)}")


def _missing(repo: str, name: str) -> str:
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    why = "HF_HUB_OFFLINE is set" if offline else "huggingface.co can't be reached"
    return (
        f"{name} of {repo} is not on this machine and {why}; name a folder that has it: laion-clap:FOLDER "
        "(made by ClapModel.save_pretrained, or a copy of the repository)"
    )
