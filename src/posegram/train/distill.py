"""Learning from a trained network beside the labels: its whole heatmaps of every crop.

A label is one point; a trained network's map also tells how sure it is, which other place the joint
may have, and where joints lie that nobody labelled (knowledge distillation: Hinton et al., 2015;
for poses Zhang et al., CVPR 2019, "Fast Human Pose Estimation"). The teacher looks at the crops as
they are augmented for the pupil, brought to its own size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from posegram import models
from posegram.models.normalise import Normalise
from posegram.pose import Card
from posegram.train import start
from posegram.train.config import Config
from posegram.train.module import Batch, PoseModule

__all__ = ["DistillModule", "Teacher", "distill_loss"]


@dataclass(frozen=True)
class Teacher:
    """A trained heatmap network, and which of its joints are whose of the pupil's."""

    network: nn.Module
    card: Card
    rows: tuple[int, ...]  # (M,) the teacher's joints that the pupil has
    columns: tuple[int, ...]  # (M,) the pupil's joints of the same names

    @classmethod
    def read(cls, name: str, pupil: Card) -> Teacher:
        """The teacher that `distill` names.

        Args:
            name: a bundled model, or a path to a .ckpt or one of our .onnx files.
            pupil: card of the network that learns.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no heatmap network of ours, or has no joint of the pupil's.
        """
        card, weights = start.read(start.path_of(name))
        if card is None or card.kind != "heatmap":
            raise ValueError(
                f"distill = {name!r} needs a network with heatmaps (lite) to learn from"
            )
        theirs, ours = card.skeleton.joints, pupil.skeleton.joints
        shared = [joint for joint in ours if joint in theirs]
        if not shared:
            raise ValueError(
                f"distill = {name!r}: its skeleton {card.skeleton.name} has no joint of "
                f"{pupil.skeleton.name}, so there is nothing to learn from it"
            )
        network = models.filled(card, weights).requires_grad_(False)
        rows = tuple(theirs.index(joint) for joint in shared)
        return cls(network, card, rows, tuple(ours.index(joint) for joint in shared))

    @torch.no_grad()
    def maps(self, crop: torch.Tensor, cells: tuple[int, int]) -> torch.Tensor:
        """Where the teacher sees its joints, (B, M, h, w), each map sums to 1.

        Args:
            crop: (B, H, W, 3) uint8 of any size, around the person as its own are.
            cells: height and width of a map.
        """
        network = self.network.to(crop.device)
        x = Normalise(self.card).to(crop.device)(crop)
        x = _resized(x, self.card.size).contiguous(memory_format=torch.channels_last)
        raw: torch.Tensor = network(x)[:, list(self.rows)].float()
        share = raw.flatten(2).softmax(dim=-1).view(raw.shape)
        share = _resized(share, cells).clamp(min=0)
        return share / share.sum(dim=(2, 3), keepdim=True)


def _resized(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if tuple(x.shape[2:]) == tuple(size):
        return x
    return nn.functional.interpolate(x, size, mode="bilinear", antialias=True)


def distill_loss(heat: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each joint's spatial softmax against a map, mean over joints, a scalar.

    Args:
        heat: (B, M, h, w) logits.
        target: (B, M, h, w), each map sums to 1.
    """
    gain = heat.flatten(2).log_softmax(dim=-1)
    return -(target.flatten(2) * gain).sum(dim=-1).mean()


class DistillModule(PoseModule):
    """A heatmap network that learns a teacher's maps beside the labels."""

    def __init__(self, card: Card, config: Config, steps_per_epoch: int) -> None:
        super().__init__(card, config, steps_per_epoch)
        # no submodule: checkpoints hold the pupil alone
        self.kept = {"teacher": Teacher.read(config.distill, card)}
        self.told: list[float] = []

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        """One step's loss, a scalar; the recorded one is that of the labels."""
        raw = self(batch["crop"])
        loss = self.loss(raw, batch)
        self.train_loss.append(float(loss.detach()))
        self.log("loss", loss.detach(), prog_bar=True)
        teacher = self.kept["teacher"]
        target = teacher.maps(batch["crop"], (raw.shape[2], raw.shape[3]))
        told = distill_loss(raw[:, list(teacher.columns)], target)
        self.told.append(float(told.detach()))
        return loss + self.config.distill_weight * told + self.nowhere(raw, batch)

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's losses."""
        self.told.clear()

    def extras(self) -> dict[str, float]:
        """The epoch's loss against the teacher's maps."""
        return {"distill_loss": float(np.mean(self.told or [np.nan]))}
