"""Every objective, in every form, passes the kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from xm import ObjectiveSpec
from xm.plugins import manager
from xm.testing import PairObjectiveConformance


class Named(PairObjectiveConformance):
    name: ClassVar[str] = ""

    @pytest.fixture
    def spec(self) -> ObjectiveSpec:
        return manager().objectives.find(self.name)


class TestNce(Named):
    name = "nce"


class TestNceSymmetric(Named):
    name = "nce"
    settings: ClassVar[Mapping[str, Any]] = {"symmetric": True}


class TestNceDrawn(Named):
    name = "nce"
    settings: ClassVar[Mapping[str, Any]] = {"negatives": 3}
    draws = True


class TestNceMargin(Named):
    name = "nce"
    settings: ClassVar[Mapping[str, Any]] = {"form": "margin", "margin": 0.5}


class TestTriplet(Named):
    name = "triplet"


class TestTripletAll(Named):
    name = "triplet"
    settings: ClassVar[Mapping[str, Any]] = {"negatives": "all"}


class TestInfoLoob(Named):
    name = "infoloob"


class TestInfoLoobTrained(Named):
    name = "infoloob"
    settings: ClassVar[Mapping[str, Any]] = {"learn_temperature": True}


class TestInfoLoobAlone(Named):
    name = "infoloob"
    settings: ClassVar[Mapping[str, Any]] = {"beta": 0}


class TestCwcl(Named):
    name = "cwcl"


class TestGeodesicMixup(Named):
    name = "geodesic-mixup"
    draws = True


class TestGeodesicMixupM3(Named):
    name = "geodesic-mixup"
    settings: ClassVar[Mapping[str, Any]] = {
        "v": 0.05,
        "l": 0.05,
        "vl": 0.1,
        "learn_temperature": True,
        "temperature": 0.07,
    }
    draws = True


class TestSupCon(Named):
    name = "supcon"


class TestSupConWithin(Named):
    name = "supcon"
    settings: ClassVar[Mapping[str, Any]] = {"within": True, "learn_temperature": True}


class TestSigLip(Named):
    name = "siglip"


class TestSigLipIgnored(Named):
    name = "siglip"
    settings: ClassVar[Mapping[str, Any]] = {"same_group": "ignored"}


class TestLook(Named):
    name = "look"


class TestLookFew(Named):
    name = "look"
    settings: ClassVar[Mapping[str, Any]] = {"k": 2, "learn_temperature": True}


class TestLookWithin(Named):
    name = "look"
    settings: ClassVar[Mapping[str, Any]] = {"within": True}
