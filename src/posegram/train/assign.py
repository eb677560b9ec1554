"""Which cells answer for which person, and how wrong their answers are.

Task-aligned assignment (TOOD: Feng et al., ICCV 2021): of the cells inside a person, those answer
that already score and overlap best, and the score to learn is their overlap. The losses are the
varifocal loss (Zhang et al., CVPR 2021), which weighs rare people against the many cells of
background, and GIoU (Rezatofighi et al., CVPR 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["IGNORED", "PERSON", "Targets", "assign", "detection_loss", "giou", "iou"]

PERSON, IGNORED = 1, 2  # kinds of labelled boxes; 0 fills a batch up
_ANSWERING = 9  # cells that answer for one person
_REACH = 6.0  # input pixels: people narrower than twice that still get a cell of stride 8
_SHARPNESS = 4.0  # exponent on the overlap when cells are ranked; 0.5 on the score
_SPARE = 1e-6  # rank of cells that overlap nothing yet, for the first steps
_BACKGROUND = 0.75  # weight of the cells of background, as published
_BOX = 2.5  # weight of the boxes' loss


class Targets(NamedTuple):
    """What cells should say."""

    score: torch.Tensor  # (B, M) 0 for background
    share: (
        torch.Tensor
    )  # (B, M) weight of the cell, 1 for the best of each person, 0 for background
    box: torch.Tensor  # (B, M, 4) input pixels; meaningless where the score is 0
    judged: torch.Tensor  # (B, M) False inside ignored regions


def iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Intersection over union of boxes (..., 4) that broadcast, (...)."""
    shared, whole = _shared(a, b)
    return shared / whole.clamp(min=1e-6)


def giou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Overlap of boxes (..., 4) that also tells far from near, -1 to 1, (...)."""
    shared, whole = _shared(a, b)
    around = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    hull = around.prod(dim=-1).clamp(min=1e-6)
    return shared / whole.clamp(min=1e-6) - (hull - whole) / hull


def _shared(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Areas of intersection and of union."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    areas = [(box[..., 2:] - box[..., :2]).clamp(min=0).prod(dim=-1) for box in (a, b)]
    return shared, areas[0] + areas[1] - shared


@torch.no_grad()
def assign(
    box: torch.Tensor,
    logit: torch.Tensor,
    centre: torch.Tensor,
    label: torch.Tensor,
    kind: torch.Tensor,
) -> Targets:
    """Targets of all cells, from what they say now.

    Args:
        box: (B, M, 4) said boxes, input pixels.
        logit: (B, M).
        centre: (M, 2) of the cells, input pixels.
        label: (B, P, 4) boxes.
        kind: (B, P) `PERSON`, `IGNORED` or 0 for none.
    """
    most = max(1, int((kind > 0).sum(dim=1).max())) if kind.numel() else 0
    if not most:
        return _nobody(box)
    label, kind = label[:, :most], kind[:, :most]  # batches are filled up at the end
    overlap = iou(box[:, :, None], label[:, None])  # (B, M, P)
    inside = _inside(centre, label, _REACH) & (kind == PERSON)[:, None]
    rank = (logit.sigmoid().sqrt()[..., None] * overlap**_SHARPNESS + _SPARE) * inside
    best = rank.topk(min(_ANSWERING, rank.shape[1]), dim=1).indices
    chosen = torch.zeros_like(inside).scatter_(1, best, True) & inside
    # a cell that several people chose answers for the one it overlaps most
    mine = (torch.where(chosen, overlap, -1.0)).argmax(dim=-1)
    chosen &= torch.nn.functional.one_hot(mine, most).bool()
    rank, overlap = rank * chosen, overlap * chosen
    # the person's best cell should score its overlap, the others less in proportion
    share = rank / rank.amax(dim=1, keepdim=True).clamp(min=1e-9)
    score = share * overlap.amax(dim=1, keepdim=True)
    dark = (_inside(centre, label, 0.0) & (kind == IGNORED)[:, None]).any(dim=-1)
    answers = label.gather(1, mine[..., None].expand(-1, -1, 4))
    judged = ~dark | chosen.any(dim=-1)
    return Targets(score.amax(dim=-1), share.amax(dim=-1), answers, judged)


def _nobody(box: torch.Tensor) -> Targets:
    nothing = torch.zeros(box.shape[:2], device=box.device)
    judged = torch.ones_like(nothing, dtype=torch.bool)
    return Targets(nothing, nothing, torch.zeros_like(box), judged)


def _inside(centre: torch.Tensor, label: torch.Tensor, reach: float) -> torch.Tensor:
    """Which cells' centres lie in which boxes, (B, M, P); a box counts as 2 `reach` wide at least.

    Args:
        centre: (M, 2).
        label: (B, P, 4).
        reach: in input pixels.
    """
    middle = (label[..., :2] + label[..., 2:]) / 2
    half = ((label[..., 2:] - label[..., :2]) / 2).clamp(min=reach)
    away = (centre[None, :, None] - middle[:, None]).abs()
    return (away <= half[:, None]).all(dim=-1)


def detection_loss(
    raw: tuple[torch.Tensor, torch.Tensor],
    centre: torch.Tensor,
    label: torch.Tensor,
    kind: torch.Tensor,
) -> torch.Tensor:
    """Varifocal loss of the scores plus GIoU loss of the boxes, per unit of score, a scalar.

    Args:
        raw: boxes (B, M, 4) in input pixels and logits (B, M).
        centre: (M, 2) of the cells, input pixels.
        label: (B, P, 4) boxes.
        kind: (B, P) `PERSON`, `IGNORED` or 0 for none.
    """
    box, logit = raw
    target = assign(box, logit, centre, label, kind)
    answering = target.share > 0
    doubt = _BACKGROUND * logit.detach().sigmoid() ** 2
    weight = torch.where(answering, target.share, doubt) * target.judged
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(
        logit, target.score, reduction="none"
    )
    off = 1 - giou(box[answering], target.box[answering])
    # every person weighs the same: weighed by overlap, as published, small people learn late
    whole = (weight * entropy).sum() + _BOX * (off * target.share[answering]).sum()
    return whole / target.share.sum().clamp(min=1.0)
