"""How good an estimate or a set of predictions is on labelled people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram import image as pictures
from posegram.metrics import METRICS
from posegram.metrics.bootstrap import compare as paired
from posegram.metrics.bootstrap import interval, verdict
from posegram.metrics.falloffs import falloffs, with_areas
from posegram.metrics.oks import ap_statistic, matches
from posegram.metrics.protocols import ap_numbers, rough_areas
from posegram.metrics.report import Case, Number, Panel, Report, filled
from posegram.pose import COCO17, Floats, Image, Ints, People, Sample, Skeleton, convert

__all__ = [
    "Estimator",
    "Predicted",
    "Report",
    "compare",
    "compare_results",
    "evaluate",
    "evaluate_results",
    "predict",
]

# image (H, W, 3) uint8 RGB and the people's boxes (N, 4) -> one person per box, in order
Estimator = Callable[[Image, Floats], People]
Watch = Callable[[list[Path]], Iterable[Path]]  # shows progress while it is walked through

_FEW = 20  # images below which a bootstrap interval says little


@dataclass(frozen=True, eq=False)
class Predicted:
    """One prediction for each sample, in the samples' order and skeleton."""

    xy: Floats  # (N, K, 2) image pixels counted from 0; NaN where a joint is not predicted
    score: Floats | None = None  # (N, K) 0 to 1: probability that the joint is right


def evaluate(
    source: Estimator | Predicted | Floats,
    samples: Sequence[Sample],
    *,
    metrics: Sequence[str] = tuple(METRICS),
    resamples: int = 2000,
    seed: int = 0,
) -> Report:
    """Numbers with their protocols and 95% intervals (bootstrap over whole images).

    A joint that the predictions lack leaves the joint set, and the report says so.

    Args:
        source: predictions (N, K, 2) in the samples' order and skeleton, image pixels counted
            from 0; or what finds people in given boxes, which then gets the samples' boxes.
        samples: the labels, of one skeleton.
        metrics: names of `posegram.metrics.METRICS`; one that the labels lack something for is
            left out with a note.
        resamples: how often the images are drawn again.
        seed: makes the draws repeatable.

    Raises:
        ValueError: nobody is labelled, the shapes disagree or no metric can be measured.
    """
    found = _predicted(source, samples)
    (case,) = _cases([found], samples)
    panels, notes = _panels([case], metrics)
    images = int(case.image.max()) + 1
    by_panel = [interval(p[0].statistic, images, resamples=resamples, seed=seed) for p in panels]
    numbers = [filled(p[0].numbers, v) for p, v in zip(panels, by_panel, strict=True)]
    return _page("evaluation", case, [p[0] for p in panels], numbers, notes, resamples)


def compare(
    first: Predicted | Floats,
    second: Predicted | Floats,
    samples: Sequence[Sample],
    *,
    metrics: Sequence[str] = tuple(METRICS),
    resamples: int = 2000,
    seed: int = 0,
) -> Report:
    """Second minus first, tested in pairs on the same images, with a verdict for each number.

    Arguments and errors as `evaluate`. Joints that either set lacks leave the joint set of both.
    """
    cases = _cases([_predicted(one, samples) for one in (first, second)], samples)
    panels, notes = _panels(cases, metrics)
    images = int(cases[0].image.max()) + 1
    numbers = []
    for one, two in panels:
        found = paired(one.statistic, two.statistic, images, resamples=resamples, seed=seed)
        numbers.append(_judged(filled(one.numbers, found)))
    title = "second minus first"
    return _page(title, cases[0], [p[0] for p in panels], numbers, notes, resamples)


def evaluate_results(
    truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    *,
    skeleton: Skeleton = COCO17,
    resamples: int = 2000,
    seed: int = 0,
) -> Report:
    """COCO keypoint AP of a results file, with intervals; see `posegram.metrics.oks.keypoint_ap`.

    Unlike `evaluate` this reads the whole annotation file: crowds, people without labelled joints
    and images without predictions have their part in AP.
    """
    statistic = _ap(truth, results, skeleton)
    found = interval(statistic, len(truth["images"]), resamples=resamples, seed=seed)
    numbers = filled(_ap_numbers(truth, skeleton), found)
    return _ap_page("evaluation of COCO results", truth, numbers, resamples, skeleton)


