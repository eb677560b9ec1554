"""A network before it trains: its size, its first weights and the fastest number format here."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from posegram import models
from posegram.data import door
from posegram.models.lite import Body, load_imagenet
from posegram.pose import Card, Image, Skeleton
from posegram.train import places
from posegram.train.config import Config
from posegram.train.unfold import settle, unfold

__all__ = ["hold", "load", "meet", "path_of", "precision", "read", "require", "summary"]

Weights = dict[str, torch.Tensor]
Items = dict[str, Any]  # crop (B, H, W, 3) uint8; xy (B, K, 2) crop pixels; weight (B, K)


def summary(card: Card) -> str:
    """How big the card's network is: weights in millions, GFLOP an input (2 per multiply-add)."""
    network = models.build(card).eval()
    weights = sum(p.numel() for p in network.parameters()) / 1e6
    # how many people an R-CNN looks at depends on the photo: its body is what can be told
    whole, part = (network.backbone, " for the body") if card.kind == "rcnn" else (network, "")
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        whole(torch.zeros(1, 3, *card.size))
    work = counted.get_total_flops() / 1e9
    size = "{}x{}".format(*card.size)
    return f"{card.name}: {weights:.2f} M weights, {work:.2f} GFLOP an input of {size}{part}"


def load(
    network: nn.Module,
    config: Config,
    card: Card | None = None,
    items: Callable[[], Items] | None = None,
) -> set[str]:
    """Fill a network with the weights that `config.start` names; freeze what is to be frozen.

    Returns the names of the arrays that stay fresh, in whole or for some joint.

    Every weight that has the same name and shape is taken. Where the card of the start names its
    joints, each joint of the head gets the weights of the one that it meets, see `meet`; what is
    left stays fresh.

    Args:
        network: to be filled.
        config: `start`, `match` and `freeze`.
        card: the network's own; without it a head is taken only where its shape fits.
        items: training people as `batches.Crops` gives them, stacked; asked for when an .onnx is
            the start or joints are matched by place.

    Raises:
        ValueError: the start does not fit the network, or has another front.
        FileNotFoundError: there is no such file.
    """
    fresh = set(network.state_dict())
    if config.start == "imagenet":
        fresh -= load_imagenet(_body(network, "start = 'imagenet'", config))
    elif config.start:
        path = path_of(config.start)
        theirs, weights = read(path, None if items is None else lambda: items()["crop"])
        _same_front(network, theirs, config)
        names = {}
        if theirs is not None and card is not None:
            names = meet((theirs, weights), card.skeleton, config, items)
        fresh -= _take(network, weights, path, (theirs, card), names)
    if config.freeze:
        if config.start and any(name.startswith("stem") for name in fresh):
            raise ValueError(
                f"freeze = true keeps the first blocks of {config.start}, and there are none that "
                f"fit front = {config.front!r}; give freeze=false"
            )
        _body(network, "freeze = true", config).freeze(on=True)
    return fresh


def require(config: Config) -> None:
    """See that the start is there, before data is read and a network built.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if config.start not in ("", "imagenet", "coco"):
        _require(path_of(config.start))


def _require(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint {path} to start from")


def path_of(start: str) -> Path:
    """The file that a start names: a bundled model's, or the path itself."""
    bundled = Path(str(files("posegram") / "weights" / f"{start}.onnx"))
    is_name = start.replace("-", "_").isidentifier()
    return bundled if is_name and bundled.is_file() else Path(start)


def read(path: Path, crops: Callable[[], Image] | None = None) -> tuple[Card | None, Weights]:
    """Card (None where the file has none) and weights of a .ckpt or of one of our .onnx files.

    Raises:
        ValueError: it is neither.
        FileNotFoundError: there is no such file.
    """
    _require(path)
    if path.suffix.lower() == ".onnx":
        card, network = unfold(path)
        if crops is not None:
            settle(network, card, crops())
        return card, network.state_dict()
    refusal = f"{path} is no checkpoint to start from"
    whole = models.stored(path, refusal)
    if not isinstance(whole, dict) or not isinstance(whole.get("state_dict"), dict):
        raise ValueError(refusal)
    weights = {k.removeprefix("network."): v for k, v in whole["state_dict"].items()}
    return Card.from_json(whole["card"]) if "card" in whole else None, weights


def _body(network: nn.Module, setting: str, config: Config) -> Body:
    if not isinstance(network, Body):
        known = "network = 'lite' or 'detector'"
        raise ValueError(f"{setting} needs {known}, not {config.network!r}")
    return network


def _same_front(network: nn.Module, theirs: Card | None, config: Config) -> None:
    """See that the first layers are the kind that the start has: others would begin at random."""
    front = "lite0" if theirs is None else theirs.settings.get("front", "lite0")
    if theirs is not None and isinstance(network, Body) and front != config.front:
        head = int(theirs.settings.get("head", config.channels))
        wide = "" if head == config.channels else f" channels={head}"
        raise ValueError(
            f"{config.start} has front = {front!r}, and the settings say front = {config.front!r}; "
            f"give front={front}{wide}"
        )


