"""DeepLabCut's labels: `CollectedData_<scorer>.csv` in each folder of a project's `labeled-data`.

Three rows head the table, `scorer`, `bodyparts` and `coords`, four with `individuals` where a
project has several animals or people. A line is a picture's path, in one cell or in three, and x
and y of each body part; empty cells are not labelled (github.com/DeepLabCut/DeepLabCut,
docs/standardDeepLabCut_UserGuide.md). (0, 0) is the first pixel.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np

from posegram.data import door
from posegram.data.joints import plain, skeleton_of
from posegram.pose import Floats, Sample, Skeleton

__all__ = ["category", "is_table", "read", "tables"]

_HEAD = ("scorer", "individuals", "bodyparts", "coords")
_NOBODY = "single"  # the individual to which a project's unique body parts belong


class _Column(NamedTuple):
    """Where one coordinate of one joint stands."""

    individual: str
    joint: str  # as the table spells it
    axis: int  # 0 for x, 1 for y


class _Table(NamedTuple):
    """One CollectedData file."""

    path: Path
    columns: dict[int, _Column]  # by place in a line
    lines: list[tuple[int, list[str]]]  # number in the file, cells

    @property
    def start(self) -> int:
        """How many cells of a line are the picture's path."""
        return min(self.columns)


def read(path: Path, images: Path | None = None) -> list[Sample]:
    """The people, or animals, of a DeepLabCut project; pixels counted from 0.

    Every labelled body part counts as seen. The box is the joints' bounds grown by 6 % of the
    longer side each way. Bones are those of the project's config.yaml, else what the names tell.
    Unique body parts, those of the individual `single`, belong to nobody and are left out.

    Args:
        path: a CollectedData file, the folder that holds it, `labeled-data` or the project.
        images: the pictures' folder; by default that of each table.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: it holds no such table, or a table is none of DeepLabCut's; file and line are
            named.
    """
    found = [_table(file) for file in tables(path)]
    skeleton = _skeleton(path, found)
    samples = []
    for table in found:
        for number, cells in table.lines:
            try:
                samples += _people(table, cells, skeleton, images)
            except ValueError as fault:
                raise ValueError(f"{table.path}: line {number} is wrong: {fault}") from fault
    if not samples:
        raise ValueError(f"{path}: nobody has a labelled body part")
    return samples


def tables(path: Path) -> list[Path]:
    """The CollectedData files of a project, of its `labeled-data` or of one folder of it.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: the folder holds none.
    """
    if door.require(path, "file or folder").is_file():
        return [path]
    for pattern in ("", "*/", "labeled-data/*/"):
        if found := sorted(path.glob(f"{pattern}CollectedData_*.csv")):
            return found
    raise ValueError(f"{path}: holds no CollectedData_*.csv of DeepLabCut")


def is_table(path: Path) -> bool:
    """Whether a .csv file begins as DeepLabCut's do."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(99).lstrip("\ufeff").partition(",")[0] == _HEAD[0]


def category(path: Path) -> dict[str, list[str]]:
    """What a project calls its joints: `keypoints`, as COCO's category; errors as `read`."""
    return {"keypoints": _names([_table(file) for file in tables(path)])}


