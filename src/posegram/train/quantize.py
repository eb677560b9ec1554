"""An exported network in 8 bits: about half the time and a quarter of the size, behind a gate."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from posegram import coords, heatmaps
from posegram.areas import iou
from posegram.files import replacing
from posegram.metrics import boxes
from posegram.models import load_weights
from posegram.pose import Card, Floats, Image, Sample
from posegram.train.export import (
    crops_of,
    detector_from_checkpoint,
    from_checkpoint,
    scenes_of,
    spread,
)
from posegram.train.unfold import to_first_convolution

__all__ = ["quantize", "quantize_checkpoint", "quantize_detector"]

_BATCH = 8
_LEAST = 2 * _BATCH  # crops: half for the ranges, half for the gate
_KINDS = ["Conv", "Add", "Clip", "Relu", "Resize", "DepthToSpace"]  # what is computed in 8 bits
# convolutions on many pixels and few channels, by the network's front: in 8 bits slower, and joints
# jump; the second one of a dense front is quicker in 8 bits (five crops: 18.7 ms instead of 23.3)
_FIRST = {"lite0": 3, "dense": 1, "thin": 1}
_PEOPLE = 256  # whose crops a checkpoint is quantized on
_FAR = 0.02  # of the crop's diagonal: a joint that moves further has jumped
_LARGER = 1.8  # sides of the inputs from which a detector's ranges come / those it is made for
_BOXES = 0.06  # of a detector's sure boxes that may move
_SAME = 0.7  # intersection over union of a box and the one that it became


class _Crops(CalibrationDataReader):  # type: ignore[misc]  # the runtime is not typed
    """Crops in small batches, for the ranges of each layer's values."""

    def __init__(self, crops: Image, name: str) -> None:
        parts = [crops[n : n + _BATCH] for n in range(0, len(crops), _BATCH)]
        self.left: Iterator[dict[str, Image]] = iter([{name: part} for part in parts])

    def get_next(self) -> dict[str, Image] | None:
        """The next batch, or None after the last."""
        return next(self.left, None)


def quantize(path: Path, out: Path, *, crops: Image, budget: float = 0.03) -> float:
    """Write an .onnx file of ours with 8-bit layers; returns the share of joints that jumped.

    Weights get a scale per channel, activations one per layer from their range on the crops
    (Jacob et al., CVPR 2018). Crops in the second half of `crops` are not used for the ranges but
    for the gate.

    Args:
        path: an exported .onnx file, with float16 or float32 weights.
        out: the .onnx file to write; it appears only when the gate holds.
        crops: (B, H, W, 3) uint8 real ones, at least 16.
        budget: share of the joints (boxes, for a detector) that may jump: move by more than 2 % of
            the crop's diagonal. Mostly those that the network was unsure of.

    Raises:
        ValueError: there are too few crops, or more joints jump; the message is a table.
    """
    if len(crops) < _LEAST:
        raise ValueError(f"8 bits need at least {_LEAST} crops, not {len(crops)}")
    model = onnx.load(path)
    entry = next((e.value for e in model.metadata_props if e.key == Card.KEY), None)
    if entry is None:
        raise ValueError(f"{path} is an ONNX file without a posegram card, so not one of ours")
    card, half = Card.from_json(entry), len(crops) // 2
    name = model.graph.input[0].name
    _whole_weights(model)
    _normalise(model, card)
    with replacing(out) as draft, tempfile.TemporaryDirectory(dir=out.parent) as folder:
        plain, ready = Path(folder) / "plain.onnx", Path(folder) / "ready.onnx"
        onnx.save(model, plain)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
            quantize_static(
                str(ready),
                str(draft),
                _Crops(crops[:half], name),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=_KINDS,
                nodes_to_exclude=_exact(onnx.load(ready), card),
            )
        _keep_card(draft, entry)
        share = _gate(plain, draft, card, crops[half:], budget)
    return share