def meet(
    source: tuple[Card, Weights],
    skeleton: Skeleton,
    config: Config,
    items: Callable[[], Items] | None = None,
) -> dict[str, str]:
    """Joint of a skeleton -> the start's joint that it begins as, by name; see `places.called`.

    With `match = "place"` others meet the joint that the start finds nearest to their labels, and
    then two may meet the same.

    Args:
        source: card and weights of the start.
        skeleton: whose joints are learnt.
        config: `match`.
        items: training people, see `load`; asked for only where places are to tell.
    """
    theirs, weights = source
    joints = skeleton.joints
    names = places.called(joints, theirs.skeleton.joints)
    told = config.match == "place" and theirs.kind == "heatmap" and len(names) < len(joints)
    if not told or items is None:
        return names
    some = items()
    found = places.said(weights, theirs, some["crop"])
    pairs = places.nearest(found, some["xy"], some["weight"] > 0, some["crop"].shape[1])
    return {joints[a]: theirs.skeleton.joints[b] for a, b in pairs.items()} | names


def _take(
    network: nn.Module,
    theirs: Weights,
    path: Path,
    cards: tuple[Card | None, Card | None],
    names: dict[str, str],
) -> set[str]:
    """Fill the network; returns the names of the arrays that came from the start as a whole."""
    ours = network.state_dict()
    fitting = {k: v for k, v in theirs.items() if k in ours and v.shape == ours[k].shape}
    if len(fitting) < len(ours) / 2:
        raise ValueError(
            f"{path} fits {len(fitting)} of the network's {len(ours)} arrays: it is of another "
            "network; check network, channels and front, or give another start"
        )
    partly: Weights = {}
    their_card, card = cards
    if their_card is not None and card is not None:
        for name in _heads(card):
            fitting.pop(name, None)
            mixed = _by_joint(ours[name], theirs.get(name), (card, their_card), names)
            if mixed is not None:
                known = fitting if len(names) == len(card.skeleton) else partly
                known[name] = mixed
    network.load_state_dict(ours | fitting | partly)
    return set(fitting)


def _heads(card: Card) -> list[str]:
    """Names of the arrays whose first axis runs over the joints."""
    if not len(card.skeleton):  # a detector's
        return []
    one, two = (
        models.build(replace(card, skeleton=Skeleton("count", tuple(f"j{n}" for n in range(k)))))
        for k in (1, 2)
    )
    more = two.state_dict()
    return [k for k, v in one.state_dict().items() if v.shape != more[k].shape]


def _by_joint(
    ours: torch.Tensor,
    theirs: torch.Tensor | None,
    cards: tuple[Card, Card],
    names: dict[str, str],
) -> torch.Tensor | None:
    """Our array with the rows of every joint that has one of theirs taken from there.

    None where the arrays have another number of rows a joint, or rows of other shapes.
    """
    if theirs is None:
        return None
    here, there = (card.skeleton.joints for card in cards)
    each, rest = len(theirs) // max(len(there), 1), len(theirs) % max(len(there), 1)
    if rest or len(ours) != each * len(here) or ours.shape[1:] != theirs.shape[1:]:
        return None
    mixed = ours.clone().view(len(here), each, *ours.shape[1:])
    source = theirs.view(len(there), each, *theirs.shape[1:])
    for row, joint in enumerate(here):
        if joint in names:
            mixed[row] = source[there.index(names[joint])]
    return mixed.view_as(ours)


def hold(
    network: nn.Module, config: Config, epoch: int, fresh: Collection[str] = frozenset()
) -> None:
    """Keep the whole body as it is before epoch `config.release`, its statistics too; then let go.

    What `freeze` keeps stays so, and with `keep_norms` every batch norm that came from the start
    normalises as it did there.

    Args:
        network: in training mode.
        config: `release` and `keep_norms`.
        epoch: that begins.
        fresh: what `load` returned.
    """
    if config.release:
        body = _body(network, f"release = {config.release}", config)
        held = epoch < config.release
        for part in (body.stem, *body.blocks):
            part.requires_grad_(not held)
            part.train(body.training and not held)
        if not held:
            body.freeze(on=body.frozen)
    if config.keep_norms:
        for name, layer in network.named_modules():
            if isinstance(layer, nn.BatchNorm2d) and f"{name}.running_mean" not in fresh:
                layer.eval()


def precision(module: Any, config: Config) -> str:
    """Lightning's name of the number format: the one asked for, or the faster of two steps each.

    A run that goes on keeps the one it was begun with.
    """
    names = {"bf16": "bf16-mixed", "fp32": "32-true"}
    if config.precision != "auto":
        return names[config.precision]
    if torch.cuda.is_available():
        return names["bf16"] if torch.cuda.is_bf16_supported() else names["fp32"]
    begun = config.run / "environment.json"
    if (config.run / "last.ckpt").exists() and begun.exists():
        return str(door.load_json(begun)["precision"])
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
