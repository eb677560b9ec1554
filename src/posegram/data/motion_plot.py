"""Angles over time as a picture of small panels: left and right, one person or several."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posegram.data.motion import Course, Doubles, labels
from posegram.data.stream import save_bytes
from posegram.drawing import SIDES

__all__ = ["draw", "panels"]

_STYLES = ("-", (0, (6, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))  # of one file after other
_PALE = 20.0  # degrees that a panel shows at least, so that a tremor looks like one
_INK = "0.25"  # grey of words and of angles that have no side
_DOTS = 110  # an inch
_NOTE = (
    "Angles as seen in the picture, degrees: 180 is a straight limb; trunk and head: 0 is upright, "
    "above 0 leans to the picture's right. Gaps: not seen."
)


def panels(courses: Sequence[Course]) -> list[tuple[str, ...]]:
    """The angles that share a panel, panel by panel, two to a row.

    Left and right share one where there is one course; of several, they lie side by side. Angles
    that nobody has in any frame have none.
    """
    names = dict.fromkeys(n for c in courses for n in c.angle if np.isfinite(c.angle[n]).any())
    pairs: dict[str, tuple[str, ...]] = {}
    single = []
    for name in names:
        side, _, part = name.partition("_")
        if side in ("left", "right") and part:
            pairs[part] = (f"left_{part}", f"right_{part}")
        else:
            single.append((name,))
    if len(courses) == 1:
        return [*(tuple(n for n in pair if n in names) for pair in pairs.values()), *single]
    return [*((name,) for pair in pairs.values() for name in pair), *single]


def draw(path: Path, courses: Sequence[Course], *, normalise: bool = False) -> Path:
    """The path of the PNG file written; it appears whole or not at all.

    Args:
        path: of the file.
        courses: whose angles are drawn over one another.
        normalise: time from 0 to 100 % of each course, not in seconds.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file cannot be written.
        ValueError: nobody has any angle.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    cells = panels(courses)
    if not cells:
        raise ValueError(
            f"{courses[0].source}: no angle has a value in any frame, so none is drawn"
        )
    rows, columns = -(-len(cells) // 2), min(len(cells), 2)
    with mpl.rc_context({"agg.path.chunksize": 10_000, "axes.edgecolor": "0.7"}):  # for hours
        figure = Figure(figsize=(11, 2.1 * rows + 1.2), layout="constrained", dpi=_DOTS)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axis, names in zip(grid.flat, cells, strict=False):
            for number, course in enumerate(courses):
                _lines(axis, course, names, number, len(courses), normalise)
            _frame(axis, names, courses)
        for axis in list(grid.flat)[len(cells) :]:
            axis.set_axis_off()
        _times(grid, len(cells))
        _legend(figure, courses, cells)
        time = "% from each person's first frame to their last" if normalise else "seconds"
        figure.supxlabel(f"time, {time}\n{_NOTE}", fontsize=8.5, color="0.4", linespacing=1.5)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
    return save_bytes(path, picture.getvalue())


def _lines(
    axis: Any, course: Course, names: Sequence[str], number: int, count: int, normalise: bool
) -> None:
    """One person's angles in one panel."""
    time = course.time
    if normalise:
        time = (time - time[0]) / max(float(time[-1] - time[0]), 1e-9) * 100
    for name in names:
        if name not in course.angle:
            continue
        angle = course.angle[name]
        colour = _colour(name, number, count)
        axis.plot(time, angle, color=colour, linestyle=_STYLES[number % 4], linewidth=1.8)
        alone = _alone(angle)  # no line leads to them
        axis.plot(time[alone], angle[alone], ".", color=colour, markersize=4)


def _alone(angle: Doubles) -> Any:
    """Frames that have the angle between frames that lack it, (T,) bools."""
    known = np.pad(np.isfinite(angle), 1)
    return known[1:-1] & ~known[:-2] & ~known[2:]


def _colour(name: str, number: int, count: int) -> tuple[float, float, float]:
    """Of the side; each further file is darker."""
    rgb = np.array(SIDES.get(name.split("_")[0], (110, 110, 110))) / 255
    shade = 1.0 - 0.55 * number / max(count - 1, 1)
    red, green, blue = (float(v) for v in rgb * shade)
    return red, green, blue


def _frame(axis: Any, names: Sequence[str], courses: Sequence[Course]) -> None:
    """Title, limits and grid of one panel; both sides of one part have the same limits."""
    part = names[0].partition("_")[2] if _sided(names[0]) else ""
    alike = [*names, *((f"left_{part}", f"right_{part}") if part else ())]
    seen = [c.angle[n] for c in courses for n in alike if n in c.angle]
    low, high = np.nanmin(np.concatenate(seen)), np.nanmax(np.concatenate(seen))
    middle, half = (low + high) / 2, max(high - low, _PALE) / 2 * 1.08
    axis.set_ylim(middle - half, middle + half)
    title = part if len(names) == 2 else names[0]
    if not any(n in c.angle and np.isfinite(c.angle[n]).any() for c in courses for n in names):
        axis.text(0.5, 0.5, "in no frame", transform=axis.transAxes, ha="center", color="0.6")
    axis.set_title(_plain(title.replace("_", " ")), fontsize=10, loc="left", color=_INK)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8, color="0.7", labelcolor=_INK)
    axis.locator_params(axis="y", nbins=5, steps=[1, 2, 3, 6, 10])
    axis.yaxis.set_major_formatter("{x:g}°")


def _times(grid: Any, count: int) -> None:
    """Numbers along the time, under the last panel of each column."""
    for column in range(grid.shape[1]):
        last = grid[(count - 1 - column) // grid.shape[1], column]
        last.tick_params(labelbottom=True)
        last.margins(x=0.01)


def _legend(figure: Any, courses: Sequence[Course], cells: Sequence[Sequence[str]]) -> None:
    """What colours and strokes mean, above the panels."""
    from matplotlib.lines import Line2D

    names = [_plain(name) for name in labels(courses)]
    sides = sorted({name.split("_")[0] for cell in cells for name in cell if _sided(name)})
    kinds: list[tuple[str, Any]] = [(side, {"color": _colour(side, 0, 1)}) for side in sides]
    if len(courses) == 1:
        figure.suptitle(names[0], fontsize=12, color=_INK)
    else:
        for number, name in enumerate(names):
            shade = _colour("", number, len(courses))
            kinds.append((name, {"color": shade, "linestyle": _STYLES[number % 4]}))
    if kinds:
        handles = [Line2D([], [], linewidth=2.2, **style) for _, style in kinds]
        words = [name for name, _ in kinds]
        figure.legend(
            handles, words, loc="outside upper right", ncols=min(len(kinds), 4), frameon=False,
            fontsize=9, labelcolor=_INK, handlelength=3.2,
        )  # fmt: skip


def _sided(name: str) -> bool:
    return name.startswith(("left_", "right_"))


def _plain(words: str) -> str:
    """Words that matplotlib takes for no formula, nor for a name that a legend leaves out."""
    escaped = words.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped
