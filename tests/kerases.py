"""Small Keras models in .keras files, and such files with another description."""

import json
import zipfile
from pathlib import Path

import numpy as np

from posegram import coords, image
from posegram.models.keras_file import keras
from posegram.pose import LSP14, Sample, Skeleton


def model(skeleton: Skeleton = LSP14, *, size: tuple[int, int] = (64, 64), sure: bool = False):
    """A regression CNN as people write them, with fresh weights."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    crop = keras.Input((*size, 3))
    x = layers.MaxPooling2D(2)(layers.Conv2D(8, 5, padding="same", activation="relu")(crop))
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", strides=2)(x))
    x = layers.ReLU()(layers.Add()([y, layers.Conv2D(8, 1, strides=2)(x)]))
    x = layers.MaxPooling2D(2, padding="same")(x)
    x = layers.Dropout(0.1)(layers.Flatten()(x))
    out = [layers.Dense(2 * len(skeleton))(x)]
    if sure:
        out.append(layers.Dense(len(skeleton))(x))
    return keras.Model(crop, out)


def saved(path: Path, *args, **options) -> Path:
    """The file of such a model."""
    model(*args, **options).save(path)
    return path


def crops(people: list[Sample], size: tuple[int, int] = (64, 64)) -> tuple[np.ndarray, np.ndarray]:
    """Crops (N, H, W, 3) in 0..1 and shares of them (N, 2K), as a Keras user would train on."""
    pictures, shares = [], []
    for sample in people:
        matrix = coords.to_crop(sample.box, size)
        pictures.append(coords.warp(image.read(sample.image), matrix, size) / np.float32(255))
        share = (coords.move(sample.xy, matrix) + 0.5) / np.float32([size[1], size[0]])
        shares.append(share.ravel())
    return np.stack(pictures), np.stack(shares)


def doctored(path: Path, change) -> Path:
    """The same file after `change` was done to its description, a dict."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    parts["config.json"] = json.dumps(change(config) or config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path
