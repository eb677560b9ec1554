"""COCO's keypoint average precision: pycocotools finds the pairs, images are drawn again here."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from posegram.metrics.bootstrap import Statistic
from posegram.metrics.pck import Doubles, Mask
from posegram.pose import COCO17, Ints

__all__ = ["AP_NAMES", "Matches", "ap_statistic", "keypoint_ap", "matches"]

AP_NAMES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
_RECALLS = np.linspace(0.0, 1.0, 101)
_CELLS = 500_000  # numbers held at once in a resample's curves: 4 MB each
_AREAS = 3  # all; medium, 32^2 to 96^2; large, above: COCO's keypoint task has no small people
# name -> precision or recall, row of the area range, row of the threshold (None: mean of all)
_ROWS = {
    f"{kind}{suffix}": (which, area, row)
    for which, kind in enumerate(("AP", "AR"))
    for suffix, area, row in (
        ("", 0, None),
        ("50", 0, 0),
        ("75", 0, 5),
        ("M", 1, None),
        ("L", 2, None),
    )
}


@dataclass(frozen=True, eq=False)
class Matches:
    """Detections by falling score and what they hit, in one area range."""

    hit: Mask  # (T, D) right at each of the 10 OKS thresholds
    miss: Mask  # (T, D) wrong; a detection of an ignored label is neither
    image: Ints  # (D,) 0 to I - 1
    wanted: Ints  # (I,) labelled people per image that had to be found


def keypoint_ap(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    *,
    sigmas: Sequence[float] = COCO17.sigmas,
) -> dict[str, float]:
    """COCO's ten numbers by name (`AP_NAMES`), 0 to 1; NaN where no label falls into a range.

    Definition: cocodataset.org/#keypoints-eval. OKS >= 0.50 to 0.95 in steps of 0.05; the 20
    best-scored detections of an image; area ranges all, medium (32^2 to 96^2) and large; every
    image of `truth` counts; crowds and labels without joints are ignored, not missed. Scores are
    taken as they are: no rescoring, no OKS suppression.

    Args:
        truth: the content of a COCO annotation file: "images", "categories", "annotations" with
            keypoints x, y, v per joint, `area` (of the outline, square pixels) and `bbox`.
        results: COCO results: image_id, category_id, keypoints x, y, score per joint, and score.
        sigmas: K falloffs, one per joint.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: a label or a result lacks a field or has another number of joints, an image
            is unknown, or there are no sigmas.
    """
    statistic = ap_statistic(matches(truth, results, sigmas=sigmas))
    values = statistic(np.ones((1, len(truth["images"]))))[0]
    return {name: float(value) for name, value in zip(AP_NAMES, values, strict=True)}


def matches(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    *,
    sigmas: Sequence[float] = COCO17.sigmas,
) -> list[Matches]:
    """Which detections hit a label, for all, medium and large people; see `keypoint_ap`.

    The images are numbered 0 to I - 1 by rising id.
    """
    engine = _engine()
    truth = _checked_truth(truth, len(sigmas))
    found = _checked_results(results, truth, len(sigmas))
    _number_images(truth, found)
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        labels = engine[0]()
        labels.dataset = truth
        labels.createIndex()
        evaluation = engine[1](labels, labels.loadRes(found), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, dtype=np.float64)
        evaluation.evaluate()
    images = len(truth["images"])
    # evaluate() lists the pairs by area range, then by image
    ranges = [evaluation.evalImgs[row * images : (row + 1) * images] for row in range(_AREAS)]
    return [_matches(by_image) for by_image in ranges]


def _engine() -> tuple[Any, Any]:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as fault:
        raise ImportError("COCO AP needs pycocotools: pip install 'posegram[train]'") from fault
    return COCO, COCOeval


def _matches(by_image: list[dict[str, Any] | None]) -> Matches:
    """One area range of pycocotools' pairs, flattened and sorted by score over all images."""
    wanted = np.array(
        [0 if one is None else int((one["gtIgnore"] == 0).sum()) for one in by_image],
        dtype=np.int64,
    )
    rows = [(n, one) for n, one in enumerate(by_image) if one is not None]
    hit = np.concatenate([one["dtMatches"] != 0 for _, one in rows], axis=1)
    skipped = np.concatenate([one["dtIgnore"] != 0 for _, one in rows], axis=1)
    score = np.concatenate([one["dtScores"] for _, one in rows])
    image = np.concatenate([np.full(len(one["dtScores"]), n, dtype=np.int64) for n, one in rows])
    order = np.argsort(-score, kind="stable")  # ties stay in image order, as in pycocotools
    order = order[~skipped[:, order].all(axis=0)]  # what never counts costs time in every resample
    hit, skipped = hit[:, order], skipped[:, order]
    return Matches(hit & ~skipped, ~hit & ~skipped, image[order], wanted)


