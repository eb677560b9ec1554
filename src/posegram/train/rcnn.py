"""What Lightning trains when the network is Keypoint R-CNN, and its validation numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from posegram import coords, heatmaps
from posegram.areas import iou
from posegram.metrics import oks
from posegram.metrics.pck import Doubles
from posegram.models import keypoint_rcnn
from posegram.models.published import CARD
from posegram.pose import Card, Floats, People, Sample, Skeleton
from posegram.train import skeletons
from posegram.train.batches import relabel
from posegram.train.calibrate import calibrate
from posegram.train.config import Config
from posegram.train.module import Batch, PoseModule
from posegram.train.rcnn_photos import Photo, plain

__all__ = ["PLAIN", "RcnnModule", "Seen", "calibrated", "card_for", "people", "right", "summary"]

PLAIN = 0.05  # OKS falloff of a joint in a skeleton that states none
_NEAR = 0.1  # a joint is right within this share of the longer side of the person's box
_SAMPLED = 64  # regions of a photo that train the heads: its people are rarely more


@dataclass(frozen=True, eq=False)
class Seen:
    """What was found in one validation photo, likeliest people first; photo pixels."""

    xy: Floats  # (N, K, 2)
    logit: Floats  # (N, K) heights of the joints' maps
    sure: Floats  # (N,) probability of the person
    box: Floats  # (N, 4)
    photo: Photo


def card_for(config: Config) -> Card:
    """The card of the network that the settings describe.

    Raises:
        ValueError: there is no such skeleton.
    """
    return replace(
        CARD,
        name=config.name,
        skeleton=skeletons.named(plain(config)),
        size=config.size,
        licence="Apache-2.0",
        data=tuple(dict.fromkeys(path.parent.name or path.name for path in config.sources)),
        settings={"network": config.network, "width": config.channels, "sampled": _SAMPLED},
    )


class RcnnModule(PoseModule):
    """Keypoint R-CNN in training; schedule and checkpoints are those of a pose network."""

    def __init__(self, card: Card, config: Config, steps_per_epoch: int) -> None:
        super().__init__(card, config, steps_per_epoch)
        self.photos: Sequence[Photo] = ()  # the validation set
        self.found: dict[int, Seen] = {}  # by row of the validation set
        self.losses: list[float] = []

    def _normalised(self, crop: torch.Tensor) -> torch.Tensor:
        """Pictures (B, H, W, 3) uint8 as the network takes them, (B, 3, H, W)."""
        x: torch.Tensor = self.normalise(crop)
        return x.contiguous(memory_format=torch.channels_last)

    def forward(self, crop: torch.Tensor) -> Any:
        """The backbone's maps of pictures (B, H, W, 3) uint8, finest first."""
        network: Any = self.network
        return tuple(network.backbone(self._normalised(crop)).values())

    def whole_loss(self, batch: Batch) -> torch.Tensor:
        """The sum of torchvision's five losses, a scalar."""
        from torchvision.models.detection.image_list import ImageList

        height, width = batch["extent"].amax(dim=0).tolist()
        x = keypoint_rcnn.padded(self._normalised(batch["crop"][:, :height, :width]))
        sizes = [(int(h), int(w)) for h, w in batch["extent"]]
        targets = _targets(batch)
        network: Any = self.network
        features = {key: maps.float() for key, maps in network.backbone(x).items()}
        regions, near = network.rpn(ImageList(x, sizes), features, targets)
        # of the sizes, the heads only take the maps' scales, which padded ones tell exactly
        padded = [(x.shape[2], x.shape[3])] * len(sizes)
        _, far = network.roi_heads(features, regions, padded, targets)
        losses: list[torch.Tensor] = [*near.values(), *far.values()]
        return torch.stack([loss.float() for loss in losses]).sum()

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        """One step's loss, a scalar."""
        loss = self.whole_loss(batch)
        self.train_loss.append(float(loss.detach()))
        self.log("loss", loss.detach(), prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's people."""
        self.found, self.losses = {}, []

    def validation_step(self, batch: Batch, number: int) -> None:
        """The people found in one batch, kept until the epoch's end."""
        network: Any = self.network
        network.train()  # torchvision's network tells its loss only so; nothing else changes
        self.losses.append(float(self.whole_loss(batch)))
        network.eval()
        x = self._normalised(batch["crop"])
        for n, row in enumerate(batch["row"].tolist()):
            height, width = batch["extent"][n].tolist()
            raw = keypoint_rcnn.people(network, x[n : n + 1, :, :height, :width])
            box, sure, maps = (part.float().cpu().numpy() for part in raw)
            xy, logit = heatmaps.over_boxes(maps, box)
            back = batch["back"][n].cpu().numpy()
            self.found[row] = Seen(xy * back, logit, sure, box * np.tile(back, 2), self.photos[row])

    def on_validation_epoch_end(self) -> None:
        """Log loss, AP and the share of right joints."""
        if not self.found:
            return
        for key, value in self.numbers().items():
            self.log(key, value, prog_bar=key != "valid_loss", sync_dist=True)

    def seen_in_order(self) -> list[Seen]:
        """What was found in each validation photo, in the order of the set."""
        return [self.found[row] for row in sorted(self.found)]

    def numbers(self) -> dict[str, float]:
        """Loss and `summary` of the last validation."""
        numbers = summary(self.seen_in_order(), self.card.skeleton)
        return {"valid_loss": float(np.mean(self.losses)), **numbers}

    def configure_optimizers(self) -> Any:
        """As other networks; a body that was not started from nothing learns by `start_rate`."""
        config = self.config
        named = [(n, p) for n, p in self.network.named_parameters() if p.requires_grad]
        body = [p for n, p in named if config.start and n.startswith("backbone.body")]
        ids = {id(p) for p in body}
        rest = [p for _, p in named if id(p) not in ids]
        groups = [{"params": rest, "lr": config.rate}]
        if body:
            groups.append({"params": body, "lr": config.rate * config.start_rate})
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(groups, weight_decay=config.decay)
        return {"optimizer": optimizer, "lr_scheduler": self._schedule(optimizer)}


def _targets(batch: Batch) -> list[dict[str, torch.Tensor]]:
    """Boxes, joints and the label 1 (a person) of each picture's people, as torchvision wants."""
    rows = zip(batch["box"], batch["joints"], batch["count"].tolist(), strict=True)
    return [
        {
            "boxes": box[:count],
            "keypoints": joints[:count],
            "labels": torch.ones(count, dtype=torch.int64, device=box.device),
        }
        for box, joints, count in rows
    ]


def people(one: Seen, card: Card) -> People:
    """The people of one photo with calibrated scores, as `infer.rcnn_people` gives them."""
    score = one.sure[:, None] * coords.probability(one.logit, card.calibration)
    return People(one.xy, score.astype(np.float32), one.box, card.skeleton)


def summary(seen: Sequence[Seen], skeleton: Skeleton) -> dict[str, float]:
    """OKS AP and the share of labelled joints that were found right, percent.

    Joints without a stated falloff count with 0.05, which is comparable with nothing but itself. A
    person counts as found by the likeliest box that overlaps it by half; a joint of it is right
    within a tenth of the longer side of its labelled box.
    """
    sigmas = skeleton.sigmas or (PLAIN,) * len(skeleton)
    truth, results = _coco(seen, skeleton)
    average = oks.keypoint_ap(truth, results, sigmas=sigmas)["AP"] if results else 0.0
    correct = np.concatenate([np.zeros(0, np.bool_), *(right(s, skeleton)[1] for s in seen)])
    labelled = sum(int(known.sum()) for s in seen for _, known in _labels(s.photo, skeleton))
    return {
        "valid_ap": 100 * float(np.nan_to_num(average)),
        "valid_joints": 100 * float(correct.sum()) / max(labelled, 1),
    }


def _labels(photo: Photo, skeleton: Skeleton) -> list[tuple[Floats, npt.NDArray[np.bool_]]]:
    """Joints (K, 2) and which are labelled (K,) of everybody in a photo."""
    return [relabel(sample, skeleton)[:2] for sample in photo.people]


def right(one: Seen, skeleton: Skeleton) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Logits of the labelled joints of the people who were found, (J,), and which are right."""
    truth = np.array([s.box for s in one.photo.people], dtype=np.float32).reshape(-1, 4)
    near = iou(one.box, truth)
    logit, correct = [np.zeros(0, np.float32)], [np.zeros(0, np.bool_)]
    for column, (xy, known) in enumerate(_labels(one.photo, skeleton)):
        rows = np.flatnonzero(near[:, column] >= 0.5)
        if not len(rows) or not known.any():
            continue
        best = rows[0]  # boxes come by falling probability
        reach = _NEAR * float((truth[column, 2:] - truth[column, :2]).max())
        logit.append(one.logit[best][known])
        correct.append(np.linalg.norm(one.xy[best] - xy, axis=1)[known] <= reach)
    return np.concatenate(logit), np.concatenate(correct)


def _coco(seen: Sequence[Seen], skeleton: Skeleton) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Labels and results as `metrics.oks` takes them; a person's score is that of the box."""
    labels: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, one in enumerate(seen):
        for sample, (xy, known) in zip(one.photo.people, _labels(one.photo, skeleton), strict=True):
            rows = np.column_stack([np.where(known[:, None], xy, 0), 2 * known])
            labels.append(_label(sample.box, number, rows, sample) | {"id": len(labels) + 1})
        nobody = np.zeros((len(skeleton), 3))
        for box in one.photo.ignore:
            crowd = _label(box, number, nobody, None)
            labels.append(crowd | {"id": len(labels) + 1, "iscrowd": 1})
        for xy, sure in zip(one.xy, one.sure, strict=True):
            rows = np.column_stack([xy, np.ones(len(xy))])
            results.append(
                {
                    "image_id": number,
                    "category_id": 1,
                    "keypoints": rows.ravel().tolist(),
                    "score": float(sure),
                }
            )
    images = [{"id": number} for number in range(len(seen))]
    category = {"id": 1, "name": "person"}
    return {"images": images, "categories": [category], "annotations": labels}, results


def _label(box: Floats, image: int, rows: Doubles, sample: Sample | None) -> dict[str, Any]:
    x0, y0, x1, y1 = (float(v) for v in box)
    area = sample.area if sample is not None and sample.area else coords.area_of(box)
    return {
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "area": float(area),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "num_keypoints": int((rows[:, 2] > 0).sum()),
        "keypoints": rows.ravel().tolist(),
    }


def calibrated(module: RcnnModule) -> Card:
    """The card with the calibration and the numbers of the last validation."""
    judged = [right(one, module.card.skeleton) for one in module.seen_in_order()]
    logit, correct = (np.concatenate(part) for part in zip(*judged, strict=True))
    scores = {key: round(value, 4) for key, value in module.numbers().items()}
    return replace(module.card, calibration=calibrate(logit, correct), scores=scores)
