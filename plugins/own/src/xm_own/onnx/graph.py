"""An ONNX file: what it takes and gives, its weights, and running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from threading import Lock
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from xm import UsageError, fingerprint_of
from xm.foundation import described
from xm_own.files import digest

Array = NDArray[Any]

_LOADING = Lock()
"""Held while a session is made: threads that ask at once get the same one."""


@dataclass(frozen=True)
class Port:
    """An input or output.

    Attributes:
        name: in the graph.
        dtype: of its numbers, as NumPy names it.
        dims: lengths of its axes; None where any will do.
    """

    name: str
    dtype: str
    dims: tuple[int | None, ...]

    def __str__(self) -> str:
        return f"{self.name!r} ({', '.join('any' if n is None else str(n) for n in self.dims)}) {self.dtype}"


@dataclass(frozen=True)
class Graph:
    """An ONNX file that was looked at.

    Attributes:
        path: of the file.
        external: of the files beside it that hold its weights, if they are not in it.
        inputs: that must be given.
        outputs: of it.
        identity: digest of the contents of all files.
    """

    path: Path
    external: tuple[Path, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    identity: str

    @property
    def batch(self) -> int | None:
        """How many items it takes at once; None: any number."""
        return self.inputs[0].dims[0] if self.inputs[0].dims else None

    def input(self, name: str) -> Port:
        """An input by name; "" is the first.

        Raises:
            UsageError: if there is none of that name.
        """
        return self._port("input", name, self.inputs)

    def output(self, name: str) -> Port:
        """An output by name; "" is the first; raises as `input` does."""
        return self._port("output", name, self.outputs)

    def _port(self, kind: str, name: str, ports: Sequence[Port]) -> Port:
        for port in ports:
            if name in ("", port.name):
                return port
        raise UsageError(f"{self.path}: has no {kind} {name!r}; it has {'; '.join(map(str, ports))}")


def look(path: Path) -> Graph:
    """What a file is; its weights are not loaded into a network.

    Raises:
        UsageError: if it is no ONNX file, or weights that should be beside it are not.
    """
    if not path.is_file():
        raise UsageError(f"onnx:{path}: no such file")
    stat = path.stat()
    names, inputs, outputs = _parsed(path, stat.st_size, stat.st_mtime_ns)
    external = tuple(_beside(path, name) for name in names)
    identity = fingerprint_of(*(digest(file) for file in (path, *external)))
    return Graph(path, external, inputs, outputs, identity)


@lru_cache(maxsize=16)
def _parsed(path: Path, size: int, mtime_ns: int) -> tuple[tuple[str, ...], tuple[Port, ...], tuple[Port, ...]]:
    """Names of the files with weights, inputs and outputs."""
    model = _model(path)
    names = tuple(dict.fromkeys(ExternalDataInfo(tensor).location for tensor in _tensors(model.graph)))
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_port(value) for value in model.graph.input if value.name not in held)
    if not inputs or not model.graph.output:
        raise UsageError(f"{path}: is no ONNX file of a network: it has no inputs or no outputs")
    return names, inputs, tuple(map(_port, model.graph.output))


def _model(path: Path) -> Any:
    """The model without weights from other files."""
    try:
        return onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own kinds
        raise UsageError(f"{path}: is no ONNX file, or is damaged ({described(error)})") from error


def _tensors(graph: Any) -> Iterator[Any]:
    """Those whose numbers are in other files, of a graph and the graphs in it."""
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    held = [
        *graph.initializer,
        *(a.t for a in attributes if a.HasField("t")),
        *(t for a in attributes for t in a.tensors),
    ]
    yield from (tensor for tensor in held if uses_external_data(tensor))
    for attribute in attributes:
        for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
            yield from _tensors(inner)


def _beside(path: Path, name: str) -> Path:
    """The file with weights."""
    file = path.parent / name
    if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
        raise UsageError(f"{path}: says that its weights are in {name!r}, outside its folder; export it again")
    if not file.is_file():
        raise UsageError(f"{path}: its weights are in {name!r}, which is not beside it; put it there")
    return file


def _port(value: Any) -> Port:
    tensor = value.type.tensor_type
    try:
        dtype = str(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    except (KeyError, TypeError):  # a sequence or the like
        dtype = "no tensor"
    dims = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim]
    return Port(value.name, dtype, tuple(dims))


def rows(graph: Graph, name: str) -> Array:
    """A classifier's weights (classes, dim), of a Gemm or MatMul of the graph.

    Raises:
        UsageError: if no such node has weights of that name.
    """
    model = _model(graph.path)
    onnx.load_external_data_for_model(model, str(graph.path.parent))
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul") and node.input[1] in found]
    for node in nodes:
        if node.input[1] == name:
            values: Array = onnx.numpy_helper.to_array(found[name])
            upright = any(a.name == "transB" and a.i for a in node.attribute)
            return values if upright else values.T
    known = ", ".join(node.input[1] for node in nodes[-5:]) or "none"
    raise UsageError(f"{graph.path}: no Gemm or MatMul has weights {name!r} (its last: {known})")


def run(graph: Graph, device: torch.device, outputs: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
    """Outputs by name, each (n, …), for inputs (n, …). A graph of a fixed number of items runs several times.

    Raises:
        UsageError: if inputs have not the shape that the graph takes, or ONNX Runtime refuses them.
    """
    for name, value in feed.items():
        port = graph.input(name)
        if len(port.dims) != value.ndim or any(
            n not in (None, m) for n, m in zip(port.dims[1:], value.shape[1:], strict=True)
        ):
            raise UsageError(
                f"{graph.path}: input {port} was given {('any', *value.shape[1:])} by the preprocessing of "
                f"{graph.path.with_suffix('.json').name}; mend that".replace("'any'", "any")
            )
    session = _session(graph, device)
    n = len(next(iter(feed.values())))
    size = graph.batch or n
    found = []
    for start in range(0, n, size):
        part = {name: _filled(value[start : start + size], size) for name, value in feed.items()}
        try:
            found.append([value[: n - start] for value in session.run(list(outputs), part)])
        except Exception as error:  # onnxruntime's own kinds
            raise UsageError(f"{graph.path}: ONNX Runtime can't run it ({described(error)[:300]})") from error
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def _filled(value: Array, size: int) -> Array:
    """Rows (size, …), the last repeated."""
    missing = size - len(value)
    return np.concatenate([value, np.repeat(value[-1:], missing, axis=0)]) if missing else value


def _session(graph: Graph, device: torch.device) -> Any:
    """ONNX Runtime's, on CUDA if that is the device and ONNX Runtime has it, else on the CPU."""
    cuda = device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    with _LOADING:
        return _loaded(graph, ("CUDAExecutionProvider",) * cuda + ("CPUExecutionProvider",))


@lru_cache(maxsize=2)
def _loaded(graph: Graph, providers: tuple[str, ...]) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(graph.path), options, providers=list(providers))
    except Exception as error:  # onnxruntime's own kinds
        raise UsageError(f"{graph.path}: ONNX Runtime can't load it ({described(error)[:300]})") from error