def ap_statistic(found: Sequence[Matches]) -> Statistic:
    """The statistic that gives the ten numbers of `AP_NAMES`, for `posegram.metrics.bootstrap`.

    An image drawn twice counts as two images with the same people.
    """

    largest = max(one.hit.size for one in found)
    block = max(1, _CELLS // max(largest, 1))

    def statistic(weights: Doubles) -> Doubles:
        blocks = [weights[start : start + block] for start in range(0, len(weights), block)]
        return np.concatenate([_numbers(found, times) for times in blocks])

    return statistic


def _numbers(found: Sequence[Matches], times: Doubles) -> Doubles:
    """The ten numbers of resamples (B, I), (B, 10)."""
    curves = [_precision_and_recall(one, times) for one in found]
    columns = []
    for which, area, row in map(_ROWS.__getitem__, AP_NAMES):
        by_threshold = curves[area][which]
        columns.append(by_threshold.mean(axis=1) if row is None else by_threshold[:, row])
    return np.stack(columns, axis=1)


def _precision_and_recall(found: Matches, times: Doubles) -> tuple[Doubles, Doubles]:
    """Average precision and final recall per threshold, (B, T) each; NaN without labels."""
    wanted = times @ found.wanted.astype(np.float64)
    wanted = np.where(wanted > 0, wanted, np.nan)[:, None]
    if not found.hit.shape[1]:
        nothing = np.broadcast_to(0 / wanted, (len(times), len(found.hit)))
        return nothing, nothing
    weight = times[:, None, found.image]
    right = np.cumsum(found.hit * weight, axis=-1)  # (B, T, D)
    total = np.cumsum((found.hit | found.miss) * weight, axis=-1)
    precision = right / np.maximum(total, np.spacing(1))
    # the best precision at this recall or a higher one; a recall never reached reads the 0 behind
    best = np.zeros((*right.shape[:2], right.shape[2] + 1))
    best[..., :-1] = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    at = _first_at_least(right, _hits_for(wanted))
    average = np.take_along_axis(best, at, axis=-1).mean(axis=-1)
    return np.where(wanted > 0, average, np.nan), right[..., -1] / wanted


def _hits_for(wanted: Doubles) -> Doubles:
    """Fewest hits whose share of `wanted` (B, 1) reaches each of the 101 recalls, (B, 101).

    The share is rounded as pycocotools rounds it: a hit more or less shows in the third digit.
    """
    hits = np.maximum(np.floor(np.nan_to_num(wanted) * _RECALLS) - 1, 0)
    for _ in range(3):
        hits += hits / wanted < _RECALLS
    return np.asarray(hits)


def _first_at_least(rising: Doubles, least: Doubles) -> Ints:
    """First place of each rising row (B, T, D) with a number >= each of (B, R); D if none is."""
    batch, rows, length = rising.shape
    # one long rising line, so that one search serves all rows; whole numbers stay exact
    step = max(float(rising[..., -1].max()), float(least.max())) + 1
    lift = step * np.arange(batch * rows).reshape(batch, rows, 1)
    places = np.searchsorted((rising + lift).ravel(), least[:, None] + lift)
    start = length * np.arange(batch * rows).reshape(batch, rows, 1)
    return np.asarray(np.clip(places - start, 0, length), dtype=np.int64)


def _checked_truth(truth: dict[str, Any], joints: int) -> dict[str, Any]:
    """A copy of the truth as pycocotools wants it."""
    if not joints:
        raise ValueError("OKS needs one sigma per joint and none are known here for this skeleton")
    truth = copy.deepcopy(truth)
    if len({image["id"] for image in truth["images"]}) < len(truth["images"]):
        raise ValueError("two images of the labels have one id")
    for number, label in enumerate(truth["annotations"]):
        _check_label(label, joints)
        label["id"] = number + 1  # pycocotools takes a match with id 0 for no match
    kinds = {label["category_id"] for label in truth["annotations"]}
    if len(kinds) != 1:
        raise ValueError(f"AP is measured on one category and the labels have {len(kinds)}")
    truth["categories"] = [{"id": kinds.pop(), "name": "person"}]
    return truth


def _check_label(label: dict[str, Any], joints: int) -> None:
    """Refuse an incomplete annotation; count `num_keypoints` and fill in `iscrowd`."""
    lacking = {"area", "bbox", "image_id", "category_id"} - set(label)
    if lacking:
        raise ValueError(f"annotation {label.get('id')} has no {', '.join(sorted(lacking))}")
    label["keypoints"] = points = label.get("keypoints") or [0] * 3 * joints
    if not _finite([points], (3 * joints,)):
        text = f"{len(points)} keypoint numbers, wanted 3 x {joints} finite ones"
        raise ValueError(f"annotation {label.get('id')} has {text}")
    label.setdefault("iscrowd", 0)
    # counted, for a person whose file says 0 would be ignored without a word
    label["num_keypoints"] = sum(v > 0 for v in points[2::3])
    counts = label["num_keypoints"] > 0 and not label["iscrowd"]
    if not _finite([[label["area"]], label["bbox"]], (1, 4)) or (counts and label["area"] <= 0):
        told = "`area` is a number of square pixels above 0 and `bbox` holds four numbers"
        raise ValueError(f"annotation {label.get('id')} cannot be scored: {told}")


def _number_images(truth: dict[str, Any], results: Sequence[dict[str, Any]]) -> None:
    """Give the images the numbers 0 to I - 1 by rising id.

    pycocotools sorts the ids as one numpy array, in which ids above 2^63 turn into rounded floats
    and numbers beside words into words, and then misses the people of these images.
    """
    ids = (image["id"] for image in truth["images"])
    number = {one: n for n, one in enumerate(sorted(ids, key=_rank))}
    for image in truth["images"]:
        image["id"] = number[image["id"]]
    truth["annotations"] = [one for one in truth["annotations"] if one["image_id"] in number]
    for one in (*truth["annotations"], *results):
        one["image_id"] = number[one["image_id"]]


def _rank(name: Any) -> tuple[bool, float | int, str]:
    """Sort key of an image id: numbers by size, then words."""
    plain = isinstance(name, int | float)
    return not plain, name if plain else 0, "" if plain else str(name)


def _checked_results(
    results: Sequence[dict[str, Any]], truth: dict[str, Any], joints: int
) -> list[dict[str, Any]]:
    images = {image["id"] for image in truth["images"]}
    category = truth["categories"][0]["id"]
    if not len(results):
        raise ValueError("there are no results to score")
    for row, one in enumerate(results):
        lacking = {"image_id", "category_id", "keypoints", "score"} - set(one)
        if lacking:
            raise ValueError(f"result {row} has no {', '.join(sorted(lacking))}")
        if one["image_id"] not in images:
            raise ValueError(f"result {row} is of image {one['image_id']}, which has no labels")
        if one["category_id"] != category:
            raise ValueError(f"result {row} is of category {one['category_id']}, not {category}")
        if not _finite([one["keypoints"], [one["score"]]], (3 * joints, 1)):
            told = f"3 x {joints} finite keypoint numbers and a finite score"
            raise ValueError(f"result {row} must have {told}")
    # loadRes writes into the entries
    return [
        {k: one[k] for k in ("image_id", "category_id", "keypoints", "score")} for one in results
    ]


def _finite(lists: Sequence[Any], lengths: Sequence[int]) -> bool:
    """Whether each of the lists is of finite numbers, as many as its length says."""
    try:
        arrays = [np.asarray(one) for one in lists]
    except ValueError:  # lists of unequal length
        return False
    wanted = [(length,) for length in lengths]
    numbers = all(array.dtype.kind in "fiu" for array in arrays)
    return (
        numbers
        and [a.shape for a in arrays] == wanted
        and all(np.isfinite(a).all() for a in arrays)
    )
