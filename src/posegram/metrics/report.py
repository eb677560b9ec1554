"""What is measured on, a measured number with its whole protocol, and a page of such numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from posegram.metrics.bootstrap import Interval, Statistic
from posegram.metrics.pck import Doubles, Mask
from posegram.pose import Ints, Skeleton

__all__ = ["Case", "Number", "Panel", "Report", "filled"]

# MPII's mean leaves these out: both follow from their neighbours (Andriluka et al., CVPR 2014)
_OUTSIDE_THE_MEAN = {"mpii16": ("pelvis", "thorax")}


@dataclass(frozen=True, eq=False)
class Case:
    """Labels and one prediction for each labelled person, in the labels' skeleton; pixels."""

    xy: Doubles  # (N, K, 2) predictions; NaN where there is none
    score: Doubles | None  # (N, K) 0 to 1; None where the predictions carry no scores
    predicted: Mask  # (N, K) predicted here and in the set that this one is compared with
    truth: Doubles  # (N, K, 2) labels
    labelled: Mask  # (N, K)
    image: Ints  # (N,) 0 to I - 1
    box: Doubles  # (N, 4) x0, y0, x1, y1
    head: Doubles  # (N,) NaN where not known
    area: Doubles  # (N,) square pixels; NaN where not known
    skeleton: Skeleton
    estimated: int = 0  # people whose area is a guess from their box

    @property
    def rows(self) -> list[int]:
        """Joints of the means: those that anybody predicts and the data set's mean holds."""
        outside = _OUTSIDE_THE_MEAN.get(self.skeleton.name, ())
        names = self.skeleton.joints
        return [row for row in self.present if names[row] not in outside]

    @property
    def present(self) -> list[int]:
        """Joints that are predicted for anybody."""
        return [int(row) for row in np.flatnonzero(np.any(self.predicted, axis=0))]

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of `rows`."""
        return tuple(self.skeleton.joints[row] for row in self.rows)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of a mean must know of its joint set."""
        lost = [j for row, j in enumerate(self.skeleton.joints) if row not in self.present]
        outside = [j for j in _OUTSIDE_THE_MEAN.get(self.skeleton.name, ()) if j not in lost]
        why = []
        if lost:
            why.append(f"{_listed(lost)} not predicted")
        if outside:
            why.append(f"{_listed(outside)} outside this data set's mean")
        notes = [f"{len(self.rows)} of {len(self.skeleton)} joints: {'; '.join(why)}"] * bool(why)
        missed = int((self.labelled & ~self.predicted)[:, self.rows].sum())
        if missed:
            notes.append(
                f"{missed} labelled joints have no prediction: wrong in PCK and PCKh, "
                "left out of MAE and EPE"
            )
        return tuple(notes)


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"


@dataclass(frozen=True)
class Number:
    """One measured number and everything that one must know to compare it with another."""

    name: str
    unit: str  # "%", "px", or "" for a plain ratio
    rule: str  # how it is computed, in words
    joints: tuple[str, ...]  # the joint set
    counted: int  # labelled joints behind it; people for AP
    normaliser: str = "none"
    weighting: str = "count-weighted"
    threshold: str = ""
    higher_is_better: bool = True
    value: float = math.nan
    low: float = math.nan  # 95% interval; NaN where there is none
    high: float = math.nan
    verdict: str = ""  # of a comparison

    @property
    def interval(self) -> str:
        """The interval as text."""
        if math.isnan(self.low):
            return "[no interval]"
        return f"[{_text(self.low, self.unit)}, {_text(self.high, self.unit)}]"

    @property
    def protocol(self) -> str:
        """Everything but the value, as text."""
        count = f"{self.counted:,} {'people' if self.weighting == 'per person' else 'joints'}"
        return "; ".join(part for part in (self.rule, self.weighting, count) if part)


def _text(value: float, unit: str) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if unit else f"{value:.4f}"


@dataclass(frozen=True, eq=False)
class Panel:
    """Numbers without values and the statistic that gives the values, in the same order."""

    numbers: tuple[Number, ...]  # M; a per-joint number has one joint and stands in `by_joint`
    statistic: Statistic  # (B, I) -> (B, M)
    by_joint: int = 0  # how many at the end are per-joint numbers
    notes: tuple[str, ...] = ()


def filled(numbers: Sequence[Number], found: Interval) -> tuple[Number, ...]:
    """The numbers with their values and intervals."""
    rows = zip(numbers, found.value, found.low, found.high, strict=True)
    return tuple(replace(n, value=float(v), low=float(a), high=float(b)) for n, v, a, b in rows)


@dataclass(frozen=True)
class Report:
    """Numbers with their protocols; `str(report)` is a page, `to_dict()` goes into JSON."""

    title: str
    people: int
    images: int
    numbers: tuple[Number, ...]
    by_joint: tuple[Number, ...] = ()  # each with one joint
    notes: tuple[str, ...] = ()
    resamples: int = 2000
    labels: dict[str, int] = field(default_factory=dict)  # joint -> labelled people

    def __getitem__(self, name: str) -> Number:
        """The first number of that name, for example `report["PCKh@0.5"].value`."""
        for number in self.numbers:
            if number.name == name:
                return number
        raise KeyError(f"no number {name!r}; there are {', '.join(n.name for n in self.numbers)}")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values; a NaN becomes None."""
        return {key: _plain(value) for key, value in asdict(self).items()}

    def __str__(self) -> str:
        return "\n".join([*self._head(), "", *self._lines(), *self._table()])

    def _head(self) -> list[str]:
        how = f"95% percentile bootstrap, {self.resamples:,} resamples of whole images"
        return [
            f"{self.title}: {self.people:,} people in {self.images:,} images",
            f"intervals: {how}",
            *(f"note: {note}" for note in self.notes),
        ]

    def _lines(self) -> list[str]:
        rows = [
            [n.name, _text(n.value, n.unit), n.unit, n.interval, n.verdict, n.protocol]
            for n in self.numbers
        ]
        if not any(n.verdict for n in self.numbers):
            rows = [row[:4] + row[5:] for row in rows]
        return _aligned(rows, right=(1,))

    def _table(self) -> list[str]:
        if not self.by_joint:
            return []
        names = list(dict.fromkeys(n.name for n in self.by_joint))
        units = {n.name: n.unit for n in self.by_joint}
        cells = {(n.joints[0], n.name): f"{_text(n.value, n.unit)} {n.interval}" for n in
                 self.by_joint}  # fmt: skip
        rows = [["joint", "labelled", *(f"{name} ({units[name]})" for name in names)]]
        for joint in dict.fromkeys(n.joints[0] for n in self.by_joint):
            row = [cells.get((joint, name), "-") for name in names]
            rows.append([joint, f"{self.labels.get(joint, 0):,}", *row])
        return ["", *_aligned(rows, right=(1,))]


def _aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Rows of cells as lines with straight columns."""
    wide = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [c.rjust(w) if n in right else c.ljust(w) for n, (c, w) in
                 enumerate(zip(row, wide, strict=True))]  # fmt: skip
        lines.append("  ".join(cells).rstrip())
    return lines


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return None if math.isnan(value) else float(value)
    return value
