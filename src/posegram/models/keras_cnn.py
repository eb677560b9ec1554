"""The plain residual CNN of `models.cnn`, rebuilt of Keras layers with the same weights.

Only layers that Keras reads back in safe mode are used. The centre of mass of the joint maps is a
Dense layer whose fixed weights are the places of the cells.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from posegram.files import replacing
from posegram.models.cnn import STRIDE, Cnn, Residual
from posegram.models.keras_file import CARD, keras
from posegram.pose import Card, Floats

__all__ = ["card_of", "save", "twin"]

_TINY = 1e-6  # a peak is never surer than 1 - this


def twin(network: Cnn, card: Card) -> Any:
    """The same network as a `keras.Model`: (B, H, W, 3) in 0..1 in; two outputs.

    "joints" (B, 2K): shares of the crop as x0, y0, x1, y1, ..., 0 and 1 being its outer edges;
    "confidence" (B, K): logits. The card's normalisation is the first layer.
    """
    layers = keras.layers
    picture = keras.Input((*card.size, 3), name="crop")
    deviation = np.array(card.std)
    scale, offset = 255 / deviation, -np.array(card.mean) / deviation
    x = layers.Rescaling(scale.tolist(), offset.tolist())(picture)
    x = layers.MaxPooling2D(2)(_chain(x, network.stem[:3]))
    scales = []
    for number, stage in enumerate(network.stages):
        x = layers.MaxPooling2D(2, padding="same")(x) if number else x  # "same" rounds up
        for block in stage.children():
            x = _residual(x, block)
        scales.append(x)
    merged = _conv(scales[3], network.lateral[2])
    for finer, at in ((scales[2], 1), (scales[1], 0)):
        side = _conv(finer, network.lateral[at])
        up = layers.UpSampling2D(2, interpolation="nearest")(merged)
        extra = [(0, up.shape[axis] - side.shape[axis]) for axis in (1, 2)]
        up = layers.Cropping2D(tuple(extra))(up) if extra != [(0, 0)] * 2 else up
        merged = _residual(layers.Add()([up, side]), network.merge[1 - at])
    maps = _conv(merged, network.maps)
    return keras.Model(picture, list(_centre_of_mass(maps, card.size)), name="cnn")


def _conv(x: Any, conv: nn.Module) -> Any:
    """A convolution with torch's padding, which is the same on both sides."""
    assert isinstance(conv, nn.Conv2d)
    side, stride, padding = conv.kernel_size[0], conv.stride[0], int(conv.padding[0])
    if padding:
        x = keras.layers.ZeroPadding2D(padding)(x)
    layer = keras.layers.Conv2D(conv.out_channels, side, stride, use_bias=conv.bias is not None)
    y = layer(x)
    weights = [conv.weight.permute(2, 3, 1, 0)] + ([] if conv.bias is None else [conv.bias])
    layer.set_weights([_array(w) for w in weights])
    return y


def _norm(x: Any, norm: nn.BatchNorm2d) -> Any:
    layer = keras.layers.BatchNormalization(
        momentum=1 - float(norm.momentum or 0.1), epsilon=norm.eps
    )
    y = layer(x)
    weights = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    layer.set_weights([_array(w) for w in weights if w is not None])
    return y


def _chain(x: Any, parts: Any) -> Any:
    """Convolutions, normalisations and ReLUs one after the other."""
    for part in parts:
        if isinstance(part, nn.BatchNorm2d):
            x = _norm(x, part)
        else:
            x = keras.layers.ReLU()(x) if isinstance(part, nn.ReLU) else _conv(x, part)
    return x


def _residual(x: Any, block: nn.Module) -> Any:
    assert isinstance(block, Residual)
    skip = x if isinstance(block.skip, nn.Identity) else _conv(x, block.skip)
    return keras.layers.ReLU()(keras.layers.Add()([_chain(x, block.body), skip]))


def _centre_of_mass(maps: Any, size: tuple[int, int]) -> tuple[Any, Any]:
    """Joints (B, 2K) and logits (B, K) of joint maps (B, h, w, K), as `Cnn` computes them."""
    layers, ops = keras.layers, keras.ops
    _, rows, columns, joints = maps.shape
    share = layers.Softmax(axis=1)(layers.Reshape((rows * columns, joints))(maps))
    down, across = np.divmod(np.arange(rows * columns), columns)
    places = np.stack([(across + 0.5) * STRIDE / size[1], (down + 0.5) * STRIDE / size[0]], axis=1)
    centre = layers.Dense(2, use_bias=False, trainable=False, name="centre_of_mass")
    xy = layers.Flatten(name="joints")(centre(layers.Permute((2, 1))(share)))
    centre.set_weights([places.astype(np.float32)])
    peak = ops.clip(layers.GlobalMaxPooling1D()(share), _TINY, 1 - _TINY)
    return xy, layers.Identity(name="confidence")(ops.log(peak / (1 - peak)))


def _array(tensor: torch.Tensor) -> Floats:
    return np.asarray(tensor.detach().numpy(), dtype=np.float32)


def save(model: Any, card: Card, path: Path) -> Path:
    """Write a Keras model and its card as one .keras file, atomically; Keras reads it as any."""
    with replacing(path, ".keras") as draft:
        model.save(draft)
        with zipfile.ZipFile(draft, "a") as archive:
            archive.writestr(CARD, json.dumps(asdict(card), sort_keys=True))
    return path


def card_of(card: Card) -> Card:
    """The card of a network's twin, which takes pictures in 0..1."""
    plain = Card(card.name, "regression", card.skeleton, card.size)
    settings = {"network": "keras", "outputs": "shares"}
    return replace(card, mean=plain.mean, std=plain.std, settings=settings)
