"""Angles through a clip, read back from wide tables: each person's course."""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posegram.data import door
from posegram.data.angles import angle_names, angles
from posegram.pose import Floats, People, Skeleton

__all__ = ["Course", "Doubles", "Own", "labels", "listed", "own_angle", "pick", "read"]

Doubles = npt.NDArray[np.float64]
Own = Mapping[str, tuple[str, ...]]  # name of an angle -> three joints, the angle is at the second

_WHO = ("frame", "time", "track")
_END = "_angle"  # of the column of an angle
_SURE = 0.3  # smallest score of a joint, where nobody says otherwise; as in `posegram predict`
_MOST = 10**7  # frames of a clip: 92 hours at 30 a second
_SHOWN = 8  # tracks that a sentence lists
_HOW = "give the table that `posegram predict CLIP --format csv-wide` writes"


@dataclass(frozen=True, eq=False)
class Course:
    """One person's angles in every frame from the first to the last in which they were found."""

    source: Path
    track: int
    found: int  # frames in which the person was found
    time: Doubles  # (T,) seconds
    angle: dict[str, Doubles]  # name -> (T,) degrees; NaN where missing


def own_angle(text: str) -> tuple[str, tuple[str, ...]]:
    """The name and the three joints in `NAME=JOINT,JOINT,JOINT`.

    >>> own_angle("left_ankle=left_knee,left_ankle,left_toe")
    ('left_ankle', ('left_knee', 'left_ankle', 'left_toe'))

    Raises:
        ValueError: it is not of that form.
    """
    name, _, rest = text.partition("=")
    joints = tuple(joint.strip() for joint in rest.split(","))
    if not name.strip() or len(joints) != 3 or not all(joints) or len(set(joints)) != 3:
        raise ValueError(f"--angle is NAME=JOINT,JOINT,JOINT with three joints, not {text!r}")
    return name.strip(), joints


def read(path: Path, *, own: Own | None = None, min_score: float | None = None) -> list[Course]:
    """Everybody in the wide table of a clip, who was found in most frames first.

    Args:
        path: a table as `posegram.data.table.Wide` writes it.
        own: further angles, computed from the joints in the table.
        min_score: the smallest score of a joint that is used: all angles are computed anew from
            the joints. Without it they are as the table has them, and 0.3 holds for `own`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such table, or lacks a column that is needed.
    """
    own = own or {}
    with _opened(path) as file:
        try:
            rows = csv.reader(file)
            header = next(rows, [])
            names = _angles_in(path, header, own)
            wanted = _wanted(path, header, own, min_score)
            table = _cells(path, header, wanted, rows)
        except (UnicodeDecodeError, csv.Error) as fault:
            raise ValueError(f"{path}: is no CSV file ({fault}); {_HOW}") from fault
    score = _SURE if min_score is None else min_score
    degrees = {name: table[name + _END] for name in names}
    if min_score is not None and names:
        degrees = _anew(path, table, names, score)
    degrees |= {name: _bent(table, joints, score) for name, joints in own.items()}
    return sorted(_courses(path, table, degrees), key=lambda one: (-one.found, one.track))


def _opened(path: Path) -> io.TextIOWrapper:
    if door.require(path, "table").is_dir():
        raise ValueError(f"{path}: is a folder; {_HOW}")
    return path.open(encoding="utf-8-sig", newline="")


def _angles_in(path: Path, header: Sequence[str], own: Own) -> list[str]:
    """The names of the angles that the table has; sees that it is a wide one."""
    if {"joint", "x", "y"} <= set(header):
        raise ValueError(f"{path}: is a long table, a row a joint; {_HOW}")
    missing = [name for name in _WHO if name not in header]
    if missing:
        raise ValueError(f"{path}: has no column {' or '.join(missing)}; {_HOW}")
    names = [name.removesuffix(_END) for name in header if name.endswith(_END)]
    if not names and not own:
        advice = "make one with --angle NAME=JOINT,JOINT,JOINT"
        raise ValueError(f"{path}: has no column of an angle, such as left_knee_angle; {advice}")
    for name in names:
        if name in own:
            raise ValueError(f"{path}: has an angle {name} already; call that of --angle otherwise")
    return names


