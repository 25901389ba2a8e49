"""Which modality a file is of, by its suffix, as the registered encoders say, and where they do not agree."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xm.plugins.registry import Registry
from xm.plugins.specs import EncoderSpec

log = logging.getLogger("xm.data")


@dataclass(frozen=True)
class Claim:
    """A plugin's word that files of a suffix are of its encoder's modality."""

    plugin: str
    spec: EncoderSpec


class Suffixes(dict[str, str]):
    """File suffix to modality; where encoders of several modalities read a suffix, `of` looks at the file.

    The modality of a suffix, where no file is looked at, is the one that most plugins claim it for, of equals the
    first registered. A claim that depends on a look (`EncoderSpec.looks`) counts only where all do. An encoder whose
    module is missing wins nothing by its claim.

    Args:
        claims: by suffix, in the order of registration.
        told: what was warned of; it is added to.
    """

    def __init__(self, claims: Mapping[str, Sequence[Claim]], told: set[str]) -> None:
        self._claims = claims
        self._told = told
        super().__init__((suffix, _of_most(found)) for suffix, found in claims.items())

    @property
    def modalities(self) -> frozenset[str]:
        """Every modality of which an encoder reads files."""
        return frozenset(claim.spec.modality for found in self._claims.values() for claim in found)

    def among(self, modalities: Collection[str]) -> Suffixes:
        """The suffixes that encoders of these modalities read, for these modalities."""
        kept = {s: [claim for claim in found if claim.spec.modality in modalities] for s, found in self._claims.items()}
        return Suffixes({suffix: found for suffix, found in kept.items() if found}, self._told)

    def of(self, suffix: str, path: Path | None = None) -> str:
        """The modality of a file of a known suffix: of which an encoder says that the file is its, else of the most.

        Args:
            suffix: of the file, lower case.
            path: where it is; None: it can't be looked at.

        Raises:
            PluginError: if looking fails.
        """
        found = self._claims.get(suffix, ())
        if len(_modalities(found)) < 2:
            return self[suffix]
        if path is not None and path.is_file():
            looks = {claim.spec.looks: claim.spec.fits(path) for claim in _present(found) if claim.spec.looks}
            told = [claim for claim in found if looks.get(claim.spec.looks)]
            if told:
                return _of_most(told)
        claims = [claim for claim in found if not claim.spec.looks] or found
        chosen = _of_most(claims)
        if len(_modalities(claims)) > 1:
            self._warn(claims, chosen)
        return chosen

    def _warn(self, claims: Sequence[Claim], chosen: str) -> None:
        """Each plugin that is not followed is told of once."""
        first = next(claim.plugin for claim in claims if claim.spec.modality == chosen)
        for claim in claims:
            other = claim.spec.modality
            key = f"{claim.plugin}/{other}/{chosen}"
            if other == chosen or key in self._told:
                continue
            self._told.add(key)
            both = [s for s, of in self.items() if of == chosen and claim in self._claims[s]]
            log.warning(
                "plugin %r reads %s as %s, plugin %r as %s: such files are taken for %s; to have them as %s say so: "
                "--data %s:PATH",
                *(claim.plugin, ", ".join(sorted(both)), other, first, chosen, chosen, other, other),
            )


def claimed(encoders: Registry[EncoderSpec], plugins: Sequence[str]) -> dict[str, list[Claim]]:
    """What encoders claim, by suffix.

    Args:
        encoders: that are registered.
        plugins: in the order of their registration.
    """
    found: dict[str, list[Claim]] = {}
    owned = [Claim(encoders.plugin_of.get(name, name), spec) for name, spec in encoders.items()]
    places = {plugin: place for place, plugin in enumerate(plugins)}
    for claim in sorted(owned, key=lambda claim: places.get(claim.plugin, len(places))):  # of none: put there by hand
        for suffix in dict.fromkeys(claim.spec.suffixes):
            found.setdefault(suffix, []).append(claim)
    return found


def _modalities(claims: Iterable[Claim]) -> frozenset[str]:
    return frozenset(claim.spec.modality for claim in claims)


def _present(claims: Sequence[Claim]) -> Sequence[Claim]:
    """Without those of encoders that are not there; all, if none is."""
    return [claim for claim in claims if _is_there(claim.spec.target.partition(":")[0])] or claims


def _is_there(module: str) -> bool:
    try:
        return module in sys.modules or importlib.util.find_spec(module) is not None
    except Exception:  # a package above it may raise anything
        return False


def _of_most(claims: Sequence[Claim]) -> str:
    """The modality of most plugins, of equals the first."""
    if len(_modalities(claims)) > 1:
        claims = _present(claims)
        claims = [claim for claim in claims if not claim.spec.looks] or claims
    plugins: dict[str, set[str]] = {}
    for claim in claims:
        plugins.setdefault(claim.spec.modality, set()).add(claim.plugin)
    return max(plugins, key=lambda modality: len(plugins[modality]))
