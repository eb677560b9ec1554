"""What Lightning trains: a network, its loss over labelled joints, and its validation numbers."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, cast

import lightning
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from posegram import coords, heatmaps, models
from posegram.metrics import pck
from posegram.models.cnn import STRIDE
from posegram.models.normalise import Normalise
from posegram.pose import Card, Floats, Kind, Skeleton
from posegram.train import skeletons
from posegram.train.config import Config

__all__ = [
    "PoseModule",
    "card_for",
    "heatmap_loss",
    "measurable",
    "nowhere_loss",
    "regression_loss",
    "right_joints",
    "summary",
    "torsos",
]

Batch = dict[str, torch.Tensor]

_STEP = 8  # pixels: sides of a crop for which heatmaps have cells of whole pixels


def card_for(config: Config) -> Card:
    """The card of the pose network that the settings describe.

    Raises:
        ValueError: there is no such skeleton, or heatmaps would not fit crops of that size.
    """
    kind = cast(Kind, models.KINDS[config.network])
    if kind == "heatmap" and any(side % _STEP for side in config.size):
        sides = f"size = {list(config.size)}; {config.network} takes multiples of {_STEP}"
        raise ValueError(f"{sides}, such as [256, 192]")
    return Card(
        name=config.name,
        kind=kind,
        skeleton=skeletons.named(config),
        size=config.size,
        mean=config.mean,
        std=config.std,
        margin=config.margin,
        data=tuple(dict.fromkeys(path.name for path in config.sources)),
        settings={"width": config.channels} | config.built(),
    )


def regression_loss(
    share: torch.Tensor, xy: torch.Tensor, weight: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Mean squared error of the shares of the crop over labelled joints, a scalar.

    Args:
        share: (B, K, 2) predicted.
        xy: (B, K, 2) crop pixels.
        weight: (B, K), 0 where not labelled.
        size: height and width of the crop in pixels.
    """
    truth = (xy + 0.5) / xy.new_tensor([size[1], size[0]])
    error = ((share.float() - truth) ** 2).mean(dim=-1)
    return (error * weight).sum() / weight.sum().clamp(min=1)


def heatmap_loss(
    heat: torch.Tensor,
    xy: torch.Tensor,
    weight: torch.Tensor,
    size: tuple[int, int],
    *,
    bell: float = 1.5,
) -> torch.Tensor:
    """Cross-entropy of each joint's spatial softmax against a Gaussian, mean over joints, a scalar.

    Args:
        heat: (B, K, h, w) logits.
        xy: (B, K, 2) crop pixels.
        weight: (B, K), 0 where not labelled.
        size: height and width of the crop in pixels.
        bell: standard deviation of the Gaussian in cells. The narrower, the more of the loss is
            about the last pixels, and the less about which limb is whose.
    """
    cells = heat.shape[2], heat.shape[3]
    down, across = coords.encode_heatmap(xy.cpu().numpy(), size, cells, bell)
    target = torch.einsum(
        "bkh,bkw->bkhw", torch.from_numpy(down).to(heat), torch.from_numpy(across).to(heat)
    )
    gain = heat.flatten(2).log_softmax(dim=-1)
    loss = -(target.flatten(2) * gain).sum(dim=-1)
    return (loss * weight).sum() / weight.sum().clamp(min=1)


def nowhere_loss(heat: torch.Tensor, absent: torch.Tensor) -> torch.Tensor:
    """How far the spatial softmax of absent joints is from an even one, mean over joints, a scalar.

    A joint outside the photo should light up no place: then its score is low.

    Args:
        heat: (B, K, h, w) logits.
        absent: (B, K) weights, 0 where the joint is in the picture or not labelled.
    """
    gain = heat.flatten(2).log_softmax(dim=-1)
    surprise = -gain.mean(dim=-1) - math.log(gain.shape[-1])
    return (surprise * absent).sum() / absent.sum().clamp(min=1)


