"""Adapters against their formula: W + s B A, in attention, linear layers and convolutions of single pixels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, multi_head_attention_forward

from xm import UsageError
from xm.learning import Inputs, Tower, Towers
from xm_lora.adapters import Adapters, check_used, merged
from xm_lora.attention import Attention

WIDTH, HEADS = 32, 2
QKV = ("q_proj", "k_proj", "v_proj")


def plain_attention(fused: nn.MultiheadAttention, weight: Tensor, x: Tensor, mask: Tensor | None) -> Tensor:
    """PyTorch's own function, with other q, k and v matrices: (n, length, width)."""
    turned = x.transpose(0, 1)
    out, _ = multi_head_attention_forward(
        turned, turned, turned, WIDTH, HEADS, weight, fused.in_proj_bias, None, None, False, 0.0,
        fused.out_proj.weight, fused.out_proj.bias, need_weights=False, attn_mask=mask,
    )  # fmt: skip
    return out.transpose(0, 1)


@pytest.mark.parametrize("masked", (False, True))
@pytest.mark.parametrize(("root", "scale"), ((True, 3 / math.sqrt(2)), (False, 3 / 2)))
def test_attention_is_w_plus_s_b_a(root: bool, scale: float, masked: bool) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        fused = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        nn.init.normal_(fused.in_proj_bias)
        towers = Towers({"image": Tower(nn.ModuleDict({"attn": fused}))})
        Adapters(QKV, 2, 3, 0.25, root).put_into(towers)
        ours = towers["image"].map["attn"]
        x = torch.randn(3, 5, WIDTH)
        mask = torch.full((5, 5), -math.inf).triu(1) if masked else None
        before = plain_attention(fused, fused.in_proj_weight, x, mask)
        torch.testing.assert_close(ours.eval()(x, x, x, attn_mask=mask)[0], before, atol=1e-5, rtol=1e-5)
        assert torch.equal(ours.train()(x, x, x, attn_mask=mask)[0], ours.eval()(x, x, x, attn_mask=mask)[0])
        for name, parameter in ours.named_parameters():
            assert parameter.requires_grad == ("lora_" in name)
            if "lora_B" in name:
                nn.init.normal_(parameter)
        changes = [
            layer.lora_B["default"].weight @ layer.lora_A["default"].weight
            for layer in (ours.q_proj, ours.k_proj, ours.v_proj)
        ]
        expected = plain_attention(fused, fused.in_proj_weight + scale * torch.cat(changes), x, mask)
        torch.testing.assert_close(ours.eval()(x, x, x, attn_mask=mask)[0], expected, atol=1e-5, rtol=1e-4)
        assert (expected - before).abs().max() > 0.1
        torch.manual_seed(5)
        got = ours.q_proj.train()(x)
        torch.manual_seed(5)
        dropped = torch.nn.functional.dropout(x, 0.25)
        w, b = fused.in_proj_weight[:WIDTH], fused.in_proj_bias[:WIDTH]
        torch.testing.assert_close(got, linear(x, w, b) + scale * linear(dropped, changes[0]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("batch_first", (True, False))
@pytest.mark.parametrize("mask", ("none", "bool", "each"))
def test_attention_taken_apart_is_pytorchs(batch_first: bool, mask: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        fused = nn.MultiheadAttention(WIDTH, HEADS, kdim=10, vdim=12, bias=False, batch_first=batch_first).eval()
        ours = Attention(fused)
        q, k, v = (torch.randn(3, length, d) for length, d in ((4, WIDTH), (6, 10), (6, 12)))
        masks = {"none": None, "bool": torch.ones(4, 6).triu(1).bool(), "each": torch.randn(3 * HEADS, 4, 6)}
        if not batch_first:
            q, k, v = (x.transpose(0, 1) for x in (q, k, v))
        expected = fused(q, k, v, need_weights=False, attn_mask=masks[mask])[0]
        found = ours(q, k, v, need_weights=False, attn_mask=masks[mask])[0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("causal", (False, True))
def test_pytorchs_encoder_layer_with_padding(causal: bool) -> None:
    """Taken apart it is the same, and it has no shortcut around adapters in evaluation."""
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 48, dropout=0.0, activation="gelu", batch_first=True).eval()
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval()
    x, padding = torch.randn(3, 5, WIDTH), torch.arange(5) >= torch.tensor([[5], [3], [2]])
    mask = torch.ones(5, 5).triu(1).bool() if causal else None
    with torch.no_grad():
        before = encoder(x, mask=mask, src_key_padding_mask=padding)[~padding]
    towers = Towers({"text": Tower(encoder)})
    Adapters((*QKV, "linear1"), 2, 2, 0.0, False).put_into(towers)
    for parameter in (p for p in encoder.parameters() if p.requires_grad):
        nn.init.normal_(parameter)
    found = {}
    with torch.no_grad():
        for mode in (True, False):
            found[mode] = encoder.train(mode)(x, mask=mask, src_key_padding_mask=padding)[~padding]
        torch.testing.assert_close(found[True], found[False], atol=1e-5, rtol=1e-4)
        assert (found[False] - before).abs().max() > 0.1
        for name, parameter in encoder.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
        after = encoder(x, mask=mask, src_key_padding_mask=padding)[~padding]
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ("bias_k", "weights"))
def test_attention_that_can_not_be_taken_apart(kind: str) -> None:
    fused = nn.MultiheadAttention(8, 2, add_bias_kv=kind == "bias_k", batch_first=True)
    x = torch.zeros(1, 2, 8)
    with pytest.raises(ValueError, match="taken apart"):
        Attention(fused)(x, x, x, need_weights=True)


class Convolutions(nn.Module):
    """Reads ``maps`` (n, 3, 4, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 5, 3, padding=1)
        self.point = nn.Conv2d(5, 6, 1)
        self.idle = nn.Linear(6, 6)

    def forward(self, x: Inputs) -> Tensor:
        return linear(self.point(self.wide(x["maps"])).mean(dim=(2, 3)), self.idle.weight)


def test_a_convolution_of_single_pixels_is_a_linear_layer() -> None:
    towers = Towers({"image": Tower(Convolutions())})
    x = {"maps": torch.randn(2, 3, 4, 4)}
    before = towers["image"](x)
    Adapters(("point",), 2, 4, 0.0, False).put_into(towers)
    torch.testing.assert_close(towers["image"](x), before)
    check_used(towers, {"image": x})
    point = towers["image"].map.point
    nn.init.normal_(point.lora_B["default"].weight)
    change = point.lora_B["default"].weight.flatten(1) @ point.lora_A["default"].weight.flatten(1)
    maps = torch.randn(2, 5, 4, 4)
    base = point.base_layer
    expected = torch.einsum("oi,nihw->nohw", base.weight.flatten(1) + 2 * change, maps) + base.bias[:, None, None]
    torch.testing.assert_close(point(maps), expected, atol=1e-5, rtol=1e-4)


def test_a_layer_that_is_passed_by_is_refused() -> None:
    towers = Towers({"image": Tower(Convolutions())})
    Adapters(("point", "idle"), 2, 4, 0.0, False).put_into(towers)
    with pytest.raises(UsageError, match=r"^idle of the image encoder can't be adapted") as caught:
        check_used(towers, {"image": {"maps": torch.randn(2, 3, 4, 4)}})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "here"), (("wide", "idle, point"), ("wid", "idle, point")))
def test_only_linear_maps_are_adapted(name: str, here: str) -> None:
    with pytest.raises(UsageError, match=rf"has no layer {name} to adapt; .*here: {here}"):
        Adapters((name,), 2, 4, 0.0, False).put_into(Towers({"image": Tower(Convolutions())}))


def test_towers_that_are_not_opened_stay_as_they_are() -> None:
    towers = Towers({"image": Tower(Convolutions().requires_grad_(False))})
    before = {name: value.clone() for name, value in towers.state_dict().items()}
    Adapters(("point",), 2, 4, 0.0, False).put_into(towers)
    assert towers.state_dict().keys() == before.keys()


@pytest.mark.parametrize("modules", (QKV, ("q_proj",), ("out_proj",), ("linear1", "v_proj")))
def test_merged_weights_fit_a_tail_without_adapters(modules: tuple[str, ...]) -> None:
    def block() -> nn.Module:
        torch.manual_seed(1)
        return nn.ModuleDict({"block": nn.TransformerEncoderLayer(WIDTH, HEADS, 2 * WIDTH, batch_first=True)}).eval()

    with torch.random.fork_rng(devices=[]):
        towers = Towers({"image": Tower(block())})
        Adapters(modules, 2, 3, 0.0, True).put_into(towers)
        tail = towers["image"].map.eval()
        for name, parameter in tail.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter)
        plain, x = block(), torch.randn(3, 5, WIDTH)
    with torch.no_grad():
        before, expected = plain["block"](x), tail["block"](x)
        assert not plain.load_state_dict(merged(tail), strict=False).unexpected_keys
        torch.testing.assert_close(plain["block"](x), expected, atol=1e-5, rtol=1e-4)
    assert (expected - before).abs().max() > 0.01
