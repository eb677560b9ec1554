"""Learning from people without labels: an easy view of each teaches a hard one.

The easy view (mild turn, zoom and flip) gives heatmaps, which the known change of coordinates lays
onto the hard view (the settings' whole augmentation, squares pasted over predicted joints); the
hard view must repeat them. Easy teaches hard and never the reverse, which is what keeps the
network from agreeing with itself on nothing (Xie et al., ICCV 2021, "An Empirical Study of the
Collapsing Problem in Semi-Supervised 2D Human Pose Estimation"). The averaged teacher is that of
Tarvainen & Valpola, NeurIPS 2017; points weighted by confidence follow FixMatch (Sohn et al.,
NeurIPS 2020).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import callbacks
from torch import nn

from posegram import coords
from posegram.pose import Card, Floats
from posegram.train.config import Config
from posegram.train.curves import read_metrics
from posegram.train.module import Batch, PoseModule, heatmap_loss
from posegram.train.pairs import paste

__all__ = [
    "Collapsed",
    "Guard",
    "SemiModule",
    "carried",
    "collapse",
    "ramp",
    "sharpness",
]

_SURE = 0.3  # mass around its peak that a pseudo-label needs
_FLAT = 0.15  # sharpness below which a mean map is no answer
_SUNK = 0.5  # of the best epoch's sharpness
_STILL = 0.02  # crop sides: people's joints spread over 0.1 and more


def carried(
    share: torch.Tensor, to_easy: torch.Tensor, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maps of the easy view as the hard one should see them (U, K, h, w), and their weights (U, K).

    Each map sums to 1; its weight is the share of it that the hard view shows.

    Args:
        share: (U, K, h, w), each map sums to 1.
        to_easy: (U, 2, 3) from pixels of the hard view to those of the easy one.
        size: height and width of a crop in pixels.
    """
    height, width = share.shape[2:]
    y = (torch.arange(height).to(share) + 0.5) * (size[0] / height) - 0.5
    x = (torch.arange(width).to(share) + 0.5) * (size[1] / width) - 0.5
    place = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)  # (h, w, 2) pixels
    with torch.autocast(share.device.type, enabled=False):  # bf16 would be off by up to 3 pixels
        there = torch.einsum("hwi,uji->uhwj", place, to_easy[:, :, :2])
    there = there + to_easy[:, None, None, :, 2]
    grid = (there + 0.5) / share.new_tensor([size[1], size[0]]) * 2 - 1
    moved = nn.functional.grid_sample(share, grid, align_corners=False)
    mass = moved.sum(dim=(2, 3))
    # a view that shows everything larger spreads the same mass over more cells
    zoom = torch.linalg.det(to_easy[:, :, :2]).abs()[:, None]
    return moved / mass.clamp(min=1e-6)[..., None, None], (mass * zoom).clamp(max=1.0)


def collapse(lines: Sequence[dict[str, float]]) -> str:
    """What the last epoch shows of a collapse, in words; nothing for a run in health.

    A network that agrees with itself on nothing answers with flat maps, so the mean peak on the
    unlabelled people sinks towards background, or with the same place for everybody.

    Args:
        lines: the epochs so far, as `curves.read_metrics` gives them.
    """
    peaks = [line.get("semi_peak", math.nan) for line in lines]
    peak, best = peaks[-1], max([p for p in peaks if not math.isnan(p)], default=math.nan)
    if peak < max(_FLAT, _SUNK * best):
        return f"its maps' sharpness sank to {peak:.2f} (best {best:.2f}; 0 is background)"
    if lines[-1].get("semi_spread", math.nan) < _STILL:
        return "its maps are the same for everybody"
    return ""


class Collapsed(RuntimeError):
    """A run without labels was stopped, because the network agreed with itself on nothing."""


class Guard(callbacks.Callback):
    """Stops a run that collapses; stands behind what writes metrics.csv."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Judge the epochs so far.

        Raises:
            Collapsed: the last one shows a collapse.
        """
        why = collapse(read_metrics(self.run / "metrics.csv"))
        if why:
            raise Collapsed(
                f"{self.run}: stopped after epoch {trainer.current_epoch + 1}: the network "
                f"collapses on the people without labels, {why}; start from trained weights, lower "
                "semi_weight or rate, raise semi_warmup, or take semi=teacher"
            )


def sharpness(peak: float, cells: int, bell: float = 1.5) -> float:
    """How a mean highest cell lies between background, 0, and that of a label's bell, 1; in logs.

    Args:
        peak: share of the whole map in its highest cell.
        cells: how many cells a map has.
        bell: standard deviation of a label's Gaussian in cells.
    """
    # a sum over the map, as targets are made: 1 / (2 pi bell^2) is over 1 for the narrowest
    reach = (math.isqrt(cells) - 1) // 2
    along = sum(math.exp(-0.5 * (k / bell) ** 2) for k in range(-reach, reach + 1))
    return math.log(max(peak, 1e-9) * cells) / math.log(cells / along**2)


def ramp(step: int, warmup: int) -> float:
    """Weight of the unlabelled part: 0 up to `warmup` steps, 1 from twice as many on."""
    return float(np.clip((step - warmup) / max(warmup, 1), 0.0, 1.0))


