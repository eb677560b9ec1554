"""Networks, one torch file each, and the way from a checkpoint back to one.

A network is built from a card: `MODELS[card.settings["network"]](card)`. It takes normalised
images (B, 3, H, W) and emits what the card's kind says (see `posegram.pose.Raw`), as tensors; but
Keypoint R-CNN has ways of its own, see `models.keypoint_rcnn`.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram.pose import Card, Network, Raw

__all__ = ["KINDS", "MODELS", "answering", "build", "filled", "load_weights", "stored"]


def _lazy(name: str) -> Callable[..., Any]:
    def make(card: Any) -> Any:
        return getattr(import_module(f"posegram.models.{name}"), name)(card)

    return make


KINDS = {  # what each network emits
    "cnn": "regression",
    "lite": "heatmap",
    "detector": "detector",
    "dense_detector": "detector",
    "keypoint_rcnn": "rcnn",
    "keypoint_rcnn18": "rcnn",
}
_FILES = {"keypoint_rcnn18": "keypoint_rcnn"}  # where a network shares another one's file
MODELS: dict[str, Callable[..., Any]] = {name: _lazy(_FILES.get(name, name)) for name in KINDS}


def build(card: Any) -> Any:
    """The network that a card describes, a `torch.nn.Module` with fresh weights.

    Raises:
        ValueError: the card names no network that posegram knows.
    """
    name = card.settings.get("network")
    if name not in MODELS:
        raise ValueError(f"no network {name!r}; there are {', '.join(sorted(MODELS))}")
    return MODELS[name](card)


def filled(card: Card, weights: dict[str, Any]) -> Any:
    """The network that a card describes with these weights, in evaluation mode.

    Raises:
        ValueError: the card names no network that posegram knows.
        RuntimeError: the weights do not fit it.
    """
    network = build(card)
    network.load_state_dict(weights)
    return network.eval()


def answering(network: Any, card: Card) -> Network:
    """A torch network as what the rest of posegram runs: crops (B, H, W, 3) uint8 in, arrays out.

    Args:
        network: in evaluation mode.
        card: says how crops are normalised.
    """
    import torch

    from posegram.models.normalise import Normalise

    normalise = Normalise(card)

    def answer(crops: npt.NDArray[np.uint8]) -> Raw:
        with torch.no_grad():
            raw = network(normalise(torch.from_numpy(np.ascontiguousarray(crops))))
        return tuple(r.numpy() for r in (raw if isinstance(raw, tuple) else (raw,)))

    return answer


def load_weights(path: Path) -> tuple[Card, Any]:
    """The card and the network of a .ckpt file, in evaluation mode.

    Only arrays and plain values are read from the file, never code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint, holds no card, or its weights do not fit the card.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    whole = stored(path, f"{path} is no checkpoint that posegram can read")
    if not isinstance(whole, dict) or "card" not in whole or "state_dict" not in whole:
        raise ValueError(f"{path} is a checkpoint without a posegram card, so not one of ours")
    card = Card.from_json(whole["card"])
    weights = {k.removeprefix("network."): v for k, v in whole["state_dict"].items()}
    try:
        return card, filled(card, weights)
    except RuntimeError as fault:
        raise ValueError(f"{path}: the weights do not fit the network of its card") from fault


def stored(path: Path, refusal: str) -> Any:
    """What torch wrote into a file; only arrays and plain values are read, never code.

    Args:
        path: of a file that is there.
        refusal: what to say of a file that torch cannot read.

    Raises:
        ValueError: with `refusal`.
    """
    import torch

    if not zipfile.is_zipfile(path) and not _old(path):  # torch falls over anything else
        raise ValueError(refusal)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError) as fault:
        raise ValueError(refusal) from fault


def _old(path: Path) -> bool:
    """Whether a file begins as torch wrote weights before it took to zip, as in 2019."""
    with path.open("rb") as file:
        return file.read(2) in (b"\x80\x02", b"\x80\x04")
