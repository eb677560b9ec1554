"""The protocols by which pose estimators are compared, each as a panel of numbers for a `Case`.

A protocol raises ValueError in one sentence when the labels do not carry what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from posegram.areas import OUTLINE
from posegram.metrics.bootstrap import Mean, means
from posegram.metrics.calibration import calibration_statistic
from posegram.metrics.falloffs import falloffs
from posegram.metrics.oks import AP_NAMES, ap_statistic, matches
from posegram.metrics.pck import Doubles, Mask, Reals, area_under, distance, has_torso, torso
from posegram.metrics.report import Case, Number, Panel
from posegram.scores import overall

__all__ = [
    "ap_numbers",
    "average_precision",
    "calibration",
    "error",
    "pck_torso",
    "pckh_head",
    "rough_areas",
]

_TORSO = "torso (left shoulder to right hip)"
_BOXED = "a quarter of the box's longer side"  # of LSP's people the torso is 0.28 of it
_HEAD = "head size (0.6 x head-box diagonal)"
_MAE = "mean of |dx| and |dy|"
_EPE = "mean Euclidean distance"
_ORIGINAL = "pixels of the original image"


def error(case: Case) -> Panel:
    """MAE and EPE in pixels of the original image, over labelled joints."""
    counted = case.labelled & case.predicted
    away, aside = _distances(case)
    base = Number("", "px", "", case.joints, _count(counted, case), higher_is_better=False)
    numbers = [
        replace(base, name="MAE", rule=f"{_MAE}, {_ORIGINAL}"),
        replace(base, name="EPE", rule=f"{_EPE}, {_ORIGINAL}"),
    ]
    parts = [_mean(aside, counted, case), _mean(away, counted, case)]
    each = replace(base, name="EPE", rule=f"{_EPE}, {_ORIGINAL}")
    return _panel(case, numbers, parts, each, Mean(away, counted))


def pck_torso(case: Case) -> Panel:
    """PCK@0.2 and @0.1, its area, and the errors, all in torsos.

    In a skeleton without the joints that a torso is measured by, it is a quarter of the box's
    longer side, as in training, and the numbers say so.
    """
    length, unit = _torsos(case)
    return _normalised(case, length, "PCK", unit, (0.2, 0.1), top=0.2)


def _torsos(case: Case) -> tuple[Doubles, str]:
    """The torso of each person in pixels, (N,), and what it is."""
    if has_torso(case.skeleton):
        return torso(case.truth, case.skeleton, case.labelled), _TORSO
    return (case.box[:, 2:] - case.box[:, :2]).max(axis=1) / 4, _BOXED


def pckh_head(case: Case) -> Panel:
    """PCKh@0.5 and @0.1, its area, and the errors, all in head sizes.

    Raises:
        ValueError: no label carries a head size.
    """
    if not (case.head > 0).any():
        raise ValueError(
            "PCKh needs head sizes and these labels carry none: give MPII's head boxes with "
            "--heads FILE.mat, or ask for PCK, whose normaliser is the torso"
        )
    return _normalised(case, case.head, "PCKh", _HEAD, (0.5, 0.1), top=0.5)


def _distances(case: Case) -> tuple[Doubles, Doubles]:
    """Euclidean distance and mean of |dx|, |dy| of every joint, (N, K) pixels each."""
    return distance(case.xy, case.truth), np.abs(case.xy - case.truth).mean(axis=-1)


def _normalised(
    case: Case,
    length: Doubles,
    name: str,
    unit: str,
    thresholds: tuple[float, float],
    *,
    top: float,
) -> Panel:
    known = length > 0
    scale = np.where(known, length, np.nan)[:, None]
    counted = case.labelled & known[:, None]
    if not counted[:, case.rows].any():
        raise ValueError(f"{name} needs the {unit} and no labelled person has one")
    away, aside = (one / scale for one in _distances(case))
    base = Number("", "%", "", case.joints, _count(counted, case), normaliser=unit)
    pairs = [one for t in thresholds for one in _shares(case, away, counted, t, base, name)]
    text = f"area under {name} from 0 to {top}, step 0.01, trapezoid, / {top}; in {unit}"
    number = replace(base, name=f"{name} AUC", rule=text, threshold=f"0:0.01:{top}")
    pairs.append((number, _mean(100.0 * area_under(away, top=top), counted, case)))
    pairs += _errors(case, away, aside, counted, base)
    whole = Mean(100.0 * (away <= thresholds[0]), counted)
    panel = _panel(case, [n for n, _ in pairs], [m for _, m in pairs], pairs[0][0], whole)
    without = int((case.labelled.any(axis=1) & ~known).sum())
    text = f"{without} people without a known {unit} are left out of {name}"
    return replace(panel, notes=(text,) if without else ())


def _shares(
    case: Case, away: Doubles, counted: Mask, threshold: float, base: Number, name: str
) -> list[tuple[Number, Mean]]:
    """Right joints at one threshold, in both weightings."""
    text = f"distance <= {threshold} x {base.normaliser}"
    number = replace(base, name=f"{name}@{threshold}", rule=text, threshold=str(threshold))
    plain = replace(number, name=f"{number.name} unweighted", weighting="unweighted")
    part = _mean(100.0 * (away <= threshold), counted, case)
    return [(number, part), (plain, replace(part, weighting="unweighted"))]


def _errors(
    case: Case, away: Doubles, aside: Doubles, counted: Mask, base: Number
) -> list[tuple[Number, Mean]]:
    """MAE and EPE in units of the normaliser."""
    counted = counted & case.predicted
    base = replace(base, unit="", counted=_count(counted, case), higher_is_better=False)
    short = base.normaliser.split(" ", 1)[0]
    rows = (("MAE", _MAE, aside), ("EPE", _EPE, away))
    return [
        (
            replace(base, name=f"{name}/{short}", rule=f"{rule}, / {base.normaliser}"),
            _mean(amount, counted, case),
        )
        for name, rule, amount in rows
    ]


def _mean(amount: Reals, counted: Mask, case: Case) -> Mean:
    return Mean(amount[:, case.rows], counted[:, case.rows])


def _count(counted: Mask, case: Case) -> int:
    return int(counted[:, case.rows].sum())


def _panel(
    case: Case, numbers: Sequence[Number], parts: Sequence[Mean], each: Number, whole: Mean
) -> Panel:
    """The overall numbers, and behind them `each` for every joint that is predicted."""
    rows = case.present
    columns = [Mean(whole.amount[:, [r]], whole.counted[:, [r]]) for r in rows]
    singles = [
        replace(each, joints=(case.skeleton.joints[r],), counted=int(whole.counted[:, r].sum()))
        for r in rows
    ]
    statistic = means([*parts, *columns], case.image)
    return Panel((*numbers, *singles), statistic, by_joint=len(singles))


def calibration(case: Case) -> Panel:
    """How far joint scores are from the share of joints that are right.

    Raises:
        ValueError: the predictions carry no scores, or nobody has a normaliser.
    """
    if case.score is None:
        raise ValueError("calibration needs scores and these predictions carry none")
    heads = bool((case.head > 0).any())
    length, unit = (case.head, _HEAD) if heads else _torsos(case)
    threshold = 0.5 if heads else 0.2
    counted = (case.labelled & case.predicted & (length > 0)[:, None])[:, case.rows]
    if not counted.any():
        raise ValueError(f"calibration needs the {unit} and no predicted person has one")
    right = distance(case.xy, case.truth, length)[:, case.rows] <= threshold
    statistic = calibration_statistic(case.score[:, case.rows], right, counted, case.image)
    rule = f"|score - share right| in 15 bins; right: distance <= {threshold} x {unit}"
    number = Number("ECE", "", rule, case.joints, int(counted.sum()), unit, higher_is_better=False)
    return Panel((replace(number, threshold=str(threshold)),), statistic)


def average_precision(case: Case) -> Panel:
    """COCO's keypoint AP of one detection per labelled person, scored by `posegram.scores.overall`.

    Raises:
        ValueError: no sigmas are known for the skeleton, a label has no area, or the predictions
            no scores.
    """
    known = falloffs(case.skeleton)
    case, guessed = _with_areas(case, known.outline)
    if not (case.area[case.labelled.any(axis=1)] > 0).all():
        raise ValueError("AP needs the area of every person's outline and these labels lack it")
    if case.score is None:
        raise ValueError("AP ranks people by score and these predictions carry no scores")
    sigmas = [known.sigmas[row] for row in case.rows]
    found = matches(_coco_truth(case), _coco_results(case, case.score), sigmas=sigmas)
    numbers = ap_numbers(case.joints, int(case.labelled[:, case.rows].any(axis=1).sum()))
    note = "AP on given boxes: one detection per labelled person, scored by its joints' scores"
    notes = (note, *known.notes(guessed), *rough_areas(case.estimated))
    return Panel(numbers, ap_statistic(found), notes=notes)


def _with_areas(case: Case, outline: float) -> tuple[Case, int]:
    """The case with that share of the box as the area of who has none; how many those are."""
    lacking = ~(case.area > 0) & (outline > 0)
    box = (case.box[:, 2:] - case.box[:, :2]).prod(axis=1)
    return replace(case, area=np.where(lacking, outline * box, case.area)), int(lacking.sum())


def rough_areas(count: int) -> tuple[str, ...]:
    """A note that so many people's areas are guesses; none for nobody."""
    if not count:
        return ()
    return (f"AP: the area of {count:,} people is a guess, {OUTLINE} x their box",)


