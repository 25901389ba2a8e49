"""The predictor `argmax` passes the kit."""

from __future__ import annotations

import pytest

from xm import PredictorSpec
from xm.plugins.plugin_manager import manager
from xm.testing import PredictorConformance


class TestArgmax(PredictorConformance):
    @pytest.fixture
    def spec(self) -> PredictorSpec:
        return manager().predictors.find("argmax")
