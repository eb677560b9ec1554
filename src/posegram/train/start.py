"""A network before it trains: its size, its first weights and the fastest number format here."""

from __future__ import annotations

import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posegram import models
from posegram.models.lite import Body, load_imagenet
from posegram.pose import Card
from posegram.train.config import Config

__all__ = ["load", "precision", "summary"]


def summary(card: Card) -> str:
    """How big the card's network is: weights in millions, GFLOP an input (2 per multiply-add)."""
    network = models.build(card).eval()
    weights = sum(p.numel() for p in network.parameters()) / 1e6
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        network(torch.zeros(1, 3, *card.size))
    work = counted.get_total_flops() / 1e9
    height, width = card.size
    return f"{card.name}: {weights:.2f} M weights, {work:.2f} GFLOP an input of {height}x{width}"


def load(network: nn.Module, config: Config) -> None:
    """Fill a network with the weights that `config.start` names; freeze what is to be frozen.

    From a .ckpt every weight that has the same name and shape is taken; a head with other joints
    stays fresh.

    Raises:
        ValueError: the start does not fit the network.
        FileNotFoundError: there is no such checkpoint.
    """
    if config.start == "imagenet":
        load_imagenet(_body(network, "start = 'imagenet'", config))
    elif config.start:
        _from_checkpoint(network, Path(config.start))
    if config.freeze:
        _body(network, "freeze = true", config).freeze(on=True)


def _body(network: nn.Module, setting: str, config: Config) -> Body:
    if not isinstance(network, Body):
        known = "network = 'lite' or 'detector'"
        raise ValueError(f"{setting} needs {known}, not {config.network!r}")
    return network


def _from_checkpoint(network: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path} to start from")
    if not zipfile.is_zipfile(path):  # torch's reader of older files falls over anything else
        raise ValueError(f"{path} is no checkpoint to start from")
    try:
        theirs = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, TypeError) as fault:
        raise ValueError(f"{path} is no checkpoint to start from") from fault
    theirs = {k.removeprefix("network."): v for k, v in theirs.items()}
    ours = network.state_dict()
    fitting = {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape}
    if len(fitting) < len(ours) / 2:
        raise ValueError(f"{path} fits {len(fitting)} of the network's {len(ours)} arrays")
    network.load_state_dict(ours | fitting)


def precision(module: Any, config: Config) -> str:
    """Lightning's name of the number format: the one asked for, or the faster of two steps each."""
    names = {"bf16": "bf16-mixed", "fp32": "32-true"}
    if config.precision != "auto":
        return names[config.precision]
    if torch.cuda.is_available():
        return names["bf16"] if torch.cuda.is_bf16_supported() else names["fp32"]
    times = {name: _seconds(module, config, bf16=name == "bf16") for name in names}
    return names[min(times, key=lambda name: times[name])]


def _seconds(module: Any, config: Config, *, bf16: bool) -> float:
    """Seconds of the second training step on an empty batch; weights and statistics are kept."""
    kept = {k: v.clone() for k, v in module.network.state_dict().items()}
    crop = torch.zeros(config.batch, *config.size, 3, dtype=torch.uint8)
    spent = 0.0
    for _ in range(2):
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            raw = module(crop)
        (raw[0] if isinstance(raw, tuple) else raw).float().mean().backward()
        spent = time.perf_counter() - started
    module.zero_grad(set_to_none=True)
    module.network.load_state_dict(kept)
    return spent
