"""What fails in the kit is shown with its values, as in a test file of one's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUITE = """
import pytest
import torch
from xm import Encoder, EncoderSpec
from xm.testing import EncoderConformance


class Short(Encoder):
    modality, space, dim = "text", "short", 5

    def fingerprint(self):
        return "1"

    def trunk(self, items):
        return {"features": torch.ones(len(items), 3)}


class TestShort(EncoderConformance):
    @pytest.fixture
    def spec(self):
        return EncoderSpec(name="short", target="a:b", modality="text")

    @pytest.fixture
    def items(self):
        return ["one", "two", "three"]

    @pytest.fixture
    def encoder(self):
        return Short()
"""


def test_a_wrong_shape_is_shown(tmp_path: Path) -> None:
    (tmp_path / "test_short.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "unit_norm", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120)
    assert done.returncode == 1
    assert "assert torch.Size([3, 3]) == (3, 5)" in done.stdout
    assert "PytestAssertRewriteWarning" not in done.stdout
