"""Files of features that are damaged, or that someone made to do harm: a dataset, or one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import FILES, TENSORS, changed
from hypothesis import HealthCheck, given, settings, strategies as st
from safetensors.numpy import save_file

from xm import XMError
from xm_datasets.features.dataset import open_features

QUICK = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found: dict[str, Any] = {}
    for name, n in (("train_image", 6), ("test_image", 6), ("train_text", 3)):
        found[name] = rng.standard_normal((n, 4)).astype(np.float32)
        found[f"{name}_y"] = np.arange(n) % 3
    return found


def read(path: Path) -> None:
    try:
        dataset = open_features(str(path), suffixes={".txt": "text"}, cache=path.parent)
        assert all(s.label is None or 0 <= s.label < len(dataset.classes) for s in dataset.samples)
    except XMError as error:
        assert "\n" not in str(error), str(error)


@pytest.fixture
def safetensors(tmp_path: Path) -> Path:
    save_file(arrays(), tmp_path / "f.safetensors", {"classes": '["a", "b", "c"]'})
    return tmp_path / "f.safetensors"


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    np.savez(tmp_path / "f.npz", **arrays(), classes=np.array(["a", "b", "c"]))
    return tmp_path / "f.npz"


@pytest.mark.parametrize("change", [*FILES, *TENSORS.values()], ids=[*(f.__name__ for f in FILES), *TENSORS])
def test_safetensors_of_another_content(change: Callable[[Path], None], safetensors: Path) -> None:
    change(safetensors)
    read(safetensors)


@pytest.mark.parametrize("change", FILES)
def test_npz_of_another_content(change: Callable[[Path], None], npz: Path) -> None:
    change(npz)
    read(npz)


@QUICK
@given(data=st.data())
def test_npz_of_other_bytes(data: st.DataObject, npz: Path) -> None:
    content = bytearray(npz.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    other = npz.with_name("other.npz")
    other.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    read(other)


@QUICK
@given(data=st.data())
def test_arrays_of_other_values(data: st.DataObject, npz: Path) -> None:
    plain = {name: value.tolist() for name, value in arrays().items()}
    other = npz.with_name("other.npz")
    np.savez(other, **{name: np.array(value, dtype=_kind(value)) for name, value in data.draw(changed(plain)).items()})
    read(other)


def _kind(value: Any) -> Any:
    try:
        np.array(value)
    except (ValueError, OverflowError):
        return object
    return None
