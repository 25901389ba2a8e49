"""Files of the Hugging Face hub: found in the local cache without its client, downloaded with it.

What is downloaded is told before, with its size and licence.

The cache's layout: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xm.foundation.errors import PluginError, UsageError
from xm.foundation.events import log
from xm.plugins.weights import Weights, told

MAIN = "main"
"""The revision that is meant where none is named."""

_REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")


def cache_dir() -> Path:
    """The folder where the hub's client keeps files, by its environment variables."""
    root = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if not root:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        root = str(Path(os.environ.get("HF_HOME") or Path(cache, "huggingface"), "hub"))
    return Path(os.path.expandvars(root)).expanduser()


def parsed(text: str) -> tuple[str, str] | None:
    """Repository and revision of "ORG/NAME" or "ORG/NAME@REVISION"; None if it is neither.

    A revision is a branch, a tag or a commit; `MAIN` if none is named.
    """
    match = _REPOSITORY.fullmatch(text)
    if match is None or text.startswith("."):
        return None
    return match[1], match[2] or MAIN


def held(repo: str, revision: str = MAIN) -> Path | None:
    """The folder of the local cache with files of the repository at a revision, not all of them perhaps; or None."""
    folder = _folder(repo)
    try:
        commit = (folder / "refs" / revision).read_text(encoding="utf-8").strip()
    except OSError:
        commit = revision
    snapshot = folder / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def cached(repo: str, name: str, revision: str = MAIN) -> Path | None:
    """The file of the repository in the local cache, or None."""
    folder = held(repo, revision)
    path = folder / name if folder else None
    return path if path is not None and path.is_file() else None


def fetch(repo: str, names: Sequence[str], otherwise: str, revision: str = MAIN) -> Path:
    """The first of `names` that is in the local cache, else the first that can be downloaded.

    Args:
        repo: ORG/NAME.
        names: of files.
        otherwise: what to type if there is no network: "name a local file: audioclip:FILE.pt".
        revision: a branch, a tag or a commit.

    Raises:
        UsageError: if it can't be a repository's name, there is no such repository or revision, or it has none of the
            files.
        PluginError: if the file is not here and the network is off or fails, or the client is not installed.
    """
    for name in names:
        if path := cached(repo, name, revision):
            return path
    hub = client()
    for name in names:
        with _faults(repo, name, otherwise, revision):
            try:
                _tell_of(hub, repo, name, revision)
                return Path(hub.hf_hub_download(repo, name, revision=revision))
            except hub.errors.LocalEntryNotFoundError:
                raise
            except hub.errors.EntryNotFoundError:
                continue
    raise UsageError(f"repository {repo!r} on huggingface.co has no {' or '.join(names)}")


def snapshot(
    repo: str,
    needs: Sequence[Sequence[str]],
    choose: Callable[[Sequence[str]], Sequence[str]],
    otherwise: str,
    revision: str = MAIN,
) -> Path:
    """The folder with a repository's files, all that are chosen of them.

    Without asking the network where the local cache holds one of each of `needs`.

    Args:
        repo: ORG/NAME.
        needs: names of files, one of each group of which there must be.
        choose: which to download, of the names of all files.
        otherwise: what to type if there is no network.
        revision: a branch, a tag or a commit.

    Raises:
        UsageError: if there is no such repository or revision, or it lacks what is needed.
        PluginError: if files are not here and the network is off or fails, or the client is not installed.
    """
    here = held(repo, revision)
    lacking = missing_of(here, needs)
    if here is not None and lacking is None:
        return here
    lacking = lacking or needs[0]
    hub = client()
    with _faults(repo, " or ".join(lacking), otherwise, revision):
        names, size, said = _described(hub, repo, choose, revision)
        _tell(repo, size, said)
        folder = Path(hub.snapshot_download(repo, revision=revision, allow_patterns=names))
    if lost := missing_of(folder, needs):
        raise UsageError(f"repository {repo!r} on huggingface.co has no {' or '.join(lost)}")
    return folder


def missing_of(folder: Path | None, needs: Sequence[Sequence[str]]) -> Sequence[str] | None:
    """The first group of names of which a folder has none, or None."""
    return next((names for names in needs if folder is None or not any((folder / n).is_file() for n in names)), None)


