"""Specs by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from xm.foundation.errors import unknown
from xm.plugins.specs import Spec

S = TypeVar("S", bound=Spec)


class Registry(dict[str, S], Generic[S]):
    """Specs of one hook by name (`Spec.key`); `find` answers an unknown name with the nearest one.

    Attributes:
        kind: what they are, in a word.
        plugin_of: the plugin of each name.
        left_out: plugins by a name that they give too, but that was another's already.
    """

    def __init__(self, kind: str, specs: Iterable[tuple[str, S]], left_out: Mapping[str, list[str]]) -> None:
        super().__init__((spec.key, spec) for _, spec in specs)
        self.kind = kind
        self.plugin_of = {spec.key: plugin for plugin, spec in specs}
        self.left_out = left_out

    def find(self, name: str) -> S:
        """The spec of that name.

        Raises:
            UsageError: if there is none; it names the nearest.
        """
        try:
            return self[name]
        except KeyError:
            raise unknown(self.kind, name, self, "xm plugins list") from None
