"""The dataset `digits` runs the kit."""

from __future__ import annotations

from pathlib import Path

import pytest

from xm import DatasetSpec
from xm.plugins import manager
from xm.testing import DatasetConformance


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


class TestConformance(DatasetConformance):
    @pytest.fixture
    def spec(self) -> DatasetSpec:
        return manager().datasets.find("digits")

    @pytest.fixture
    def cache(self, shared: Path) -> Path:
        return shared
