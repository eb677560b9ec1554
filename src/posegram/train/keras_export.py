"""Keras models into self-describing ONNX, and our plain CNN into a .keras file; both gated."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from posegram import coords
from posegram.files import replacing
from posegram.models import answering, load_weights
from posegram.models.cnn import Cnn
from posegram.models.keras_cnn import card_of, save, twin
from posegram.models.keras_file import load_keras_file, read_model
from posegram.pose import Card, Floats, Image, Sample, Skeleton
from posegram.train.batches import relabel
from posegram.train.calibrate import calibrate
from posegram.train.export import crops_of, export, spread

__all__ = ["from_keras", "to_keras"]

_BUDGET = 1e-4  # that an output may differ by
_COMPARED = 64  # people
_RIGHT = 0.1  # of the longer side of the person's box, within which a joint is right


def from_keras(
    path: Path,
    out: Path,
    people: Sequence[Sample] = (),
    *,
    skeleton: Skeleton | None = None,
    outputs: str = "shares",
    margin: float = 1.25,
) -> Card:
    """A .keras file as self-describing ONNX whose outputs are Keras's own; returns the card.

    A model without confidences gets one score for all joints: on people, the share of joints
    within 0.1 of the longer side of the box; 0.5 without people.

    Args:
        path: the .keras file; its contract is that of `posegram.models.keras_file`.
        out: the .onnx file; it appears only when the comparison holds.
        people: annotated, whose crops are compared; noise without them.
        skeleton: see `load_keras_file`, as `outputs` and `margin`.

    Raises:
        ValueError: as `load_keras_file`; or the outputs differ by more than 1e-4.
    """
    card, network = load_keras_file(path, skeleton=skeleton, outputs=outputs, margin=margin)
    chosen = spread(people, _COMPARED)
    nowhere = np.zeros((0, 2, 3), dtype=np.float32)
    crops, back = crops_of(chosen, card) if chosen else (_noise(card.size), nowhere)
    expected = answering(network, card)(crops)
    if chosen and card.calibration == (0.0, 0.0):
        card = replace(card, calibration=_calibration(card, expected, back, chosen))
    with replacing(out) as draft, warnings.catch_warnings():
        # the trace warns of sizes it takes as fixed; whether they are, the comparison tells
        warnings.simplefilter("ignore")
        export(network, card, draft, crops=crops)
        session = onnxruntime.InferenceSession(str(draft), providers=["CPUExecutionProvider"])
        _compare(expected, session.run(None, {"crop": crops}), path, out)
    return card


def to_keras(path: Path, out: Path) -> Card:
    """The plain CNN in a .ckpt file as a .keras file with the same outputs; returns its card.

    Raises:
        ValueError: it is another network than `cnn`, or the outputs differ by more than 1e-4.
    """
    card, network = load_weights(path)
    if not isinstance(network, Cnn):
        name = card.settings.get("network")
        raise ValueError(f"{path} holds the network {name!r}; only `cnn` is written for Keras")
    crops = _noise(card.size)
    expected = answering(network, card)(crops)
    with replacing(out, ".keras") as draft:
        save(twin(network, card), card_of(card), draft)
        model, _ = read_model(draft)  # as others will
        with torch.no_grad():
            given = torch.from_numpy(crops).float() / 255
            found = [raw.numpy() for raw in model(given, training=False)]
        _compare(expected, [found[0].reshape(expected[0].shape), found[1]], path, out)
    return card_of(card)


def _noise(size: tuple[int, int], count: int = 5) -> Image:
    """Crops (B, H, W, 3) of coarse and fine noise, always the same."""
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    coarse = np.repeat(np.repeat(fine[:, ::16, ::16], 16, axis=1), 16, axis=2)
    return np.asarray((fine // 4 + coarse[:, : size[0], : size[1]] // 4 * 3), dtype=np.uint8)


def _compare(expected: Sequence[Floats], found: Sequence[Any], path: Path, out: Path) -> None:
    """Hold outputs against each other.

    Raises:
        ValueError: they differ, or are not finite.
    """
    away = max(float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True))
    if not away <= _BUDGET:  # NaN counts as different
        raise ValueError(
            f"{out} is not written: its outputs differ from those of {path} by {away:.2g}, "
            f"and {_BUDGET:g} is allowed"
        )


def _calibration(
    card: Card, raw: Sequence[Floats], back: Floats, people: Sequence[Sample]
) -> tuple[float, float]:
    """Slope 0 and the log odds that a joint is right."""
    crop_xy = coords.decode((raw[0], raw[1]), card.kind, card.size)[0]
    found = coords.move(crop_xy, back)
    right = []
    for xy, sample in zip(found, people, strict=True):
        truth, labelled, _ = relabel(sample, card.skeleton)
        reach = _RIGHT * float((sample.box[2:] - sample.box[:2]).max())
        right.append((np.linalg.norm(xy - truth, axis=1) <= reach)[labelled])
    flat = np.concatenate(right)
    return calibrate(np.zeros(len(flat), dtype=np.float32), flat)
