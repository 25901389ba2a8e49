"""What the Hugging Face hub's cache holds on this machine, and taking of it away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xm.plugins.hub import cache_dir, client, licence


@dataclass(frozen=True)
class Repository:
    """A model repository in the cache.

    Attributes:
        name: ORG/NAME.
        size: bytes on disk, of all its revisions.
        licence: as its page says, if that is in the cache; else "".
        used: when a file of it was read last, in seconds since 1970.
        commits: of its revisions.
        old: those that no branch and no tag points to: what later downloads left.
    """

    name: str
    size: int
    licence: str
    used: float
    commits: tuple[str, ...]
    old: tuple[str, ...]


def repositories() -> list[Repository]:
    """The model repositories in the cache, by name.

    Raises:
        PluginError: if the hub's client is not installed.
    """
    hub = client()
    try:
        found = hub.scan_cache_dir(cache_dir()).repos
    except (hub.errors.CacheNotFound, ValueError):
        return []
    models = [
        Repository(
            name=repo.repo_id,
            size=repo.size_on_disk,
            licence=licence(repo.repo_id),
            used=repo.last_accessed,
            commits=tuple(sorted(revision.commit_hash for revision in repo.revisions)),
            old=tuple(sorted(revision.commit_hash for revision in repo.revisions if not revision.refs)),
        )
        for repo in found
        if repo.repo_type == "model"
    ]
    return sorted(models, key=lambda repo: repo.name)


def delete(commits: Sequence[str], dry: bool = False) -> int:
    """Take revisions away; files that others share stay.

    Args:
        commits: of the revisions.
        dry: only count.

    Returns:
        The bytes that are freed.

    Raises:
        PluginError: if the hub's client is not installed.
    """
    if not commits:
        return 0
    plan = client().scan_cache_dir(cache_dir()).delete_revisions(*commits)
    if not dry:
        plan.execute()
    return int(plan.expected_freed_size)
