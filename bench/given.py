"""Networks on people in given boxes: accuracy, time, stages and crowds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from timing import clock, in_turns, nowhere, progress

from posegram import coords, data
from posegram import image as pictures
from posegram.infer.evaluate import Predicted, evaluate
from posegram.infer.topdown import TopDown
from posegram.metrics.report import Number
from posegram.pose import LSP14, Floats, Image, Sample, Skeleton, convert

CROWDS = (1, 2, 4, 8, 16)  # people in a photo
LIMBS = Skeleton("limbs12", LSP14.joints[:12], mirror=LSP14.mirror)  # joints that all sets know


@dataclass(frozen=True, eq=False)
class Rival:
    """One network that takes part."""

    name: str
    estimate: TopDown
    path: Path | None = None  # its ONNX file; None where it has none
    megabytes: float = 0.0
    own: bool = False  # posegram's
    asked: bool = False  # by --model
    elsewhere: Callable[[], float] = nowhere  # CPU milliseconds in a process of its own


def people_of(spec: str, most: int) -> list[Sample]:
    """At most that many labelled people of a data set, evenly spread."""
    samples = data.read(spec)
    return [samples[row] for row in spread(len(samples), most)]


def spread(count: int, most: int) -> list[int]:
    """At most so many rows of `count`, evenly spread."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist()


def look(group: Sequence[Rival], samples: Sequence[Sample]) -> tuple[list[Predicted], np.ndarray]:
    """Each rival's predictions, and CPU milliseconds (R, N) for one person in a given box."""
    shape = (len(group), len(samples), len(samples[0].skeleton))
    xy, score = np.full((*shape, 2), np.nan, np.float32), np.zeros(shape, np.float32)
    spent = np.zeros(shape[:2])
    last: tuple[Path, Image] | None = None
    for row, sample in enumerate(samples):
        if last is None or last[0] != sample.image:
            last = sample.image, pictures.read(sample.image)
        photo, box = last[1], sample.box[None]
        for n in in_turns(len(group), row):
            one = group[n]
            if row == 0:
                one.estimate(photo, box)  # the first call of all prepares memory
            spent[n, row], people = clock(one.estimate, photo, box, elsewhere=one.elsewhere)
            people = convert(people, sample.skeleton)
            xy[n, row], score[n, row] = people.xy[0], people.score[0]
        progress("people", row + 1, len(samples))
    return [Predicted(a, b) for a, b in zip(xy, score, strict=True)], spent


def accuracy(found: Predicted, samples: Sequence[Sample]) -> dict[str, Number | None]:
    """PCK@0.2 over the limbs and over all the joints it gives, and AP with given boxes."""
    rows = [samples[0].skeleton.index(joint) for joint in LIMBS.joints]
    limbs = [
        replace(s, xy=s.xy[rows], visible=s.visible[rows], skeleton=LIMBS, weight=None)
        for s in samples
    ]
    twelve = Predicted(found.xy[:, rows])
    return {
        "limbs": _number(twelve, limbs, "pck", "PCK@0.2"),
        "all": _number(Predicted(found.xy), samples, "pck", "PCK@0.2"),
        "ap": _number(found, samples, "ap", "AP"),
    }


def _number(found: Predicted, samples: Sequence[Sample], metric: str, name: str) -> Number | None:
    try:
        number = evaluate(found, samples, metrics=(metric,), resamples=1000)[name]
    except ValueError:  # these labels lack what the metric needs, such as areas
        return None
    return percent(number) if metric == "ap" else number


def percent(number: Number) -> Number:
    """A share as a percentage."""
    return replace(number, value=100 * number.value, low=100 * number.low, high=100 * number.high)


def plain(number: Number | None) -> dict[str, Any] | None:
    """A number and the ends of its interval as JSON holds them; None where there is none."""
    if number is None or math.isnan(number.value):
        return None
    ends = [None if math.isnan(v) else v for v in (number.low, number.high)]
    return {"value": number.value, "low": ends[0], "high": ends[1], "joints": len(number.joints)}


def times(spent: np.ndarray, base: np.ndarray) -> dict[str, Any]:
    """Median and quartiles of CPU milliseconds (N,), and the median ratio to others' (N,)."""
    low, middle, high = np.percentile(spent, [25, 50, 75]).tolist()
    # ratios are of the same work at nearly the same moment, so that the machine's noise cancels
    ratio = float(np.median(spent / np.maximum(base, 1e-9)))
    return {"ms": middle, "ms_quartiles": [low, high], "ratio": ratio}


def data_set(group: Sequence[Rival], spec: str, most: int) -> dict[str, Any]:
    """Accuracy and time of everybody on one data set, as plain values."""
    samples = people_of(spec, most)
    found, spent = look(group, samples)
    rows = []
    for n, rival in enumerate(group):
        scores = {name: plain(number) for name, number in accuracy(found[n], samples).items()}
        rows.append({"name": rival.name, **times(spent[n], spent[0]), **scores})
    images = len({sample.image for sample in samples})
    return {"spec": spec, "people": len(samples), "images": images, "rows": rows}


def stages(group: Sequence[Rival], photo: Image, box: Floats, repeats: int) -> list[dict[str, Any]]:
    """CPU milliseconds of each rival's stages for one person, medians."""
    spent: list[dict[str, list[float]]] = [{} for _ in group]
    for turn in range(repeats + 1):
        for n in in_turns(len(group), turn):
            for stage, ms in one_look(group[n], photo, box).items():
                spent[n].setdefault(stage, []).append(ms)
    return [{s: float(np.median(ms[1:])) for s, ms in one.items()} for one in spent]


def one_look(rival: Rival, photo: Image, box: Floats) -> dict[str, float]:
    """CPU milliseconds of each stage for people in boxes (N, 4), the main path taken apart."""
    estimate, card = rival.estimate, rival.estimate.card
    cut, (crops, back) = clock(lambda: coords.crop(photo, box, card.size, margin=card.margin))
    ran, raw = clock(estimate.network, crops, elsewhere=rival.elsewhere)

    def decode() -> Floats:
        xy, logit = coords.decode(raw, card.kind, card.size)
        coords.probability(logit, card.calibration)
        return coords.move(xy, back)

    return {"crop": cut, "network": ran, "decode": clock(decode)[0]}


def crowds(group: Sequence[Rival], photo: Image, box: Floats, repeats: int) -> np.ndarray:
    """CPU milliseconds (R, len(CROWDS)) for one photo with so many given boxes, medians."""
    spent = np.zeros((len(group), len(CROWDS), repeats + 1))
    for column, count in enumerate(CROWDS):
        shift = np.random.default_rng(0).uniform(-9, 9, (count, 1, 2)).repeat(2, axis=1)
        boxes = (box[:1] + shift.reshape(count, 4)).astype(np.float32)
        for turn in range(repeats + 1):
            for n in in_turns(len(group), turn):
                one = group[n]
                spent[n, column, turn], _ = clock(
                    one.estimate, photo, boxes, elsewhere=one.elsewhere
                )
        progress("crowds", column + 1, len(CROWDS))
    return np.median(spent[..., 1:], axis=-1)
