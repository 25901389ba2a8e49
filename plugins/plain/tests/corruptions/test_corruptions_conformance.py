"""Every view through the suite."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from xm import ViewSpec
from xm.plugins import manager
from xm.testing import ViewConformance
from xm_plain.corruptions import views

STRENGTHS = {"band": (3400.0, 1000.0), "shift": (0.05, 0.2), "jpeg": (25.0, 7.0), "zoom": (0.1, 1.0)}
DRAWN = ("noise", "zoom", "shift")


def _suite(name: str, modality: str) -> type[ViewConformance]:
    class Suite(ViewConformance):
        strengths: ClassVar[Any] = STRENGTHS.get(name)
        draws: ClassVar[bool] = name in DRAWN

        @pytest.fixture
        def spec(self) -> ViewSpec:
            return manager().views.find(ViewSpec.key_of(modality, name))

    return Suite


for _spec in views():
    _name = f"Test{_spec.modality.title()}{_spec.name.title()}"
    globals()[_name] = _suite(_spec.name, _spec.modality)
    globals()[_name].__name__ = _name