def weights(
    repo: str,
    names: Sequence[str],
    otherwise: str,
    revision: str = MAIN,
    parts: Callable[[Sequence[str]], Sequence[str]] | None = None,
) -> Weights:
    """What is known of a repository's weights: the first of `names` that is here, else what can be downloaded.

    Asks the network for their size and licence if they are not here; without it they are not known.

    Args:
        repo: ORG/NAME.
        names: of files, of which the first that there is is meant.
        otherwise: what to type if there is no network.
        revision: a branch, a tag or a commit.
        parts: of the names of all files, those that count where weights are in several; None: the one.
    """
    found = [path for name in names if (path := cached(repo, name, revision))][:1]
    name = repo if revision == MAIN else f"{repo}@{revision}"
    if found:
        beside = [
            str(path.relative_to(found[0].parent)) for path in sorted(found[0].parent.rglob("*")) if path.is_file()
        ]
        paths = [
            path for part in (parts(beside) if parts else ()) if (path := found[0].parent / part).is_file()
        ] or found
        here = sum(path.stat().st_size for path in paths)
        return Weights(name, "huggingface.co", tuple(paths), here, licence(repo, revision))
    chosen = parts or (lambda held: [name for name in names if name in held][:1])
    try:
        with _faults(repo, names[0], otherwise, revision):
            _, size, said = _described(client(), repo, chosen, revision)
    except (PluginError, UsageError):
        size, said = None, ""
    return Weights(name, "huggingface.co", (), size, said, get=lambda: fetch(repo, names, otherwise, revision))


def licence(repo: str, revision: str = MAIN) -> str:
    """What the cached page of a repository (README.md) states; "" if it is not here or states none."""
    page = cached(repo, "README.md", revision)
    if page is None:
        return ""
    head = page.read_text(encoding="utf-8", errors="replace").split("---")
    found = re.search(r"^license:\s*(\S+)", head[1] if len(head) > 2 else "", re.MULTILINE)
    return found[1] if found else ""


def client() -> Any:
    """The hub's client, as a module.

    Raises:
        PluginError: if it is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.errors  # as an attribute
    except ImportError as error:
        raise PluginError("huggingface_hub is not installed; try: pip install huggingface_hub") from error
    return huggingface_hub


@contextmanager
def _faults(repo: str, name: str, otherwise: str, revision: str) -> Iterator[None]:
    """What the client raises, as a line that says what to do."""
    errors = client().errors
    try:
        yield
    except errors.GatedRepoError as error:
        raise PluginError(
            f"{repo} asks for consent: accept its terms at https://huggingface.co/{repo}, "
            "then log in with: hf auth login"
        ) from error
    except errors.HFValidationError as error:
        raise UsageError(f"{repo!r} is no repository's name on huggingface.co; type ORG/NAME") from error
    except errors.RevisionNotFoundError as error:
        raise UsageError(f"repository {repo!r} on huggingface.co has no revision {revision!r}") from error
    except errors.RepositoryNotFoundError as error:
        raise UsageError(f"there is no public repository {repo!r} on huggingface.co") from error
    except (OSError, errors.HTTPError) as error:  # of the client, and of the network, as its HTTP library raises them
        raise PluginError(_missing(repo, name, otherwise)) from error


def _tell_of(hub: Any, repo: str, name: str, revision: str) -> None:
    """Say what is about to be downloaded, if the hub tells."""
    try:
        _, size, said = _described(hub, repo, lambda held: [name] if name in held else [], revision)
    except (OSError, hub.errors.HfHubHTTPError):  # the download itself says what is wrong
        return
    _tell(repo, size, said)


_LARGE = 1_000_000
"""Bytes from which a download is told."""


def _tell(repo: str, size: int | None, said: str) -> None:
    """Say what is about to be downloaded, if it is as large as weights are."""
    if size is not None and size >= _LARGE:
        log.warning("downloading %s", told(Weights(repo, "huggingface.co", (), size, said)))


def _described(
    hub: Any, repo: str, choose: Callable[[Sequence[str]], Sequence[str]], revision: str
) -> tuple[list[str], int | None, str]:
    """The chosen files, their bytes, None if the hub does not say, and the licence, "" if it does not say that."""
    info = hub.HfApi().model_info(repo, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings or ()}
    names = list(choose(list(sizes)))
    chosen = [sizes[name] for name in names]
    said = (info.card_data or {}).get("license") or ""
    size = sum(chosen) if chosen and None not in chosen else None
    return names, size, said if isinstance(said, str) else ", ".join(map(str, said))


def _folder(repo: str) -> Path:
    return cache_dir() / f"models--{repo.replace('/', '--')}"


def _missing(repo: str, name: str, otherwise: str) -> str:
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    why = "HF_HUB_OFFLINE is set" if offline else "huggingface.co can't be reached"
    return (
        f"{name} of {repo} is not on this machine and {why}: copy {_folder(repo)} from a machine that has it, "
        f"or {otherwise}"
    )
