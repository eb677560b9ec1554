"""Our own ONNX files as networks that can train again: weights back into the layers they came from.

An export folds each batch normalisation into the convolution before it. Here the folded weights go
into the convolution and the normalisation starts as the identity, so the answers are the exported
ones; `settle` then gives it the statistics of real crops, without changing a single answer, so that
training mode answers alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from torch import nn

from posegram import models
from posegram.pose import Card, Floats, Image

__all__ = ["settle", "to_first_convolution", "unfold"]

_AWAY = 0.02  # of the largest answer, by which the rebuilt network may differ from the file
_ROUNDED = 0.25  # the same for a file that computes in 8 bits; on noise 0.15 was measured


def unfold(path: Path) -> tuple[Card, nn.Module]:
    """The card and the network of one of our .onnx files, in evaluation mode.

    Raises:
        ValueError: the file is not one of ours, or holds another network than its card says.
    """
    try:
        model = onnx.load(path)
    except DecodeError as fault:
        raise ValueError(f"{path} is no ONNX file") from fault
    texts = {entry.key: entry.value for entry in model.metadata_props}
    if Card.KEY not in texts:
        raise ValueError(f"{path} carries no posegram card, so it is no file to start from")
    card = Card.from_json(texts[Card.KEY])
    network = models.build(card).eval()
    layers = _layers(network, card)
    shapes = [tuple(conv.weight.shape) for conv, _ in layers]
    names = {layer: name for name, layer in network.named_modules()}
    folded = _ordered(_raw(model, card), shapes, [names[conv] for conv, _ in layers])
    if len(folded) != len(shapes):
        raise ValueError(
            f"{path} holds other layers than {card.settings.get('network')!r} has: files of other "
            "tools cannot be trained on; start from the .ckpt"
        )
    with torch.no_grad():
        for (conv, norm), (weight, bias) in zip(layers, folded, strict=True):
            _fill(conv, norm, weight, bias)
    rounded = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    _compare(path, card, network, away=_ROUNDED if rounded else _AWAY)
    return card, network


_Layer = tuple[Floats, Floats | None]  # weight and bias of a convolution


def to_first_convolution(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes from a graph's input to the first convolution, with it; empty where they fork."""
    name, path = model.graph.input[0].name, list[onnx.NodeProto]()
    while not path or path[-1].op_type != "Conv":
        after = [node for node in model.graph.node if name in node.input]
        if len(after) != 1:
            return []
        path.append(after[0])
        name = after[0].output[0]
    return path


def _raw(model: onnx.ModelProto, card: Card) -> list[tuple[str, _Layer]]:
    """What `_folded` says, with the normalisation of pictures taken out of the first one again."""
    found, path = _folded(model), to_first_convolution(model)
    if not path or any(node.op_type == "Div" for node in path):
        return found
    for row, (place, (weight, bias)) in enumerate(found):
        if place == _place(path[-1].name) and bias is not None:
            whole = weight * np.float32(card.std[0])
            mean = card.mean[0] / card.std[0] * whole.sum(axis=(1, 2, 3))
            found[row] = place, (whole, np.asarray(bias + mean, dtype=np.float32))
    return found


def _folded(model: onnx.ModelProto) -> list[tuple[str, _Layer]]:
    """Place and arrays of every convolution, in the order of the graph."""
    values = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    found: list[tuple[str, _Layer]] = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in values:  # a weight kept as float16
            values[node.output[0]] = values[node.input[0]].astype(np.float32)
        if node.op_type == "DequantizeLinear" and node.input[0] in values:  # or in 8 bits
            values[node.output[0]] = _whole(*(values[name] for name in node.input))
        if node.op_type == "Conv" and node.input[1] in values:
            bias = values.get(node.input[2]) if len(node.input) > 2 else None
            found.append((_place(node.name), (values[node.input[1]], bias)))
    return found


