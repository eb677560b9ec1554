"""A trained network as one self-describing ONNX file, refused when it moves joints."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from posegram import coords, heatmaps, image
from posegram.data.scenes import input_size
from posegram.files import replacing
from posegram.models import load_weights
from posegram.models.normalise import Normalise
from posegram.pose import Card, Floats, Image, Kind, Sample

__all__ = [
    "crops_of",
    "detector_from_checkpoint",
    "export",
    "from_checkpoint",
    "scenes_of",
    "spread",
]

_OUTPUTS = {  # names of what a network of each kind gives, in its order; read by place, not by name
    "heatmap": ("heatmaps",),
    "regression": ("joints", "confidence"),
    "detector": ("boxes", "logits"),
}
_BUDGET = 0.5  # crop pixels that a joint, or a corner of a box, may move
_COMPARED = 64  # people on whose crops a checkpoint's export is compared
_TIES = 0.01  # share of joints that may jump when weights are rounded: two equal peaks
_SCENES, _FEWEST = 100, 16  # photos on which a detector's is
_USUAL = (480, 640)  # height and width of the photos for whose shape their input is cut
_LOOKED_AT = 0.98  # share of a detector's boxes that are background, so not compared


class _Whole(Normalise):
    """Crops as they come (B, H, W, 3) uint8, normalised inside, then the network."""

    def __init__(self, network: nn.Module, card: Card) -> None:
        super().__init__(card, persistent=True)
        self.network = network

    def forward(self, crop: torch.Tensor) -> Any:
        return self.network(super().forward(crop))


def export(network: nn.Module, card: Card, out: Path, *, crops: Image, half: bool = False) -> Path:
    """Write the network with its card as ONNX and compare both on crops; returns `out`.

    Args:
        network: in evaluation mode, on the CPU.
        card: travels in the file's metadata under `Card.KEY`.
        out: the .onnx file; it appears only when the comparison holds.
        crops: (B, H, W, 3) uint8, real ones.
        half: store weights as float16 (half the size; computed in float32); then one joint in a
            hundred may jump, where two places were equally likely.

    Raises:
        ValueError: a joint moved by more than half a crop pixel; the message is a table.
    """
    network.eval()
    whole = _Whole(network, card).eval()
    with replacing(out) as draft:
        _trace(whole, crops[:2], draft, card.kind)
        model = onnx.load(draft)
        if half:
            _halve(model)
        entry = model.metadata_props.add()
        entry.key, entry.value = Card.KEY, card.to_json()
        onnx.save(model, draft)
        with torch.no_grad():
            raw = whole(torch.from_numpy(crops))
        expected = tuple(r.numpy() for r in (raw if isinstance(raw, tuple) else (raw,)))
        _compare(draft, card, crops, expected, ties=_TIES if half else 0.0)
    return out


def _trace(whole: nn.Module, crops: Image, out: Path, kind: Kind) -> None:
    """Write the bare graph; any number of crops may come in, a detector's of any size."""
    free = kind == "detector"
    axes = {0: "batch", 1: "height", 2: "width"} if free else {0: "batch"}
    given = {0: "batch", 1: "cells"} if free else {0: "batch"}
    with warnings.catch_warnings():
        # the tracing exporter takes a second where its successor takes fifteen
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            whole,
            (torch.from_numpy(crops),),
            str(out),
            input_names=["crop"],
            output_names=list(_OUTPUTS[kind]),
            dynamic_axes={"crop": axes} | dict.fromkeys(_OUTPUTS[kind], given),
            opset_version=17,
            dynamo=False,
        )


def from_checkpoint(
    path: Path, out: Path, people: Sequence[Sample], *, half: bool = False, card: Card | None = None
) -> Path:
    """Export a .ckpt file, compared on the crops of up to 64 annotated people; returns `out`.

    Args:
        path: a checkpoint of `posegram train`.
        out: the .onnx file to write.
        people: whose crops are compared.
        half: store weights as float16.
        card: stands in for the checkpoint's own.

    Raises:
        ValueError: there is nobody to compare on, or a joint moved; and as `load_weights`.
    """
    own, network = load_weights(path)
    if own.kind == "detector":
        raise ValueError(f"{path} is a detector, which is compared on photos: give --photos")
    card = card or own
    chosen = spread(people, _COMPARED)
    if not chosen:
        raise ValueError("an export is compared on real crops; give annotated people")
    return export(network, card, out, crops=crops_of(chosen, card)[0], half=half)