def summary(seen: dict[str, Floats], skeleton: Skeleton) -> dict[str, float]:
    """Loss, MAE (crop pixels a coordinate) and PCK@0.2 of the torso, percent, of predictions.

    A person whose torso is not labelled has no PCK and is left out of it.

    Args:
        seen: what `PoseModule.predictions` returns.
        skeleton: names the K joints.
    """
    labelled = seen["weight"] > 0
    scale = seen["scale"][:, None, None]
    numbers = {"valid_loss": float(seen["loss"].mean()), "valid_mae": 0.0, "valid_pck": 0.0}
    if labelled.any():
        numbers["valid_mae"] = pck.mae(seen["xy"] / scale, seen["truth"] / scale, labelled)
    whole = right_joints(seen, skeleton)
    if whole.size:
        numbers["valid_pck"] = float(whole.mean() * 100)
    return numbers


def right_joints(seen: dict[str, Floats], skeleton: Skeleton) -> npt.NDArray[np.bool_]:
    """Which labelled joints lie within 0.2 torso lengths of the truth, (joints,).

    Only people with a labelled torso count; see `torsos` for skeletons without one.
    """
    labelled, known = measurable(seen, skeleton)
    size = torsos(seen, skeleton)[known]
    away = pck.distance(seen["xy"][known], seen["truth"][known], size)
    return np.asarray(away[labelled[known]] <= 0.2)