def _place(node: str) -> str:
    """Where in the network a node comes from, as torch's exporter wrote it into its name.

    >>> _place("/network/head/merge.1/merge.1.0/Conv")
    'head.merge.1.0'
    """
    parts: list[str] = []
    for part in node.split("/")[2:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def _ordered(
    folded: list[tuple[str, _Layer]], shapes: list[tuple[int, ...]], names: list[str]
) -> list[_Layer]:
    """The convolutions in the network's order; fewer where they do not fit.

    A quantised graph runs side branches at other times, so names say which is which; in a file
    without them, those of one shape are taken to follow each other as in the network.
    """
    by_name = dict(folded)
    if sorted(by_name) == sorted(names):
        return [by_name[name] for name in names]
    left, found = [layer for _, layer in folded], []
    for shape in shapes:
        row = next((n for n, (weight, _) in enumerate(left) if weight.shape == shape), None)
        if row is not None:
            found.append(left.pop(row))
    return [] if left else found


def _whole(steps: Any, scale: Any, zero: Any = 0) -> Floats:
    """Rounded weights as numbers; `scale` and `zero` are one for all, or one a channel (C,)."""
    away = steps.astype(np.float32) - np.asarray(zero, dtype=np.float32).reshape(
        -1, *[1] * (steps.ndim - 1)
    )
    return np.asarray(away * np.reshape(scale, (-1, *[1] * (steps.ndim - 1))), dtype=np.float32)


def _layers(network: nn.Module, card: Card) -> list[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Every convolution with the normalisation behind it, in the order they are run."""
    run: list[nn.Module] = []
    kinds = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [
        layer.register_forward_hook(lambda layer, *_: run.append(layer))
        for layer in network.modules()
        if isinstance(layer, kinds)
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, *card.size))
    for hook in hooks:
        hook.remove()
    after: list[Any] = [*run[1:], None]
    pairs = zip(run, after, strict=True)
    return [
        (layer, nxt if isinstance(nxt, nn.BatchNorm2d) else None)
        for layer, nxt in pairs
        if isinstance(layer, nn.Conv2d)
    ]


def _fill(
    conv: nn.Conv2d, norm: nn.BatchNorm2d | None, weight: Floats, bias: Floats | None
) -> None:
    conv.weight.copy_(torch.from_numpy(weight.astype(np.float32)))
    shift = torch.zeros(len(weight)) if bias is None else torch.from_numpy(bias.astype(np.float32))
    if conv.bias is not None:
        conv.bias.copy_(shift)
    elif norm is not None:
        norm.reset_parameters()
        norm.bias.copy_(shift)
        if norm.running_var is not None:
            norm.running_var.fill_(1 - norm.eps)  # so that the division is by exactly 1


def _compare(path: Path, card: Card, network: nn.Module, *, away: float) -> None:
    """See that the rebuilt network answers as the file does, on noise.

    Raises:
        ValueError: it does not.
    """
    noise = np.random.default_rng(0).integers(0, 256, (2, *card.size, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {session.get_inputs()[0].name: noise})[0]
    ours = models.answering(network, card)(noise)[0]
    if ours.shape != theirs.shape or np.abs(ours - theirs).max() > away * np.abs(theirs).max():
        raise ValueError(f"{path} answers otherwise than the network that its card names")


def settle(network: nn.Module, card: Card, crops: Image) -> None:
    """Give every normalisation the statistics of its inputs; what the network answers stays.

    Mean m and variance v become the running statistics, and scale and shift undo them:
    w' = w sqrt((v + eps) / (v0 + eps)), b' = b + w (m - m0) / sqrt(v0 + eps).

    Args:
        network: in evaluation mode.
        card: says how crops are normalised.
        crops: (B, H, W, 3) uint8, as they will be trained on.
    """
    seen: dict[nn.BatchNorm2d, tuple[torch.Tensor, torch.Tensor]] = {}

    def look(layer: nn.BatchNorm2d, inputs: tuple[torch.Tensor, ...]) -> None:
        x = inputs[0].float()
        seen[layer] = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3))

    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(look) for norm in norms]
    models.answering(network, card)(crops)
    with torch.no_grad():
        for norm, (mean, variance) in seen.items():
            old_mean, old = norm.running_mean, norm.running_var
            if old_mean is None or old is None:
                continue
            norm.bias.add_(norm.weight * (mean - old_mean) / (old + norm.eps).sqrt())
            norm.weight.mul_(((variance + norm.eps) / (old + norm.eps)).sqrt())
            old_mean.copy_(mean)
            old.copy_(variance)
    for hook in hooks:
        hook.remove()