def _wanted(path: Path, header: Sequence[str], own: Own, min_score: float | None) -> dict[str, int]:
    """The columns that are read, with their places."""
    joints = _joints_in(header)
    for name, three in own.items():
        for joint in three:
            if joint not in joints:
                there = f"it has {', '.join(joints)}" if joints else "it has none"
                raise ValueError(f"{path}: has no joint {joint} for --angle {name}; {there}")
    used = list(dict.fromkeys(joint for three in own.values() for joint in three))
    if min_score is not None:
        scored = [joint for joint in joints if f"{joint}_score" in header]
        if not scored or len(scored) < len(joints):
            lacks = next((joint for joint in joints if joint not in scored), "any joint")
            raise ValueError(f"{path}: has no score of {lacks}, so leave --min-score out")
        used = joints
    columns = [*_WHO, *(name for name in header if name.endswith(_END))]
    columns += [f"{joint}_{what}" for joint in used for what in ("x", "y", "score")]
    return {name: header.index(name) for name in columns if name in header}


def _joints_in(header: Sequence[str]) -> list[str]:
    return [c[:-2] for c in header if c.endswith("_x") and f"{c[:-2]}_y" in header]


def _cells(
    path: Path, header: Sequence[str], wanted: Mapping[str, int], rows: Iterator[list[str]]
) -> dict[str, Doubles]:
    """The wanted columns, (N,) each; NaN where a cell is empty."""
    image = header.index("image") if "image" in header else None
    found = array("d")
    clips: dict[str, None] = {}
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) != len(header):
            count = f"{len(row)} cells for {len(header)} columns"
            raise ValueError(f"{path}: row {number} has {count}; the file is perhaps cut off")
        if image is not None:
            clips[row[image]] = None
        found.extend(_number(path, number, name, row[at]) for name, at in wanted.items())
    if not found:
        raise ValueError(f"{path}: holds nobody, for there is no row below the names of columns")
    if len(clips) > 1:
        raise ValueError(f"{path}: is of {len(clips)} clips or photos; give a table of each clip")
    columns = np.frombuffer(found, dtype=np.float64).reshape(-1, len(wanted)).T
    return dict(zip(wanted, columns, strict=True))


def _number(path: Path, row: int, column: str, cell: str) -> float:
    try:
        value = float(cell) if cell else math.nan
    except ValueError as fault:
        raise ValueError(f"{path}: row {row} has {cell!r} as {column}, wanted a number") from fault
    if column not in _WHO:
        return value if math.isfinite(value) else math.nan
    if not math.isfinite(value):
        why = "a photo has none" if column == "time" else f"every row needs a {column}"
        raise ValueError(f"{path}: row {row} has no {column} ({why}); {_HOW}")
    if column != "time" and not (value.is_integer() and 0 <= value < _MOST):
        raise ValueError(f"{path}: row {row} has {cell} as {column}, wanted a whole number")
    return value


def _people(table: Mapping[str, Doubles], joints: Mapping[str, str]) -> People:
    """Everybody in the table with some joints, called as in `joints`: new name -> column."""
    count = len(table["frame"])
    xy = [np.stack([table[f"{c}_x"], table[f"{c}_y"]], axis=1) for c in joints.values()]
    score = [table.get(f"{c}_score", np.ones(count)) for c in joints.values()]
    return People(
        np.stack(xy, axis=1).astype(np.float32),
        np.nan_to_num(np.stack(score, axis=1)).astype(np.float32),
        np.zeros((count, 4), dtype=np.float32),
        Skeleton("table", tuple(joints)),
    )


