"""Tiny ONNX networks whose answers can be told beforehand."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from posegram.pose import LSP14, Card, Skeleton

RGB = Skeleton("rgb", ("red", "green", "blue"), (("red", "green"), ("green", "blue")))


def places(skeleton: Skeleton) -> np.ndarray:
    """Where `constant` puts the joints, as shares of the crop, (K, 2)."""
    k = len(skeleton)
    return np.column_stack([np.linspace(0.2, 0.8, k), np.linspace(0.1, 0.9, k)]).astype(np.float32)


def logits(skeleton: Skeleton) -> np.ndarray:
    """How sure `constant` is of the joints, (K,)."""
    return np.linspace(-1, 3, len(skeleton)).astype(np.float32)


def constant(path: Path, *, skeleton: Skeleton = LSP14, size: tuple[int, int] = (64, 48)) -> Path:
    """A regression network that answers `places` and `logits` whatever it sees."""
    k = len(skeleton)
    nodes = [
        helper.make_node("Shape", ["crops"], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "k2"], ["wide"], axis=0),
        helper.make_node("Concat", ["batch", "k1"], ["narrow"], axis=0),
        helper.make_node("Expand", ["places", "wide"], ["share"]),
        helper.make_node("Expand", ["logits", "narrow"], ["logit"]),
    ]
    values = {
        "places": places(skeleton)[None],
        "logits": logits(skeleton)[None],
        "k2": np.array([k, 2], dtype=np.int64),
        "k1": np.array([k], dtype=np.int64),
    }
    outputs = {"share": ["B", k, 2], "logit": ["B", k]}
    card = Card(name="constant", kind="regression", skeleton=skeleton, size=size)
    return _save(path, nodes, values, outputs, card)


def colours(path: Path, *, size: tuple[int, int] = (64, 64)) -> Path:
    """A heatmap network of three joints: it finds a red, a green and a blue spot."""
    pure = np.eye(3, dtype=np.float32)  # red, green, blue
    nodes = [
        helper.make_node("Cast", ["crops"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["number", "white"], ["share"]),
        helper.make_node("Transpose", ["share"], ["planes"], perm=[0, 3, 1, 2]),
        # high where one channel stands out: 2 x own channel - sum of all, times 30
        helper.make_node("Conv", ["planes", "weight"], ["heat"]),
    ]
    weight = (30 * (2 * pure - 1)).reshape(3, 3, 1, 1).astype(np.float32)
    values = {"white": np.float32(255), "weight": weight}
    card = Card(name="colours", kind="heatmap", skeleton=RGB, size=size, data=("spots",))
    return _save(path, nodes, values, {"heat": ["B", 3, *size]}, card)


def detector(path: Path, box: tuple[float, ...], *, size: tuple[int, int] = (96, 96)) -> Path:
    """A detector that is sure of one box (x0, y0, x1, y1), input pixels, whatever it sees."""
    nodes = [
        helper.make_node("Identity", ["one"], ["box"]),
        helper.make_node("Identity", ["sure"], ["logit"]),
    ]
    values = {"one": np.array([[box]], np.float32), "sure": np.array([[9]], np.float32)}
    card = Card("box", "detector", Skeleton("box", ()), size, margin=1.0)
    return _save(path, nodes, values, {"box": [1, 1, 4], "logit": [1, 1]}, card)


def spots(xy: np.ndarray, size: tuple[int, int], radius: int = 3) -> np.ndarray:
    """A grey picture (H, W, 3) with square red, green, blue spots around whole pixels (3, 2)."""
    image = np.full((*size, 3), 90, dtype=np.uint8)
    for (x, y), colour in zip(xy.astype(int), 255 * np.eye(3, dtype=np.uint8), strict=True):
        image[y - radius : y + radius + 1, x - radius : x + radius + 1] = colour
    return image


def bare(path: Path, metadata: dict[str, str]) -> Path:
    """A valid ONNX file that passes pictures through, with metadata of your choice."""
    model = _model(
        [helper.make_node("Identity", ["crops"], ["same"])],
        {},
        [helper.make_tensor_value_info("same", TensorProto.UINT8, ["B", 64, 64, 3])],
        (64, 64),
    )
    helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return path


def _save(path: Path, nodes: list, values: dict, outputs: dict, card: Card) -> Path:
    shapes = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()]
    model = _model(nodes, values, shapes, card.size)
    helper.set_model_props(model, {"posegram": card.to_json()})
    path.write_bytes(model.SerializeToString())
    return path


def _model(nodes: list, values: dict, outputs: list, size: tuple[int, int]) -> onnx.ModelProto:
    taken = helper.make_tensor_value_info("crops", TensorProto.UINT8, ["B", *size, 3])
    fixed = [numpy_helper.from_array(np.asarray(v), name) for name, v in values.items()]
    graph = helper.make_graph(nodes, "tiny", [taken], outputs, fixed)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return model
