"""The strategies `coop`, `cocoop` and `prograd`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from xm import StrategySpec
from xm.plugins import manager
from xm.testing import StrategyConformance


class TestCoOp(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = {"n_ctx": 4, "steps": 10}

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("coop")


class TestClassSpecificCoOp(TestCoOp):
    settings: ClassVar[Mapping[str, Any]] = {"init": "a photo of a", "csc": True, "position": "middle", "steps": 10}


class TestAveragedCoOp(TestCoOp):
    settings: ClassVar[Mapping[str, Any]] = {"n_ctx": 4, "steps": 10, "average": 0.9, "keep": "last"}


class TestCoCoOp(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = {"steps": 6, "chunk": 16}

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("cocoop")


class TestProGrad(StrategyConformance):
    settings: ClassVar[Mapping[str, Any]] = {"n_ctx": 6, "steps": 10}

    @pytest.fixture
    def spec(self) -> StrategySpec:
        return manager().strategies.find("prograd")