def compare_results(
    truth: dict[str, Any],
    first: Sequence[dict[str, Any]],
    second: Sequence[dict[str, Any]],
    *,
    skeleton: Skeleton = COCO17,
    resamples: int = 2000,
    seed: int = 0,
) -> Report:
    """COCO keypoint AP, second minus first, tested in pairs on the same images."""
    one, two = (_ap(truth, results, skeleton) for results in (first, second))
    found = paired(one, two, len(truth["images"]), resamples=resamples, seed=seed)
    numbers = _judged(filled(_ap_numbers(truth, skeleton), found))
    return _ap_page("COCO results, second minus first", truth, numbers, resamples, skeleton)


def predict(estimate: Estimator, samples: Sequence[Sample], *, watch: Watch = iter) -> Predicted:
    """Predictions for the samples' boxes, in the samples' order and skeleton.

    Every image is read once and its boxes go to the estimate together.

    Args:
        estimate: finds one person per given box.
        samples: whose boxes are given.
        watch: shows progress over the image files.

    Raises:
        FileNotFoundError: an image is missing.
        ValueError: an image is broken, or the estimate gives another number of people.
    """
    skeleton = _one_skeleton(samples)
    rows: dict[Path, list[int]] = {}
    for row, sample in enumerate(samples):
        rows.setdefault(sample.image, []).append(row)
    xy = np.full((len(samples), len(skeleton), 2), np.nan, dtype=np.float32)
    score = np.zeros((len(samples), len(skeleton)), dtype=np.float32)
    for path in watch(list(rows)):
        boxes = np.stack([samples[row].box for row in rows[path]])
        people = convert(estimate(pictures.read(path), boxes), skeleton)
        if len(people) != len(boxes):
            raise ValueError(f"{path}: {len(people)} people came back for {len(boxes)} boxes")
        xy[rows[path]], score[rows[path]] = people.xy, people.score
    return Predicted(xy, score)


def _predicted(source: Estimator | Predicted | Floats, samples: Sequence[Sample]) -> Predicted:
    _one_skeleton(samples)
    if isinstance(source, Predicted):
        return source
    if isinstance(source, np.ndarray):
        return Predicted(source)
    if not callable(source):
        raise ValueError(f"predictions are an array (N, K, 2), not {type(source).__name__}")
    return predict(source, samples)


def _one_skeleton(samples: Sequence[Sample]) -> Skeleton:
    if not samples:
        raise ValueError("there is nobody to evaluate on")
    kinds = {sample.skeleton for sample in samples}
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.name for kind in kinds))
        raise ValueError(f"the labels have several skeletons ({names}); evaluate them one by one")
    return samples[0].skeleton


def _cases(found: Sequence[Predicted], samples: Sequence[Sample]) -> list[Case]:
    """A case for each set of predictions, over joints that all of them have."""
    skeleton = samples[0].skeleton
    wanted = (len(samples), len(skeleton), 2)
    for one in found:
        _fit(one, wanted, skeleton)
    predicted = np.all([np.isfinite(one.xy).all(axis=-1) for one in found], axis=0)
    labelled = np.stack([sample.visible for sample in samples]) > 0
    if not labelled.any():
        raise ValueError("nobody in the truth has a labelled joint")
    if not (predicted & labelled).any():
        raise ValueError("the predictions and the labels have no joint in common")
    base = Case(
        xy=np.zeros(wanted),
        score=None,
        predicted=predicted,
        truth=np.stack([sample.xy for sample in samples]).astype(np.float64),
        labelled=labelled,
        image=_images(samples),
        box=np.stack([sample.box for sample in samples]).astype(np.float64),
        head=_known([sample.head for sample in samples]),
        area=_known([sample.area for sample in samples]),
        skeleton=skeleton,
        estimated=sum(sample.estimated for sample in samples),
    )
    return [replace(base, xy=one.xy.astype(np.float64), score=_double(one.score)) for one in found]


