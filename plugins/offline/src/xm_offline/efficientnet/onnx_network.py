"""The network as an ONNX graph, which ONNX Runtime computes faster than PyTorch on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from xm_offline.efficientnet.network import Network

IMAGES, FEATURES, LOGITS = "images", "features", "logits"
"""Input and outputs of the graph."""

OPSET, IR_VERSION = 13, 8
"""Old enough for every ONNX Runtime that is wanted."""


class OnnxNetwork:
    """A `Network`, computed by ONNX Runtime: images (n, 3, 224, 224) to features (n, 1280) and logits (n, 1000).

    One thread a call; calls from several threads are computed at once.
    """

    def __init__(self, network: Network) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the encoder computes several batches at once
        options.log_severity_level = 3
        model = graph(network).SerializeToString()
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self._session.run([FEATURES, LOGITS], {IMAGES: images.numpy()})
        return torch.from_numpy(features), torch.from_numpy(logits)


class _Builder:
    """Collects the nodes and weights of a graph; each method gives the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = [self._tensor("zero", np.float32(0)), self._tensor("six", np.float32(6))]

    def _tensor(self, name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.asarray(value), name)

    def _node(self, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _parameter(self, value: Tensor) -> str:
        name = f"weight{len(self.weights)}"
        array: NDArray[np.float32] = value.detach().cpu().contiguous().numpy()
        self.weights.append(self._tensor(name, array))
        return name

    def convolution(self, x: str, module: nn.Conv2d) -> str:
        """With the zeros that the module puts around its input, more of them at the end."""
        assert module.bias is not None
        left, right, top, bottom = getattr(getattr(module, "static_padding", None), "padding", (0, 0, 0, 0))
        return self._node(
            "Conv",
            [x, self._parameter(module.weight), self._parameter(module.bias)],
            pads=[top, left, bottom, right],
            strides=[int(step) for step in module.stride],
            group=module.groups,
            kernel_shape=list(module.kernel_size),
        )

    def relu6(self, x: str) -> str:
        return self._node("Clip", [x, "zero", "six"])

    def block(self, x: str, block: Any) -> str:
        """An inverted residual block, without squeeze and excitation: the lite networks have none."""
        before = x
        if hasattr(block, "_expand_conv"):
            x = self.relu6(self.convolution(x, block._expand_conv))
        x = self.relu6(self.convolution(x, block._depthwise_conv))
        x = self.convolution(x, block._project_conv)
        own = block._block_args
        skips = block.id_skip and own.stride == 1 and own.input_filters == own.output_filters
        return self._node("Add", [x, before]) if skips else x

    def pool(self, x: str) -> str:
        return self._node("Flatten", [self._node("GlobalAveragePool", [x])], FEATURES, axis=1)

    def linear(self, x: str, module: nn.Linear) -> str:
        return self._node("Gemm", [x, self._parameter(module.weight), self._parameter(module.bias)], LOGITS, transB=1)


def graph(network: Network) -> Any:
    """The ONNX model of a network whose batch norm is folded into its convolutions."""
    body, made = network.body, _Builder()
    x = made.relu6(made.convolution(IMAGES, body._conv_stem))
    for block in body._blocks:
        x = made.block(x, block)
    made.linear(made.pool(made.relu6(made.convolution(x, body._conv_head))), network.classifier)

    def value(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])

    outputs = [value(FEATURES, network.classifier.in_features), value(LOGITS, network.classifier.out_features)]
    whole = helper.make_graph(made.nodes, "efficientnet-lite0", [value(IMAGES, 3, 224, 224)], outputs, made.weights)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
