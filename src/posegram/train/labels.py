"""How many labels are worth their work: one run for each number of people, one curve."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from posegram.data.stream import save_text
from posegram.models import KINDS
from posegram.train.compare import load, whole
from posegram.train.config import Config
from posegram.train.fit import fit, sets
from posegram.train.plots import plot

__all__ = ["Point", "counts", "curve", "write"]

_log = logging.getLogger("posegram.train")


@dataclass(frozen=True)
class Point:
    """One run of the curve."""

    label: str  # of the curve
    people: int  # trained on
    value: float  # percent of right joints
    low: float  # ends of its 95% interval
    high: float


def counts(text: str) -> tuple[int, ...]:
    """Numbers of people from "25,50,100,all"; 0 stands for all.

    Raises:
        ValueError: a part is neither a positive number nor `all`.

    >>> counts("25,all")
    (25, 0)
    """
    parts = [part.strip() for part in text.split(",")]
    if any(part != "all" and not (part.isdecimal() and int(part)) for part in parts):
        raise ValueError(f"{text!r} names no numbers of people; write 25,50,100,all")
    return tuple(0 if part == "all" else int(part) for part in parts)


def curve(config: Config, counts: Sequence[int], *, progress: bool = True) -> list[Point]:
    """Train once for each number of people, in folders inside the run's, all else being equal.

    Larger numbers hold the smaller ones' people. All runs take the same number of steps:
    `epoch_people` (or, where it is 0, everybody) an epoch. A run of these settings that is there
    is not repeated.

    Args:
        config: the settings of all runs.
        counts: numbers of people, 0 for all; one beyond the set's size is left out, and told.
        progress: show bars.

    Raises:
        ValueError: no number fits the set, a folder holds a run with other settings, or the
            network learns from whole photos, not from people.
    """
    if KINDS.get(config.network) in ("detector", "rcnn"):
        raise ValueError(f"labels are counted by people, and {config.network!r} learns from photos")
    train, _ = sets(config)
    wanted = sorted({n or len(train) for n in counts})
    wanted = [n for n in wanted if n <= len(train)]
    if not wanted:
        raise ValueError(f"there are {len(train)} people to train on, fewer than {min(counts)}")
    beyond = ", ".join(str(n) for n in sorted(set(counts) - {0, *wanted}))
    if beyond:
        _log.warning("left out: %s; there are %d people to train on", beyond, len(train))
    drawn = config.epoch_people or len(train)
    points = []
    for people in wanted:
        one = config.override(
            {
                "name": f"labels-{people}",
                "folder": str(config.run),
                "people": people,
                "epoch_people": drawn,
                "batch": min(config.batch, drawn),
            }
        )
        judged = one.run / "judged.npz"
        if not judged.exists() or Config.read(one.run / "config.toml") != one:
            fit(one, progress=progress)
        found = whole(load(judged))
        numbers = (float(v[0]) for v in (found.value, found.low, found.high))
        points.append(Point(config.name, people, *numbers))
    return points


def write(folder: Path, points: Sequence[Point], *, title: str) -> Path:
    """Write labels.csv, labels.md and labels.png into a folder; returns the picture."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Point)])
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)
    save_text(folder / "labels.md", _table(points, title))
    _draw(folder / "labels.png", points, title)
    return folder / "labels.png"


def _table(points: Sequence[Point], title: str) -> str:
    names = list(dict.fromkeys(p.label for p in points))
    cells = {(p.label, p.people): f"{p.value:.1f} [{p.low:.1f}, {p.high:.1f}]" for p in points}
    lines = [
        f"{title}: percent of joints within 0.2 torso lengths, 95 % intervals.",
        "",
        f"| people with labels | {' | '.join(names)} |",
        "|---" * (len(names) + 1) + "|",
    ]
    for people in sorted({p.people for p in points}):
        row = [cells.get((name, people), "-") for name in names]
        lines.append(f"| {people} | {' | '.join(row)} |")
    return "\n".join([*lines, ""])


def _draw(path: Path, points: Sequence[Point], title: str) -> None:
    with plot(path, (7, 4.5)) as (_, axis):
        for name in dict.fromkeys(p.label for p in points):
            mine = sorted((p for p in points if p.label == name), key=lambda p: p.people)
            below = [p.value - p.low for p in mine], [p.high - p.value for p in mine]
            axis.errorbar(
                [p.people for p in mine],
                [p.value for p in mine],
                yerr=below,
                marker="o",
                capsize=3,
                label=name,
            )
        ticks = sorted({p.people for p in points})
        axis.set_xscale("log")
        axis.set_xticks(ticks, [str(n) for n in ticks])
        axis.minorticks_off()
        axis.set(
            xlabel="people with labels", ylabel="joints within 0.2 torso lengths, %", title=title
        )
        axis.grid(alpha=0.3)
        axis.legend()