def _fit(found: Predicted, wanted: tuple[int, int, int], skeleton: Skeleton) -> None:
    if found.xy.shape != wanted:
        raise ValueError(
            f"the predictions have shape {found.xy.shape}, wanted {wanted}: one row of "
            f"{skeleton.name} joints for each labelled person, in the labels' order"
        )
    if found.score is not None and found.score.shape != wanted[:2]:
        raise ValueError(f"scores of shape {found.score.shape} for predictions of {wanted}")


def _images(samples: Sequence[Sample]) -> Ints:
    numbers: dict[Path, int] = {}
    return np.array([numbers.setdefault(s.image, len(numbers)) for s in samples], dtype=np.int64)


def _known(sizes: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if size is None else size for size in sizes], dtype=np.float64)


def _double(score: Floats | None) -> npt.NDArray[np.float64] | None:
    return None if score is None else score.astype(np.float64)


def _panels(
    cases: Sequence[Case], metrics: Sequence[str]
) -> tuple[list[list[Panel]], tuple[str, ...]]:
    """The panels of every metric, one for each case, and why others are missing."""
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise ValueError(f"no metric {unknown[0]!r}; there are {', '.join(METRICS)}")
    panels, notes = [], []
    for name in metrics:
        try:
            panels.append([METRICS[name](case) for case in cases])
        except (ValueError, ImportError) as fault:
            if len(metrics) == 1:
                raise
            notes.append(f"no {name}: {fault}")
    if not panels:
        raise ValueError("; ".join(notes))
    return panels, tuple(notes)


def _judged(numbers: Sequence[Number]) -> tuple[Number, ...]:
    """Differences with what they show; between percentages lie percentage points."""
    units = {"%": "points"}
    return tuple(
        replace(
            n,
            unit=units.get(n.unit, n.unit),
            verdict=verdict(n.low, n.high, higher_is_better=n.higher_is_better),
        )
        for n in numbers
    )


def _page(
    title: str,
    case: Case,
    panels: Sequence[Panel],
    numbers: Sequence[tuple[Number, ...]],
    notes: Sequence[str],
    resamples: int,
) -> Report:
    split = [(n[: len(n) - p.by_joint], n[len(n) - p.by_joint :]) for n, p in
             zip(numbers, panels, strict=True)]  # fmt: skip
    images = int(case.image.max()) + 1
    said = [*case.notes, *(note for panel in panels for note in panel.notes), *notes]
    count = case.labelled.sum(axis=0)
    return Report(
        title=title,
        people=len(case.xy),
        images=images,
        numbers=tuple(n for overall, _ in split for n in overall),
        by_joint=tuple(n for _, each in split for n in each),
        notes=(*said, *_rough(images)),
        resamples=resamples,
        labels={j: int(c) for j, c in zip(case.skeleton.joints, count, strict=True)},
    )


def _rough(images: int) -> list[str]:
    if images == 1:
        return ["one image gives no interval"]
    return [f"with only {images} images the intervals are rough"] * (images < _FEW)


def _ap(truth: dict[str, Any], results: Sequence[dict[str, Any]], skeleton: Skeleton) -> Any:
    known = falloffs(skeleton)
    return ap_statistic(matches(with_areas(truth, known)[0], results, sigmas=known.sigmas))


def _ap_numbers(truth: dict[str, Any], skeleton: Skeleton) -> tuple[Number, ...]:
    return ap_numbers(skeleton.joints, _scored_people(truth))


def _scored_people(truth: dict[str, Any]) -> int:
    labels = truth["annotations"]
    return sum(
        not label.get("iscrowd") and any(v > 0 for v in (label.get("keypoints") or ())[2::3])
        for label in labels
    )


def _ap_page(
    title: str,
    truth: dict[str, Any],
    numbers: tuple[Number, ...],
    resamples: int,
    skeleton: Skeleton,
) -> Report:
    images = len(truth["images"])
    people = _scored_people(truth)
    guessed = sum(bool(label.get("area_is_estimated")) for label in truth["annotations"])
    known = falloffs(skeleton)
    said = known.notes(with_areas(truth, known)[1])
    notes = (*said, *rough_areas(guessed), *_rough(images))
    return Report(title, people, images, numbers, notes=notes, resamples=resamples)