def _bent(table: Mapping[str, Doubles], joints: Sequence[str], score: float) -> Doubles:
    """The angle at the second of three joints, (N,) degrees 0 to 180."""
    # a knee's angle is that at the second of these three, whatever lies there
    knee = dict(zip(("left_hip", "left_knee", "left_ankle"), joints, strict=True))
    return np.asarray(_rounded(angles(_people(table, knee), threshold=score))[:, 0])


def _anew(
    path: Path, table: Mapping[str, Doubles], names: Sequence[str], score: float
) -> dict[str, Doubles]:
    people = _people(table, {joint: joint for joint in _joints_in(list(table))})
    known = angle_names(people.skeleton)
    for name in names:
        if name not in known:
            lacks = f"has not the joints of its angle {name}"
            raise ValueError(f"{path}: {lacks}, so leave --min-score or that column out")
    made = _rounded(angles(people, threshold=score))
    return {name: made[:, known.index(name)] for name in names}


def _rounded(degrees: Floats) -> Doubles:
    """As exact as a table has them."""
    return np.asarray(degrees.astype(np.float64).round(2), dtype=np.float64)


def _courses(
    path: Path, table: Mapping[str, Doubles], degrees: Mapping[str, Doubles]
) -> Iterator[Course]:
    frames, tracks = table["frame"].astype(np.int64), table["track"].astype(np.int64)
    # of a clip of which every n-th frame was looked at, n
    step = max(int(np.gcd.reduce(np.diff(np.unique(frames)))), 1) if len(frames) > 1 else 1
    for track in np.unique(tracks):
        rows = np.flatnonzero(tracks == track)
        rows = rows[np.argsort(frames[rows], kind="stable")]
        mine, time = frames[rows], table["time"][rows]
        for bad in np.flatnonzero((np.diff(mine) == 0) | (np.diff(time) <= 0)):
            where = f"track {track}, frame {mine[bad + 1]}"
            raise ValueError(f"{path}: {where} comes twice or no later than the frame before")
        at = (mine - mine[0]) // step
        every = np.arange(at[-1] + 1)
        angle = {}
        for name, column in degrees.items():
            angle[name] = np.full(len(every), np.nan)
            angle[name][at] = _onward(column[rows])
        yield Course(path, int(track), len(rows), np.interp(every, at, time), angle)


def _onward(angle: Doubles) -> Doubles:
    """An angle that goes on counting beyond 180, as a trunk's in a somersault, (T,) degrees.

    An angle of 0 to 180 stays as it is, for it never changes by more than half a turn.
    """
    known = np.isfinite(angle)
    made = angle.copy()
    made[known] = np.unwrap(angle[known], period=360.0)
    return made


def pick(courses: Sequence[Course], track: int | None = None) -> Course:
    """The course of that track, or the first.

    Raises:
        ValueError: there is no such track.
    """
    if track is None:
        return courses[0]
    for course in courses:
        if course.track == track:
            return course
    raise ValueError(f"{courses[0].source}: has no track {track}; it has {listed(courses)}")


def listed(courses: Sequence[Course]) -> str:
    """Tracks in words, such as `1 (160 frames), 4 (1 frame)`."""
    said = [f"{c.track} ({c.found:,} frame{'s' * (c.found != 1)})" for c in courses[:_SHOWN]]
    if len(courses) > _SHOWN:
        said.append(f"and {len(courses) - _SHOWN:,} more")
    return ", ".join(said)


def labels(courses: Sequence[Course]) -> list[str]:
    """What to call each course: its file's name, with the folder where two are called the same."""
    names = [course.source.stem.removesuffix("_wide") for course in courses]
    said = []
    for course, name in zip(courses, names, strict=True):
        alike = {c.source for c, n in zip(courses, names, strict=True) if n == name}
        whole = course.source.with_suffix("").as_posix() if len(alike) > 1 else name
        said.append(f"{whole}, track {course.track}")
    return said
