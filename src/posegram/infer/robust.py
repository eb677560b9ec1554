"""How much accuracy a model keeps when photos are spoilt: a table and a sheet of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posegram import coords, image
from posegram.data.corrupt import KINDS, SEVERITIES, corrupt
from posegram.infer.evaluate import Estimator, Watch, evaluate, predict
from posegram.metrics.report import Number
from posegram.pose import Floats, Image, People, Sample

__all__ = ["Spoilt", "kinds", "robustness", "sheet", "table"]

_TILE = (200, 150)  # height and width of a picture on the sheet, pixels


@dataclass(frozen=True)
class Spoilt:
    """One number of one kind at one severity."""

    kind: str  # "none" for the photos as they are
    severity: float
    value: float
    low: float  # ends of the 95% interval
    high: float
    name: str  # of the number, with its threshold
    unit: str


def kinds(text: str) -> tuple[str, ...]:
    """Kinds from "blur,dark" or "all".

    Raises:
        ValueError: there is no such kind.
    """
    found = KINDS if text == "all" else tuple(part.strip() for part in text.split(","))
    unknown = [kind for kind in found if kind not in KINDS]
    if unknown:
        raise ValueError(f"no corruption {unknown[0]!r}; there are all, {', '.join(KINDS)}")
    return found


def robustness(
    estimate: Estimator,
    samples: Sequence[Sample],
    chosen: Sequence[str] = KINDS,
    *,
    metric: str = "pck",
    resamples: int = 2000,
    watch: Watch = iter,
) -> list[Spoilt]:
    """The metric's first number on the photos as they are, then for each kind and severity.

    Args:
        estimate: finds one person per given box.
        samples: labelled people of one skeleton, whose boxes are given.
        chosen: kinds of corruption.
        metric: one of `posegram.metrics.METRICS`.
        resamples: of the bootstrap over whole images.
        watch: shows progress over the image files, once for each line.

    Raises:
        ValueError: as `evaluate`.
    """
    steps = [("none", 0.0), *((kind, severity) for kind in chosen for severity in SEVERITIES)]
    found = []
    for kind, severity in steps:
        spoilt = _spoiling(estimate, kind, severity)
        predicted = predict(spoilt, samples, watch=watch)
        report = evaluate(predicted, samples, metrics=(metric,), resamples=resamples)
        found.append(_line(kind, severity, report.numbers[0]))
    return found


def _spoiling(estimate: Estimator, kind: str, severity: float) -> Estimator:
    def spoilt(photo: Image, boxes: Floats) -> People:
        if kind == "none":
            return estimate(photo, boxes)
        # chance depends on the photo, so that every model and severity sees the same
        seed = int(photo[:: max(1, len(photo) // 16)].sum()) % 2**32
        return estimate(corrupt(photo, kind, severity, boxes, seed=seed), boxes)

    return spoilt


def _line(kind: str, severity: float, number: Number) -> Spoilt:
    return Spoilt(kind, severity, number.value, number.low, number.high, number.name, number.unit)


def table(lines: Sequence[Spoilt]) -> str:
    """The numbers as Markdown: a row for each kind, a column for each severity, and the mean."""
    clean = lines[0]
    unit = f" ({clean.unit})" if clean.unit else ""
    rows = [
        f"{clean.name}{unit}, 95 % intervals over whole images; as they are {_text(clean)}",
        "",
        f"| severity | {' | '.join(f'{s:g}' for s in SEVERITIES)} | mean |",
        "|---" * (len(SEVERITIES) + 2) + "|",
    ]
    for kind in dict.fromkeys(line.kind for line in lines[1:]):
        mine = [line for line in lines if line.kind == kind]
        mean = np.mean([line.value for line in mine])
        told = f"{mean:.{_digits(clean)}f}"
        rows.append(f"| {kind} | {' | '.join(_text(line) for line in mine)} | {told} |")
    if len(lines) > 1:
        whole = np.mean([line.value for line in lines[1:]])
        rows.append(f"| **all** |{' |' * len(SEVERITIES)} **{whole:.{_digits(clean)}f}** |")
    return "\n".join([*rows, ""])


def _text(line: Spoilt) -> str:
    digits = _digits(line)
    return f"{line.value:.{digits}f} [{line.low:.{digits}f}, {line.high:.{digits}f}]"


def _digits(line: Spoilt) -> int:
    """Decimals of a number: 3 of one from 0 to 1, such as AP, else 1."""
    return 1 if line.unit else 3


def sheet(estimate: Estimator, samples: Sequence[Sample], chosen: Sequence[str] = KINDS) -> Image:
    """One person a row: a kind at five severities, with the joints that the model finds there."""
    tiles = []
    for row, kind in enumerate(chosen):
        sample = samples[row % len(samples)]
        for severity in SEVERITIES:
            tiles.append(_tile(estimate, sample, kind, severity))
    return image.grid(tiles, len(SEVERITIES))


def _tile(estimate: Estimator, sample: Sample, kind: str, severity: float) -> Image:
    box = sample.box[None]
    photo = corrupt(image.read(sample.image), kind, severity, box)
    people = estimate(photo, box)
    crops, back = coords.crop(photo, box, _TILE)
    xy = coords.move(people.xy, coords.inverse(back[0])[None])
    nowhere = np.zeros((1, 4), dtype=np.float32)
    return image.draw(crops[0], People(xy, people.score, nowhere, people.skeleton))