def quantize_checkpoint(
    path: Path, out: Path, people: Sequence[Sample], *, card: Card | None = None
) -> float:
    """Export a .ckpt file in 8 bits, see `quantize`; returns the share of joints that jumped.

    Args:
        path: a checkpoint of `posegram train`.
        out: the .onnx file to write.
        people: at least 16, whose crops give the ranges (every second one) and the gate.
        card: stands in for the checkpoint's own.

    Raises:
        ValueError: there are too few people; else as `quantize` and `export.from_checkpoint`.
    """
    if len(people) < _LEAST:  # before the export, which takes a minute
        raise ValueError(
            f"8 bits need at least {_LEAST} people to compare on, not {len(people)}: give a "
            "larger set with --people coco:FILE"
        )
    some = spread(people, _PEOPLE)
    chosen = [*some[::2], *some[1::2]]
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        card = card or load_weights(path)[0]
        whole = from_checkpoint(path, Path(folder) / "whole.onnx", chosen, card=card)
        return quantize(whole, out, crops=crops_of(chosen, card)[0])


def quantize_detector(
    path: Path, out: Path, photos: Sequence[Path], *, card: Card | None = None
) -> float:
    """Export a detector's .ckpt file in 8 bits; returns the share of sure boxes that moved.

    The ranges come from inputs larger than the detector will see: of its own size they came out
    too narrow, and AP50 on 528 photos fell from 78.1 to 75.9 instead of 78.5 %.

    Args:
        path: a checkpoint of `posegram train`.
        out: the .onnx file to write.
        photos: at least 16 that lie; of up to a hundred, half give the ranges, half the gate.
        card: stands in for the checkpoint's own.

    Raises:
        ValueError: as `quantize` and `export.scenes_of`.
    """
    card = card or load_weights(path)[0]
    scenes = scenes_of(photos, card, larger=_LARGER)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        whole = detector_from_checkpoint(
            path, Path(folder) / "whole.onnx", scenes[:_BATCH], card=card
        )
        mixed = np.concatenate([scenes[::2], scenes[1::2]])
        return quantize(whole, out, crops=mixed, budget=_BOXES)


def _normalise(model: onnx.ModelProto, card: Card) -> None:
    """Have the first convolution normalise pictures, too: two passes less, 3 to 4 % of the time.

    A mean that is not 0 then lies around the picture, where a convolution would see black.
    """
    path, mean = to_first_convolution(model), card.mean[0]
    kinds = [node.op_type for node in path]
    alike = len(set(card.mean)) == len(set(card.std)) == 1 and mean == int(mean)
    if kinds != ["Transpose", "Cast", "Sub", "Div", "Conv"] or not alike or len(path[4].input) < 3:
        return
    graph, first = model.graph, path[4]
    tensors = {t.name: t for t in graph.initializer}
    weight, bias = (onnx.numpy_helper.to_array(tensors[name]) for name in first.input[1:3])
    small = weight / np.float32(card.std[0])
    moved = bias - mean / card.std[0] * weight.sum(axis=(1, 2, 3))
    for name, values in zip(first.input[1:3], (small, moved), strict=True):
        tensors[name].CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), name))
    first.input[0] = path[1].output[0]
    for node in path[2:4]:
        graph.node.remove(node)
        graph.initializer.remove(tensors[node.input[1]])
    sides = next(a for a in first.attribute if a.name == "pads")
    if mean and any(sides.ints):
        top, left, low, right = sides.ints
        around = np.array([0, top, left, 0, 0, low, right, 0])
        graph.initializer.append(onnx.numpy_helper.from_array(around, "around"))
        graph.initializer.append(
            onnx.numpy_helper.from_array(np.array(mean, dtype=np.uint8), "mean_colour")
        )
        given = [path[0].input[0], "around", "mean_colour"]
        graph.node.insert(0, onnx.helper.make_node("Pad", given, ["framed"], name="/Pad"))
        path[0].input[0] = "framed"
        sides.ints[:] = [0, 0, 0, 0]


