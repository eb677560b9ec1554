"""How much a network computes, and how fast this machine could."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3}  # which input is the weight
_PRODUCTS = ("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm")
KINDS = ("float32", "int8")  # of arithmetic, each with its own peak
_BYTES = {"QuantizeLinear", "DynamicQuantizeLinear"}
_COUNTED = {*_CONVOLUTIONS, "ConvTranspose", *_PRODUCTS}
_DTYPES = {"tensor(uint8)": "uint8", "tensor(int32)": "int32", "tensor(float)": "float32"}


def flops(path: Path, size: tuple[int, int]) -> float | None:
    """Floating-point operations for one crop, two per multiply-add; None for no .onnx file.

    Convolutions and matrix products are counted, which are nearly all.

    Args:
        path: an .onnx file.
        size: height and width of the crop in pixels.
    """
    if path.suffix.lower() != ".onnx":
        return None
    model = onnx.load(path)
    shapes = _shapes(model, size)
    return float(sum(_of(node, shapes) for node in model.graph.node))


def _shapes(model: onnx.ModelProto, size: tuple[int, int]) -> dict[str, list[int]]:
    """The shape of everything that enters or leaves a counted node, from a run on a black crop."""
    counted = [n for n in model.graph.node if n.op_type in _COUNTED]
    fixed = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    names = {name for node in counted for name in (*node.input, *node.output) if name}
    wanted = sorted(names - set(fixed) - {value.name for value in model.graph.input})
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in known)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    (taken,) = session.get_inputs()
    last = taken.shape[3] == 3
    shape = [1, *size, 3] if last else [1, 3, *size]
    black = np.zeros(shape, dtype=_DTYPES[taken.type])
    found = session.run(wanted, {taken.name: black})
    return fixed | {n: list(value.shape) for n, value in zip(wanted, found, strict=True)} | {
        taken.name: shape
    }  # fmt: skip


def _of(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> float:
    if node.op_type in _CONVOLUTIONS:
        weight = shapes[node.input[_CONVOLUTIONS[node.op_type]]]
        return 2.0 * np.prod(shapes[node.output[0]]) * np.prod(weight[1:])
    if node.op_type == "ConvTranspose":
        return 2.0 * np.prod(shapes[node.input[0]]) * np.prod(shapes[node.input[1]][1:])
    if node.op_type in _PRODUCTS:
        inner = shapes[node.input[0]]
        turned = any(a.name == "transA" and a.i for a in node.attribute)
        return 2.0 * np.prod(shapes[node.output[0]]) * inner[-2 if turned else -1]
    return 0.0


def kind_of(path: Path) -> str:
    """The arithmetic that an .onnx file asks for, one of `KINDS`."""
    eight = any(node.op_type in _BYTES for node in onnx.load(path).graph.node)
    return "int8" if eight else "float32"


def peak(kind: str = "float32", *, tries: int = 25, sides: tuple[int, ...] = (512, 1024)) -> float:
    """GFLOP/s of the best of some matrix products on one thread of the same runtime.

    Args:
        kind: of arithmetic, one of `KINDS`.
        tries: how often each product is taken.
        sides: of the square matrices.
    """
    return max(_product(side, tries, kind) for side in sides)


def _product(side: int, tries: int, kind: str) -> float:
    rng = np.random.default_rng(0)
    if kind == "int8":
        name, taken, given = "MatMulInteger", TensorProto.UINT8, TensorProto.INT32
        left = rng.integers(0, 255, (side, side), dtype=np.uint8)
        right = rng.integers(-127, 127, (side, side), dtype=np.int8)
    else:
        name, taken, given = "MatMul", TensorProto.FLOAT, TensorProto.FLOAT
        left = right = rng.standard_normal((side, side), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node(name, ["x", "w"], ["y"])],
        "peak",
        [helper.make_tensor_value_info("x", taken, [side, side])],
        [helper.make_tensor_value_info("y", given, [side, side])],
        [numpy_helper.from_array(right, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    best = np.inf
    for _ in range(tries):
        start = time.process_time()
        session.run(None, {"x": left})
        best = min(best, time.process_time() - start)
    return 2 * side**3 / max(best, 1e-9) / 1e9
