"""What Lightning trains when the network is a person detector, and its validation numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from posegram import coords
from posegram.data.scenes import SURE
from posegram.metrics import boxes
from posegram.metrics.boxes import Found
from posegram.models.detector import STRIDES, grid
from posegram.pose import Card, Floats, Skeleton
from posegram.train.assign import IGNORED, PERSON, detection_loss
from posegram.train.calibrate import calibrate
from posegram.train.config import Config
from posegram.train.module import Batch, PoseModule

__all__ = ["DetectModule", "calibrated", "calibration", "card_for", "summary"]

NOBODY = Skeleton("box", ())  # a detector finds no joints
_LEAST = -4.0  # logit of a box that is looked at: 2 %


def card_for(config: Config) -> Card:
    """The card of the detector that the settings describe.

    Raises:
        ValueError: the input's sides are no multiples of the coarsest stride.
    """
    if any(side % STRIDES[-1] for side in config.size):
        raise ValueError(f"size = {list(config.size)}; a detector's sides are multiples of 32")
    return Card(
        name=config.name,
        kind="detector",
        skeleton=NOBODY,
        size=config.size,
        mean=config.mean,
        std=config.std,
        margin=1.0,
        data=tuple(dict.fromkeys(path.parent.name or path.name for path in config.sources)),
        settings=config.built(),
    )


def calibration(seen: Sequence[Found]) -> tuple[float, float]:
    """Slope and offset that turn a logit into the probability that its box is right."""
    logit, right = _judged(seen)
    return calibrate(logit, right)


def _judged(seen: Sequence[Found]) -> tuple[Floats, Any]:
    """Logits of all boxes that can be judged, (N,), and which are right, (N,)."""
    verdicts = [boxes.match(one.box, one.truth, one.ignore) for one in seen]
    verdict = np.concatenate([np.zeros(0, dtype=np.int8), *verdicts])
    logit = np.concatenate([np.zeros(0, dtype=np.float32), *(one.logit for one in seen)])
    return logit[verdict >= 0], verdict[verdict >= 0] == 1


def summary(seen: Sequence[Found]) -> dict[str, float]:
    """Recall, precision and AP at IoU 0.5, percent, and boxes per photo without people.

    Recall, precision and false boxes are those of boxes whose calibrated probability is at least
    `SURE`, as in use.

    Args:
        seen: of every validation photo.
    """
    slope_offset = calibration(seen)
    logit, right = _judged(seen)
    found = coords.probability(logit, slope_offset) >= SURE
    people = sum(len(one.truth) for one in seen)
    empty = [one for one in seen if not len(one.truth) and not len(one.ignore)]
    false = sum(int((coords.probability(e.logit, slope_offset) >= SURE).sum()) for e in empty)
    return {
        "valid_recall": 100 * float(right[found].sum()) / max(people, 1),
        "valid_precision": 100 * float(right[found].sum()) / max(int(found.sum()), 1),
        "valid_ap50": 100 * boxes.average_precision(logit, right, people),
        "valid_false": false / max(len(empty), 1),
    }


class DetectModule(PoseModule):
    """A detector in training; optimiser, schedule and checkpoints are those of a pose network."""

    def __init__(self, card: Card, config: Config, steps_per_epoch: int) -> None:
        super().__init__(card, config, steps_per_epoch)
        self.found: dict[int, Found] = {}  # by row of the validation set
        self.losses: list[float] = []

    def loss(self, raw: Any, batch: Batch) -> torch.Tensor:
        """Loss of scores and boxes, a scalar."""
        height, width = batch["crop"].shape[1:3]
        centre = grid((height, width), batch["crop"].device)
        return detection_loss(raw, centre, batch["box"], batch["kind"])

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's boxes."""
        self.found, self.losses = {}, []

    def validation_step(self, batch: Batch, number: int) -> None:
        """The boxes found in one batch, kept until the epoch's end."""
        raw = self(batch["crop"])
        self.losses.append(float(self.loss(raw, batch)))
        box, logit = (part.float().cpu().numpy() for part in raw)
        for n, row in enumerate(batch["row"].tolist()):
            back = batch["back"][n].cpu().numpy()
            label, kind = batch["box"][n].cpu().numpy(), batch["kind"][n].cpu().numpy()
            kept = boxes.best(box[n], logit[n], least=_LEAST)
            parts = (box[n][kept], label[kind == PERSON], label[kind == IGNORED])
            found, truth, ignore = (_move(part, back) for part in parts)
            self.found[row] = Found(found, logit[n][kept], truth, ignore)

    def on_validation_epoch_end(self) -> None:
        """Log loss, recall, AP, precision and false boxes."""
        if not self.found:
            return
        for key, value in self.numbers().items():
            self.log(key, value, prog_bar=key in ("valid_recall", "valid_ap50"), sync_dist=True)

    def seen_in_order(self) -> list[Found]:
        """What was found in each validation photo, in the order of the set."""
        return [self.found[row] for row in sorted(self.found)]

    def numbers(self) -> dict[str, float]:
        """Loss and `summary` of the last validation."""
        return {"valid_loss": float(np.mean(self.losses)), **summary(self.seen_in_order())}


def calibrated(module: DetectModule) -> Card:
    """The card with the calibration and the numbers of the last validation."""
    scores = {key: round(value, 4) for key, value in module.numbers().items()}
    sure = calibration(module.seen_in_order())
    return replace(module.card, calibration=sure, scores=scores)


def _move(box: Floats, matrix: Floats) -> Floats:
    """Boxes (N, 4) carried by a matrix that only zooms and shifts."""
    return coords.move(box.reshape(-1, 2), matrix).reshape(-1, 4)
