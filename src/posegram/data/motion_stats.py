"""Numbers about one person's angles through a clip: extremes, speed, left against right."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from posegram.data.motion import Course, Doubles

__all__ = ["Line", "summarise", "summary", "symmetry_index", "velocity"]

_REACH = 0.05  # seconds to each side of the moment whose speed is sought


@dataclass(frozen=True)
class Line:
    """What is said of one angle of one person: a row of the summary, in degrees; NaN is unknown."""

    file: str
    track: int
    angle: str
    frames: int  # from the person's first to their last
    seconds: float  # from the first to the last
    missing: float  # share of these frames without the angle, 0 to 1
    mean: float
    min: float
    max: float
    range: float  # of motion: max - min
    p5: float
    p95: float
    peak_velocity: float  # degrees/s, the largest to either side, see `velocity`
    peak_time: float  # seconds, when
    left_minus_right: float = math.nan  # of the means
    mean_symmetry: float = math.nan  # percent, see `symmetry_index`
    range_symmetry: float = math.nan  # percent, the same of the ranges of motion


_DIGITS = {"seconds": 3, "missing": 4, "peak_velocity": 1, "peak_time": 3} | dict.fromkeys(
    ("mean_symmetry", "range_symmetry"), 1
)  # of all other numbers 2


def velocity(time: Doubles, angle: Doubles) -> Doubles:
    """How fast an angle changes, (T,) degrees/s; NaN where frames around lack it.

    The slope of the straight line with the least squares through the frames up to 0.05 s to
    either side, at least one: central difference and smoothing in one (for even times the filter
    of Savitzky and Golay 1964, doi:10.1021/ac60214a047). All of these frames must have the angle,
    so no gap is bridged. What swings at 3 Hz shows about 7 to 11 % slower than it is.

    Args:
        time: (T,) seconds, growing.
        angle: (T,) degrees; NaN where missing.
    """
    speed = np.full(len(time), np.nan)
    if len(time) < 3:
        return speed
    reach = max(1, int(_REACH / float(np.median(np.diff(time))) + 1e-6))
    width = 2 * reach + 1
    if len(time) < width:
        return speed
    t = np.lib.stride_tricks.sliding_window_view(time, width)
    v = np.lib.stride_tricks.sliding_window_view(angle, width)
    away = t - t.mean(axis=1, keepdims=True)
    speed[reach:-reach] = (away * v).sum(axis=1) / (away**2).sum(axis=1)
    return speed


def symmetry_index(left: float, right: float) -> float:
    """Percent by which the left is above the right: 100 (L - R) / ((L + R) / 2).

    0 is even, 200 all left, -200 all right; NaN where one is below 0 or both are 0. The index of
    Robinson, Herzog and Nigg 1987 (J Manipulative Physiol Ther 10: 172-176), left first.

    >>> symmetry_index(55, 45)
    20.0
    """
    if not (left >= 0 and right >= 0 and left + right > 0):
        return math.nan
    return 100.0 * (left - right) / ((left + right) / 2)


def summarise(course: Course) -> list[Line]:
    """A line for each angle of one person, in the order of the table."""
    lines = {name: _line(course, name) for name in course.angle}
    return [_beside(lines, line) for line in lines.values()]


def _line(course: Course, name: str) -> Line:
    angle, time = course.angle[name], course.time
    known = angle[np.isfinite(angle)]
    low, high, p5, p95, mean = [math.nan] * 5
    if len(known):
        low, high, mean = float(known.min()), float(known.max()), float(known.mean())
        p5, p95 = (float(v) for v in np.percentile(known, (5, 95)))
    speed = np.abs(velocity(time, angle))
    peak = int(np.nanargmax(speed)) if np.isfinite(speed).any() else None
    return Line(
        file=course.source.as_posix(),
        track=course.track,
        angle=name,
        frames=len(angle),
        seconds=float(time[-1] - time[0]),
        missing=1 - len(known) / len(angle),
        mean=mean,
        min=low,
        max=high,
        range=high - low,
        p5=p5,
        p95=p95,
        peak_velocity=math.nan if peak is None else float(speed[peak]),
        peak_time=math.nan if peak is None else float(time[peak]),
    )


def _beside(lines: Mapping[str, Line], line: Line) -> Line:
    """The line with what its twin of the other side says; itself where it has none."""
    side, _, part = line.angle.partition("_")
    left, right = lines.get(f"left_{part}"), lines.get(f"right_{part}")
    if side not in ("left", "right") or left is None or right is None:
        return line
    return replace(
        line,
        left_minus_right=left.mean - right.mean,
        mean_symmetry=symmetry_index(left.mean, right.mean),
        range_symmetry=symmetry_index(left.range, right.range),
    )


def summary(lines: Sequence[Line]) -> str:
    """The lines as CSV; a cell is empty where there is nothing to say."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Line)]
    rows.writerow(names)
    for line in lines:
        rows.writerow([_cell(name, getattr(line, name)) for name in names])
    return text.getvalue()


def _cell(name: str, value: float | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:.{_DIGITS.get(name, 2)}f}" if math.isfinite(value) else ""
