"""A thinner network out of a trained lite or detector: the channels that matter least are left out.

    python bench/thin.py CONFIG.toml OUT.ckpt HEAD [BATCHES]

The settings name the source as `start`, with front = "dense", and the people or photos to look at
(`train`); HEAD is how many channels the thin network's head has. How much a channel matters is the
change of the loss when it goes, to the first order (Molchanov et al., CVPR 2019); each block keeps
as many as front = "thin" says. What is left out is rebuilt from what stays, by least squares, in
the layer behind (He et al., ICCV 2017), so the thin network starts close to its source. Train on:

    posegram train CONFIG.toml start=OUT.ckpt front=thin channels=HEAD
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from posegram import models
from posegram.train import Config, start
from posegram.train.batches import loader
from posegram.train.fit import _pictures, _some, _task

CELLS = 4096  # of a batch's map from which means and products are taken
FIRM = 1e-3  # of the mean variance, added to all: keeps least squares from dividing by next to none


@dataclass
class Channels:
    """The channels between some layers and the convolution that reads them."""

    taken: str  # that convolution
    made: tuple[str, ...]  # convolutions and norms that give a row for each channel
    value: Any = 0.0  # how much each matters, (C,)
    mean: Any = 0.0  # (C,) sums over the cells seen
    both: Any = 0.0  # (C, C) sums of products
    cells: int = 0
    seen: list[torch.Tensor] = field(default_factory=list)


def groups(network: nn.Module) -> list[Channels]:
    """The channels inside every block, and those of a pose network's head."""
    names = dict(network.named_modules())
    found = [Channels("blocks.1.3", ("blocks.1.0", "blocks.1.1"))]
    for number in range(2, 16):
        body = f"blocks.{number}.body"
        if f"{body}.6" in names:
            made = tuple(f"{body}.{layer}" for layer in (0, 1, 3, 4))
            found.append(Channels(f"{body}.6", made))
    if "merge.0.0" in names:
        found.append(Channels("merge.1.0", ("lateral.1", "lateral.2")))
        found.append(Channels("merge.0.0", ("lateral.0", "merge.1.0", "merge.1.1")))
        found.append(Channels("maps.0", ("merge.0.0", "merge.0.1")))
    return found


def look(module: Any, batches: Any, count: int) -> list[Channels]:
    """What the channels do on so many batches."""
    found = groups(module.network)
    layers = dict(module.network.named_modules())

    def keep(one: Channels, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        inputs[0].retain_grad()
        one.seen.append(inputs[0])

    hooks = [layers[one.taken].register_forward_pre_hook(partial(keep, one)) for one in found]
    module.eval()
    for number, batch in zip(range(count), batches, strict=False):
        module.zero_grad()
        loss = module.loss(module(batch["crop"]), batch)
        loss.backward()
        for one in found:
            _add(one, one.seen.pop())
        print(f"batch {number + 1} of {count}: loss {float(loss.detach()):.3f}", flush=True)
    for hook in hooks:
        hook.remove()
    return found


def _add(one: Channels, x: torch.Tensor) -> None:
    change = (x * x.grad).sum(dim=(2, 3)).detach()
    one.value = one.value + (change**2).sum(dim=0)
    flat = x.detach().permute(1, 0, 2, 3).flatten(1)
    flat = flat[:, torch.randperm(flat.shape[1])[:CELLS]].double()
    one.mean, one.both = one.mean + flat.sum(dim=1), one.both + flat @ flat.T
    one.cells += flat.shape[1]


def shrink(state: dict[str, torch.Tensor], one: Channels, count: int) -> None:
    """Leave out all but so many channels; what they gave comes from those that stay."""
    kept = one.value.argsort(descending=True)[:count].sort().values
    gone = torch.tensor([n for n in range(len(one.value)) if n not in set(kept.tolist())])
    weight = state[f"{one.taken}.weight"]
    if len(gone):
        mean = one.mean / one.cells
        spread = one.both / one.cells - mean[:, None] * mean
        firm = FIRM * spread.diagonal().mean() * torch.eye(count)
        share = torch.linalg.solve(spread[kept][:, kept] + firm, spread[kept][:, gone])
        left = mean[gone] - share.T @ mean[kept]  # what no other channel tells, on the average
        lost = weight[:, gone].double()
        weight[:, kept] += torch.einsum("ogyx,kg->okyx", lost, share).float()
        _shift(state, one.taken, torch.einsum("ogyx,g->o", lost, left).float())
    state[f"{one.taken}.weight"] = weight[:, kept].clone()
    for name in one.made:
        for key in [k for k in state if k.rpartition(".")[0] == name and state[k].dim()]:
            state[key] = state[key][kept].clone()


def _shift(state: dict[str, torch.Tensor], name: str, by: torch.Tensor) -> None:
    """Add a constant to what a convolution gives: to its bias, or in the norm behind it."""
    if f"{name}.bias" in state:
        state[f"{name}.bias"] += by
        return
    path, _, number = name.rpartition(".")
    state[f"{path}.{int(number) + 1}.running_mean"] -= by


def main() -> None:
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    config = Config.read(sys.argv[1]).override({"cache": "off", "distill": "", "freeze": False})
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 24
    task = _task(config)
    train, valid = task.sets(config)
    pictures = _pictures(task, config, train, valid)[0]
    module = task.module(task.card(config), config, 1)
    start.load(module.network, config, module.card, partial(_some, pictures))
    theirs = start.read(start.path_of(config.start))[0]
    card = replace(theirs or module.card, name=module.card.name, scores={})
    settings = {**card.settings, "front": "thin", "head": int(sys.argv[3])}
    card = replace(card, settings=settings)
    layers = dict(models.build(card).named_modules())
    found = look(module, loader(pictures, config), count)
    state = {name: value.clone() for name, value in module.network.state_dict().items()}
    for one in found:
        width, value = layers[one.taken].in_channels, one.value.sort().values
        lost = float(value[: len(value) - width].sum() / value.sum())
        print(f"{one.taken}: {width} of {len(value)} channels, {lost:.4f} of their effect goes")
        shrink(state, one, width)
    models.filled(card, state)
    kept = {f"network.{name}": value for name, value in state.items()}
    torch.save(
        {"card": card.to_json(), "state_dict": kept, "values": [o.value for o in found]},
        sys.argv[2],
    )
    print(f"-> {Path(sys.argv[2])}")


if __name__ == "__main__":
    main()