def _table(path: Path) -> _Table:
    rows = _rows(path)
    head = {cells[0]: cells for _, cells in rows[: len(_HEAD)] if cells and cells[0] in _HEAD}
    lacking = [name for name in ("scorer", "bodyparts", "coords") if name not in head]
    if lacking:
        raise ValueError(f"{path}: has no row {lacking[0]!r}, so it is no table of DeepLabCut's")
    parts, axes = head["bodyparts"], head["coords"]
    individuals = head.get("individuals", [""] * len(axes))
    if not len(parts) == len(axes) == len(individuals):
        raise ValueError(f"{path}: the rows at its head are not equally long")
    columns = {
        place: _Column(individuals[place], parts[place], "xy".index(axis))
        for place, axis in enumerate(axes)
        if axis in ("x", "y") and individuals[place] != _NOBODY
    }
    if not columns:
        raise ValueError(f"{path}: no column of it is an x or a y of a body part")
    return _Table(path, columns, [(n, cells) for n, cells in rows[len(head) :] if any(cells)])


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Number and cells of each line."""
    lines = csv.reader(door.load_text(path, "table").splitlines())
    try:
        return list(enumerate(lines, start=1))
    except csv.Error as fault:  # such as a quote that is never closed
        raise ValueError(f"{path}: line {lines.line_num} is wrong: {fault}") from fault


def _names(found: Sequence[_Table]) -> list[str]:
    """The joints of all tables as they come, each once, however it is spelt."""
    spelt: dict[str, str] = {}
    for column in (c for table in found for c in table.columns.values()):
        spelt.setdefault(plain(column.joint), column.joint)
    return list(spelt.values())


def _skeleton(path: Path, found: Sequence[_Table]) -> Skeleton:
    names = _names(found)
    rows = {plain(name): row for row, name in enumerate(names, start=1)}
    bones = [[rows[a], rows[b]] for a, b in _bones(path) if a in rows and b in rows]
    return skeleton_of(f"deeplabcut{len(names)}", names, bones)


def _bones(path: Path) -> list[tuple[str, str]]:
    """The pairs that `skeleton` of a project's config.yaml names, as DeepLabCut writes them."""
    folders = [path, *path.absolute().parents[:3]]
    config = next((f for p in folders if (f := p / "config.yaml").is_file()), None)
    if config is None:
        return []
    block = re.search(r"^skeleton:\s*\n((?:[ -].*\n?)*)", door.load_text(config, "YAML file"), re.M)
    pairs = re.findall(r"^\s*- - (.+)\n\s+- (.+)$", block[1] if block else "", re.M)
    return [(plain(a.strip(" '\"")), plain(b.strip(" '\""))) for a, b in pairs]


def _people(
    table: _Table, cells: Sequence[str], skeleton: Skeleton, images: Path | None
) -> list[Sample]:
    """Everybody of one picture who has a labelled joint."""
    if len(cells) <= max(table.columns):
        raise ValueError(f"holds {len(cells)} cells, wanted {max(table.columns) + 1}")
    image = _picture(table, cells, images)
    names = dict.fromkeys(column.individual for column in table.columns.values())
    xy = {name: np.full((len(skeleton), 2), np.nan) for name in names}
    for place, (individual, joint, axis) in table.columns.items():
        xy[individual][skeleton.index(plain(joint)), axis] = _number(cells[place])
    return [sample for one in xy.values() if (sample := _sample(image, one, skeleton))]


def _number(cell: str) -> float:
    """Pixels, NaN of an empty cell."""
    value = float(cell) if cell.strip() else np.nan
    if abs(value) > door.FAR:
        raise ValueError(f"{cell} is no number of pixels")
    return value


def _sample(image: Path, xy: Floats, skeleton: Skeleton) -> Sample | None:
    usable = np.asarray(np.isfinite(xy).all(axis=1), dtype=np.bool_)
    if not usable.any():
        return None
    places = np.where(usable[:, None], xy, 0).astype(np.float32)
    visible = np.where(usable, 2, 0).astype(np.uint8)
    return Sample(image, places, visible, door.person_box(places, usable), None, None, skeleton)


def _picture(table: _Table, cells: Sequence[str], images: Path | None) -> Path:
    """Where the picture of a line lies: in its table's folder, or where its path leads."""
    parts = PureWindowsPath("/".join(cells[: table.start])).parts  # both / and \ part folders
    if not parts:
        raise ValueError("names no picture")
    tails = [Path(*parts[-n:]) for n in (1, 2, len(parts))]
    folders = [images] if images else [table.path.parent, *table.path.absolute().parents[1:3]]
    places = [folder / tail for folder in folders for tail in tails]
    return next((place for place in places if place.is_file()), places[0])