def detector_from_checkpoint(
    path: Path, out: Path, scenes: Image, *, half: bool = False, card: Card | None = None
) -> Path:
    """Export a detector's .ckpt file, compared on photos as it sees them; returns `out`.

    Args:
        path: a checkpoint of `posegram train`.
        out: the .onnx file to write.
        scenes: (B, h, w, 3) uint8, see `scenes_of`.
        half: store weights as float16.
        card: stands in for the checkpoint's own.

    Raises:
        ValueError: the corner of a box moved; and as `load_weights`.
    """
    own, network = load_weights(path)
    return export(network, card or own, out, crops=scenes, half=half)


def scenes_of(photos: Sequence[Path], card: Card, *, larger: float = 1.0) -> Image:
    """Up to a hundred photos that are wider than high, as a detector sees them, (B, h, w, 3) uint8.

    Args:
        photos: files.
        card: the detector's.
        larger: sides of the input / those that the detector was made for.

    Raises:
        OSError: a photo cannot be read.
        ValueError: fewer than sixteen photos are wider than high.
    """
    wide = [path for path in photos if np.less(*image.probe(path))][:_SCENES]
    if len(wide) < _FEWEST:
        said = f"{len(wide)} of {len(photos)} photos are wider than high"
        raise ValueError(f"a detector is compared on at least {_FEWEST} photos, but {said}")
    side = round(larger * (card.size[0] * card.size[1]) ** 0.5)
    size = input_size(_USUAL, (side, side))
    read = [image.read(path) for path in wide]
    return np.concatenate(
        [coords.crop(one, coords.whole(one), size, margin=1.0)[0] for one in read]
    )


def spread(people: Sequence[Sample], most: int) -> list[Sample]:
    """Up to so many of the people, from the first to the last."""
    rows = np.linspace(0, len(people) - 1, min(most, len(people))).astype(int)
    return [people[row] for row in rows]


def crops_of(people: Sequence[Sample], card: Card) -> tuple[Image, Floats]:
    """Crops of people, (B, H, W, 3) uint8, and the way back to their photos, (B, 2, 3)."""
    cut = [
        coords.crop(image.read(s.image), s.box[None], card.size, margin=card.margin) for s in people
    ]
    return np.concatenate([crop for crop, _ in cut]), np.concatenate([back for _, back in cut])


def _compare(
    path: Path, card: Card, crops: Image, expected: tuple[Floats, ...], *, ties: float
) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = tuple(session.run(None, {"crop": crops}))
    if card.kind == "detector":
        names: tuple[str, ...] = ("top left", "bottom right")
        sure = expected[1] >= np.quantile(expected[1], _LOOKED_AT)
        here, there = (raw[0][sure].reshape(-1, 2, 2) for raw in (expected, found))
    else:
        names = card.skeleton.joints
        both = (expected, found)
        spreads = heatmaps.spreads(card.skeleton)  # as in use, or another decoding is compared
        here, there = (coords.decode(raw, card.kind, card.size, spreads)[0] for raw in both)
    away = np.linalg.norm(here - there, axis=-1)
    if (~(away <= _BUDGET)).mean() <= ties:  # NaN counts as moved
        return
    rows = [
        f"{joint:>16} {away[:, k].mean():8.2f} {away[:, k].max():8.2f}"
        for k, joint in enumerate(names)
    ]
    moved = "corners of boxes" if card.kind == "detector" else "joints"
    raise ValueError(
        f"the exported network moves {moved} by more than {_BUDGET} crop pixels on {len(crops)} "
        "crops:\n" + "\n".join([f"{'joint':>16} {'mean':>8} {'largest':>8}", *rows])
    )


def _halve(model: onnx.ModelProto) -> None:
    """Keep large weights as float16, each followed by a cast back to float32."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < 256:
            continue
        name = tensor.name
        values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, f"{name}.half"))
        casts.append(
            onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT)
        )
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