def _whole_weights(model: onnx.ModelProto) -> None:
    """Turn float16 weights with their casts back into float32 ones."""
    tensors = {t.name: t for t in model.graph.initializer}
    for node in list(model.graph.node):
        source = tensors.get(node.input[0]) if node.op_type == "Cast" else None
        if source is None or source.data_type != onnx.TensorProto.FLOAT16:
            continue
        values = onnx.numpy_helper.to_array(source).astype(np.float32)
        source.CopyFrom(onnx.numpy_helper.from_array(values, node.output[0]))
        model.graph.node.remove(node)


def _exact(model: onnx.ModelProto, card: Card) -> list[str]:
    """Names of what stays as it is: the first few convolutions, and a detector's last layers."""
    kept = _FIRST[card.settings.get("front", "lite0")]
    first = [n.name for n in model.graph.node if n.op_type == "Conv"][:kept]
    return first + _last(model) if card.kind == "detector" else first


def _last(model: onnx.ModelProto) -> list[str]:
    """Names of what no convolution follows: sizes and scores of boxes, and their corners.

    In 8 bits corners are two pixels apart, and end where those of the calibration ended.
    """
    feeds: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for taken in node.input:
            feeds.setdefault(taken, []).append(node)

    def convolved(node: onnx.NodeProto) -> bool:
        after = [n for made in node.output for n in feeds.get(made, [])]
        return any(n.op_type == "Conv" or convolved(n) for n in after)

    return [node.name for node in model.graph.node if not convolved(node)]


def _keep_card(path: Path, entry: str) -> None:
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {Card.KEY: entry})
    onnx.save(model, path)


def _gate(before: Path, after: Path, card: Card, crops: Image, budget: float) -> float:
    """Share of joints or boxes that jumped; refused above the budget."""
    first, second = (_answers(path, crops) for path in (before, after))
    names: tuple[str, ...] = ("box",)
    if card.kind == "detector":
        things = "boxes"
        jumped = _lost(first, second, card)
    else:
        things, names = "joints", card.skeleton.joints
        both, spreads = (first, second), heatmaps.spreads(card.skeleton)
        here, there = (coords.decode(raw, card.kind, card.size, spreads)[0] for raw in both)
        # no number is no answer either
        jumped = ~(np.linalg.norm(here - there, axis=-1) <= _FAR * float(np.hypot(*card.size)))
    if not jumped.size:
        raise ValueError(f"{len(crops)} photos with nobody in them: nothing to compare 8 bits on")
    share = float(jumped.mean())
    if share <= budget:
        return share
    rows = [f"{joint:>16} {jumped[:, k].mean():8.1%}" for k, joint in enumerate(names)]
    raise ValueError(
        f"in 8 bits {share:.1%} of the {things} jump on {len(crops)} crops, more than "
        f"{budget:.1%}:\n" + "\n".join([f"{'joint':>16} {'jumped':>8}", *rows])
    )


def _answers(path: Path, crops: Image) -> tuple[Floats, ...]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: crops[n : n + 1]}) for n in range(len(crops))]
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _lost(
    first: tuple[Floats, ...], second: tuple[Floats, ...], card: Card
) -> npt.NDArray[np.bool_]:
    """Which sure boxes of either have no fitting box in the other, (boxes, 1)."""
    lost: list[bool] = []
    for one, other in ((first, second), (second, first)):
        for row in range(len(one[0])):
            sure, near = (
                _sure(raw[0][row], raw[1][row], card, s) for raw, s in ((one, 0.5), (other, 0.3))
            )
            best = iou(sure, near).max(axis=1, initial=0)
            lost += [bool(like < _SAME) for like in best]
    return np.array(lost, dtype=bool).reshape(-1, 1)


def _sure(box: Floats, logit: Floats, card: Card, least: float) -> Floats:
    score = coords.probability(logit, card.calibration)
    return np.asarray(box[boxes.best(box, score, least=least)])