def measurable(
    seen: dict[str, Floats], skeleton: Skeleton
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which joints are labelled (N, K) and which people have a size to measure by (N,)."""
    labelled = seen["weight"] > 0
    with np.errstate(invalid="ignore"):
        return labelled, np.asarray(torsos(seen, skeleton) > 1)


def torsos(seen: dict[str, Floats], skeleton: Skeleton) -> npt.NDArray[np.float64]:
    """Left shoulder to right hip of each person, (N,) photo pixels; NaN where one is not labelled.

    In a skeleton that lacks them, a torso is a quarter of the box's longer side, or NaN where the
    validation did not keep that.
    """
    if pck.has_torso(skeleton):
        return pck.torso(seen["truth"], skeleton, seen["weight"] > 0)
    side = seen.get("side", np.full(len(seen["truth"]), np.nan))
    return side.astype(np.float64) / 4  # people of LSP: 0.28


def _groups(network: nn.Module, config: Config, fresh: Collection[str]) -> list[dict[str, Any]]:
    """Groups of weights with their learning rates: fresh ones, then started ones by depth.

    The head's layers that came from the start count as the body's nearest to it.
    """
    named = list(network.named_parameters())
    started = [(n, p) for n, p in named if config.start and n not in fresh]
    ids = {id(p) for _, p in started}
    others = [p for _, p in named if id(p) not in ids]
    groups = [{"params": others, "lr": config.rate}] if others or not started else []
    return [*groups, *_by_depth(started, config)]


def _by_depth(started: list[tuple[str, nn.Parameter]], config: Config) -> list[dict[str, Any]]:
    """Groups of started weights with their learning rates, one for all if they are equal."""
    inside = [int(n.split(".")[1]) + 1 if n.startswith("blocks") else 0 for n, _ in started]
    most = max(inside, default=0)
    depth = [d if n.startswith(("stem", "blocks")) else most
             for d, (n, _) in zip(inside, started, strict=True)]  # fmt: skip
    away = [most - d if config.depth_rate != 1 else 0 for d in depth]
    rate = config.rate * config.start_rate
    return [
        {
            "params": [p for (_, p), there in zip(started, away, strict=True) if there == n],
            "lr": rate * config.depth_rate**n,
        }
        for n in sorted(set(away))
    ]


class PoseModule(lightning.LightningModule):
    """A network in training; `card` says which, `config` how."""

    def __init__(self, card: Card, config: Config, steps_per_epoch: int) -> None:
        super().__init__()
        self.card, self.config, self.steps = card, config, steps_per_epoch
        self.network: nn.Module = models.build(card)
        self.normalise = Normalise(card)
        self.seen: list[dict[str, Floats]] = []
        self.train_loss: list[float] = []
        self.fresh: set[str] = set()  # weights that no start filled, by name in the network

    def forward(self, crop: torch.Tensor) -> Any:
        """What the network emits for crops (B, H, W, 3) uint8."""
        return self.network(self.normalise(crop).contiguous(memory_format=torch.channels_last))

    def loss(self, raw: Any, batch: Batch) -> torch.Tensor:
        """The loss that fits what the network emits, a scalar."""
        if self.card.kind == "regression":
            return regression_loss(raw[0], batch["xy"], batch["weight"], self.card.size)
        bell = self.config.bell
        return heatmap_loss(raw, batch["xy"], batch["weight"], self.card.size, bell=bell)

    def guide(self, raw: Any, batch: Batch) -> torch.Tensor | float:
        """Cross-entropy of the maps behind a regression, times its setting: it only trains."""
        if self.card.kind != "regression" or not self.config.guide:
            return 0.0
        maps = raw[2]
        size = maps.shape[2] * STRIDE, maps.shape[3] * STRIDE  # the maps may overhang the crop
        return self.config.guide * heatmap_loss(maps, batch["xy"], batch["weight"], size)

    def nowhere(self, raw: Any, batch: Batch) -> torch.Tensor | float:
        """Loss of heatmaps of joints outside the photo, times its setting and their share."""
        if self.card.kind != "heatmap" or not self.config.nowhere:
            return 0.0
        share = batch["absent"].sum() / batch["weight"].sum().clamp(min=1)
        return self.config.nowhere * share * nowhere_loss(raw, batch["absent"])

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        """One step's loss, a scalar; the recorded one is that of the joints in the picture."""
        raw = self(batch["crop"])
        loss = self.loss(raw, batch)
        self.train_loss.append(float(loss.detach()))
        self.log("loss", loss.detach(), prog_bar=True)
        return loss + self.guide(raw, batch) + self.nowhere(raw, batch)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's predictions."""
        self.seen = []

    def validation_step(self, batch: Batch, number: int) -> None:
        """Predictions of one batch, kept until the epoch's end."""
        raw = self(batch["crop"])
        count = len(batch["crop"])
        loss = self.loss(raw, batch)
        arrays = raw if isinstance(raw, tuple) else (raw,)
        xy, logit = coords.decode(
            tuple(a.float().cpu().numpy() for a in arrays),
            self.card.kind,
            self.card.size,
            heatmaps.spreads(self.card.skeleton),
        )
        back = batch["back"].cpu().numpy()
        self.seen.append(
            {
                "xy": coords.move(xy, back),
                "logit": logit,
                "truth": coords.move(batch["xy"].cpu().numpy(), back),
                "weight": batch["weight"].cpu().numpy(),
                "scale": (scale := np.linalg.norm(back[:, :, 0], axis=1)),
                "side": scale * (self.card.size[0] / self.card.margin),
                "loss": np.full(count, float(loss), dtype=np.float32),
                "row": batch["row"].cpu().numpy(),
            }
        )

    def predictions(self) -> dict[str, Floats]:
        """The last validation in photo pixels: xy, truth (N, K, 2); logit, weight (N, K); ..."""
        return {key: np.concatenate([s[key] for s in self.seen]) for key in self.seen[0]}

    def on_validation_epoch_end(self) -> None:
        """Log loss, MAE (crop pixels a coordinate) and PCK@0.2 of the torso."""
        if not self.seen:
            return
        numbers = summary(self.predictions(), self.card.skeleton)
        for key in ("valid_loss", "valid_mae", "valid_pck"):
            self.log(key, numbers[key], prog_bar=key != "valid_mae", sync_dist=True)

    def extras(self) -> dict[str, float]:
        """More numbers for an epoch's line; none here."""
        return {}

    def configure_optimizers(self) -> Any:
        """Adam or AdamW, and the schedule of the learning rate."""
        config = self.config
        groups = _groups(self.network, config, self.fresh)
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(groups, weight_decay=config.decay)
        return {"optimizer": optimizer, "lr_scheduler": self._schedule(optimizer)}

    def _schedule(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        config = self.config
        if config.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=config.step_factor, patience=config.plateau_patience
            )
            return {"scheduler": plateau, "monitor": "valid_loss", "interval": "epoch"}
        total = max(1, self.steps * config.epochs)
        # of few people a rise that is set for many would fill the run, which then learns nothing
        most = max(1, min(config.warmup, total // 10))

        def factor(step: int) -> float:
            rise = min(1.0, (step + 1) / most)
            if config.schedule == "step":
                return float(
                    rise * config.step_factor ** (step // (self.steps * config.step_epochs))
                )
            return float(rise * 0.5 * (1 + np.cos(np.pi * min(1.0, step / total))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"scheduler": schedule, "interval": "step"}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the card beside the weights, so that the file describes itself."""
        checkpoint["card"] = self.card.to_json()