class SemiModule(PoseModule):
    """A heatmap network that also learns from views of people without labels."""

    def __init__(self, card: Card, config: Config, steps_per_epoch: int) -> None:
        super().__init__(card, config, steps_per_epoch)
        self.flipped = torch.from_numpy(card.skeleton.flipped)
        # no submodule: checkpoints hold one network
        self.kept: dict[str, nn.Module] = {}
        self.watch: list[dict[str, float]] = []

    @property
    def teacher(self) -> nn.Module:
        """The averaged network; the first use copies the network as it is."""
        if "teacher" not in self.kept:
            self.kept["teacher"] = copy.deepcopy(self.network).eval().requires_grad_(False)
        return self.kept["teacher"]

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        """One step's loss, a scalar; the recorded one is that of the labels."""
        weight = self.config.semi_weight * ramp(self.global_step, self.config.semi_warmup)
        easy, hard = (batch[key].flatten(0, 1) for key in ("easy", "hard"))
        if self.config.semi != "consistency":
            self._follow()
        if not weight:
            return super().training_step(batch, number)
        share = self._easy(easy)
        target, trust, joints = self._targets(share, batch)
        lots = batch["lots"].flatten(0, 1).cpu().numpy()
        spoilt = torch.from_numpy(paste(hard.cpu().numpy(), joints, lots)).to(hard)
        raw = self(torch.cat([batch["crop"], spoilt]))
        count = len(batch["crop"])
        loss = self.loss(raw[:count], batch)
        self.train_loss.append(float(loss.detach()))
        self.log("loss", loss.detach(), prog_bar=True)
        unlabelled = self._unlabelled_loss(raw[count:], target, trust)
        self._look(share, batch, float(unlabelled.detach()), float(trust.mean()))
        return loss + weight * unlabelled + self.nowhere(raw[:count], batch)

    def _easy(self, easy: torch.Tensor) -> torch.Tensor:
        """What the easy views say, softmax maps (U, K, h, w) without a gradient."""
        with torch.no_grad():
            if self.config.semi == "consistency":
                raw = self(easy)
            else:
                x = self.normalise(easy).contiguous(memory_format=torch.channels_last)
                raw = self.teacher(x)
            share: torch.Tensor = raw.float().flatten(2).softmax(dim=-1)
        return share.view(raw.shape)

    def _targets(
        self, share: torch.Tensor, batch: Batch
    ) -> tuple[torch.Tensor, torch.Tensor, Floats]:
        """Targets of the hard views, their weights (U, K), and the joints there (U, K, 2) pixels.

        Targets are maps (U, K, h, w), or points (U, K, 2) for pseudo-labels.
        """
        swap, to_easy = (batch[key].flatten(0, 1) for key in ("swap", "to_easy"))
        share = torch.where(swap[:, None, None, None], share[:, self.flipped], share)
        logits = share.clamp(min=1e-12).log()
        xy, logit = coords.decode((logits.cpu().numpy(),), "heatmap", self.card.size)
        back = np.stack([coords.inverse(m) for m in to_easy.cpu().numpy()])
        joints = coords.move(xy, back)
        if self.config.semi != "pseudo":
            return *carried(share, to_easy, self.card.size), joints
        sure = 1 / (1 + np.exp(-logit))
        edge = np.array([self.card.size[1], self.card.size[0]]) - 0.5
        inside = ((joints > -0.5) & (joints < edge)).all(axis=-1)
        trust = np.where(inside & (sure > _SURE), sure, 0.0).astype(np.float32)
        points = torch.from_numpy(joints).to(share)
        return points, torch.from_numpy(trust).to(share), joints

    def _unlabelled_loss(
        self, raw: torch.Tensor, target: torch.Tensor, trust: torch.Tensor
    ) -> torch.Tensor:
        """Cross-entropy of the hard views' maps against their targets, mean over all joints."""
        if self.config.semi == "pseudo":
            # by hand, so that few sure joints weigh little: the mean is over all, not over the sure
            loss = heatmap_loss(raw, target, trust, self.card.size, bell=self.config.bell)
            return loss * trust.mean()
        gain = raw.flatten(2).log_softmax(dim=-1)
        return (-(target.flatten(2) * gain).sum(dim=-1) * trust).mean()

    def _follow(self) -> None:
        """Move the averaged teacher a little towards the network."""
        # a young mean would remember untrained weights
        decay = min(self.config.teacher_decay, (1 + self.global_step) / (10 + self.global_step))
        with torch.no_grad():
            pairs = zip(
                self.teacher.state_dict().values(), self.network.state_dict().values(), strict=True
            )
            for theirs, ours in pairs:
                if theirs.dtype.is_floating_point:
                    theirs.lerp_(ours, 1 - decay)
                else:
                    theirs.copy_(ours)

    def _look(self, share: torch.Tensor, batch: Batch, loss: float, trust: float) -> None:
        """Keep what tells whether the network still says something about these people."""
        height, width = share.shape[2:]
        peak, place = share.flatten(2).max(dim=-1)
        spot = torch.stack([place % width / width, place // width / height], dim=-1)
        spread = float(spot.std(dim=0).mean()) if len(spot) > 1 else math.nan
        self.watch.append(
            {
                "semi_loss": loss,
                "semi_trust": trust,
                "semi_peak": sharpness(float(peak.mean()), height * width, self.config.bell),
                "semi_spread": spread,
            }
        )

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's looks."""
        self.watch.clear()

    def extras(self) -> dict[str, float]:
        """Loss, trust, peak and spread of the epoch on the unlabelled people; NaN before them."""
        keys = ("semi_loss", "semi_trust", "semi_peak", "semi_spread")
        return {k: float(np.mean([one[k] for one in self.watch] or [np.nan])) for k in keys}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the averaged teacher beside the network."""
        super().on_save_checkpoint(checkpoint)
        if self.kept:
            checkpoint["teacher"] = self.teacher.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the averaged teacher up again."""
        if "teacher" in checkpoint:
            self.teacher.load_state_dict(checkpoint["teacher"])