def ap_numbers(joints: tuple[str, ...], people: int) -> tuple[Number, ...]:
    """The ten numbers of COCO's keypoint task without their values, in the order of `AP_NAMES`."""
    ranges = {"M": "medium people (32^2 to 96^2)", "L": "large people (above 96^2)"}
    numbers = []
    for name in AP_NAMES:
        fixed = f"0.{name[2:]}" if name[2:].isdecimal() else "0.50:0.05:0.95"
        kind = "average precision" if name.startswith("AP") else "average recall"
        rule = f"COCO keypoint {kind}, OKS {fixed}, {ranges.get(name[2:], 'all people')}"
        rule += ", 20 detections per image, no rescoring, no OKS suppression"
        unit = "area of the outline and the joints' sigmas"
        numbers.append(Number(name, "", rule, joints, people, unit, "per person", fixed))
    return tuple(numbers)


def _coco_truth(case: Case) -> dict[str, Any]:
    """The labels as the content of a COCO annotation file, the image numbers as its ids."""
    flags = case.labelled[:, case.rows, None]
    points = np.concatenate([case.truth[:, case.rows] * flags, flags * 2], axis=-1)
    corner, sides = case.box[:, :2], case.box[:, 2:] - case.box[:, :2]
    labels = [
        {
            "id": number + 1,
            "image_id": int(case.image[number]),
            "category_id": 1,
            "keypoints": flat.ravel().tolist(),
            "area": float(np.nan_to_num(case.area[number])),
            "bbox": [*corner[number].tolist(), *sides[number].tolist()],
        }
        for number, flat in enumerate(points)
    ]
    images = [{"id": int(image)} for image in np.unique(case.image)]
    return {"images": images, "annotations": labels, "categories": [{"id": 1, "name": "person"}]}


def _coco_results(case: Case, score: Doubles) -> list[dict[str, Any]]:
    lacking = np.isnan(case.xy[:, case.rows]).any(axis=-1).sum(axis=1)  # joints of each person
    half = (lacking > 0) & (lacking < len(case.rows))
    if half.any():
        raise ValueError(f"AP needs whole people and {half.sum()} predictions lack some joints")
    results = []
    for number in np.flatnonzero(lacking == 0):
        sure = score[number, case.rows]
        points = np.column_stack([case.xy[number, case.rows], sure])
        results.append(
            {
                "image_id": int(case.image[number]),
                "category_id": 1,
                "keypoints": points.ravel().tolist(),
                "score": float(overall(sure)),
            }
        )
    return results
