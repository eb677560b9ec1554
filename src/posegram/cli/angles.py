"""`posegram angles`: numbers and a picture of the joint angles that `predict` found in clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from posegram.cli.words import counted
from posegram.data import door, motion, motion_plot
from posegram.data.motion import Course
from posegram.data.motion_stats import Line, summarise, summary
from posegram.data.stream import save_text

__all__ = ["angles"]

_COLUMNS = ("missing", "mean", "min to max", "range", "5 to 95 %", "peak °/s", "left - right")


def angles(
    tables: list[Path] = typer.Argument(
        ..., metavar="TABLE...", help="What predict CLIP --format csv-wide wrote; several compare."
    ),
    out: Path = typer.Option(
        Path("angles"), "--out", "-o", help="Folder for summary.csv and angles.png."
    ),
    track: list[int] = typer.Option(
        [],
        "--track",
        metavar="N",
        help="The person: once for all tables, or once for each, in their order; default: who was "
        "found in most frames.",
    ),
    angle: list[str] = typer.Option(
        [],
        "--angle",
        metavar="NAME=JOINT,JOINT,JOINT",
        help="A further angle, 0 to 180 degrees at the middle joint; may be given again.",
    ),
    min_score: float | None = typer.Option(
        None,
        min=0.0,
        max=1.0,
        help="Angles are computed anew from joints of at least this score; default: as the table "
        "has them, and 0.3 for --angle.",
    ),
    normalise: bool = typer.Option(
        False, "--normalise", help="Draw each person's time from 0 to 100 %, not in seconds."
    ),
) -> None:
    """Sum up and draw the joint angles of people in clips.

    Writes summary.csv (range of motion, peak speed, left against right) and
    angles.png. Exit code 1: the picture could not be drawn; summary.csv is
    there. 2: misuse.
    """
    _refuse(tables, track, out)
    own = _own(angle)
    courses = []
    for number, table in enumerate(tables):
        found = motion.read(table, own=own, min_score=min_score)
        wanted = track[number % len(track)] if track else None
        courses.append(motion.pick(found, wanted))
        typer.echo(_who(courses[-1], found))
    if not motion_plot.panels(courses):
        advice = "choose another --track, or a lower --min-score"
        raise ValueError(f"{tables[0]}: the person has no angle in any frame; {advice}")
    lines = [summarise(course) for course in courses]
    _show(courses, lines)
    saved = save_text(out / "summary.csv", summary([line for some in lines for line in some]))
    typer.echo(f"summary: {saved}")
    try:
        drawn = motion_plot.draw(out / "angles.png", courses, normalise=normalise)
    except ImportError as fault:
        advice = "pip install matplotlib, which 'posegram[train]' brings, too"
        typer.echo(f"posegram: no picture, for matplotlib is missing ({fault}): {advice}", err=True)
        raise typer.Exit(1) from fault
    typer.echo(f"picture: {drawn}")


def _refuse(tables: Sequence[Path], track: Sequence[int], out: Path) -> None:
    """See that people, tables and the folder go together."""
    if len(track) not in (0, 1, len(tables)):
        count = counted(len(tables), "table")
        raise ValueError(f"--track is given {len(track)} times for {count}: once, or once for each")
    chosen = [track[n % len(track)] if track else None for n in range(len(tables))]
    seen = set()
    for table, number in zip(tables, chosen, strict=True):
        if (table.resolve(), number) in seen:
            why = "give each person's --track, in the order of the tables"
            raise ValueError(f"{table} is given twice for the same person: {why}")
        seen.add((table.resolve(), number))
    if out.exists() and not out.is_dir():
        raise ValueError(f"cannot write {out}: it is a file, wanted a folder for the results")
    for name in ("summary.csv", "angles.png"):
        door.require_apart(out / name, tables)


def _own(angle: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The angles that --angle asks for."""
    own: dict[str, tuple[str, ...]] = {}
    for text in angle:
        name, joints = motion.own_angle(text)
        if name in own:
            raise ValueError(f"--angle {name} is given twice: give each a name of its own")
        own[name] = joints
    return own


def _who(course: Course, found: Sequence[Course]) -> str:
    """Which person of a table was taken, and who else is in it."""
    others = [one for one in found if one is not course]
    more = f"; --track chooses others: {motion.listed(others)}" if others else ""
    return f"{course.source}: track {motion.listed([course])}{more}"


def _show(courses: Sequence[Course], lines: Sequence[Sequence[Line]]) -> None:
    console = Console(width=None if Console().is_terminal else 120)
    for name, some in zip(motion.labels(courses), lines, strict=True):
        numbers = [Column(title, justify="right", no_wrap=True) for title in _COLUMNS]
        table = Table("angle", *numbers, box=box.SIMPLE, title=Text(name), title_justify="left")
        for line in some:
            table.add_row(Text(line.angle), *_row(line))
        console.print(table)


def _row(line: Line) -> tuple[str, ...]:
    """A line's numbers as the screen shows them; a dash where there is none."""
    if math.isnan(line.mean):
        return (f"{line.missing:.0%}", *["-"] * (len(_COLUMNS) - 1))
    return (
        f"{line.missing:.0%}",
        f"{line.mean:.1f}",
        f"{line.min:.1f} to {line.max:.1f}",
        f"{line.range:.1f}",
        f"{line.p5:.1f} to {line.p95:.1f}",
        "-" if math.isnan(line.peak_velocity) else f"{line.peak_velocity:.0f}",
        "-" if math.isnan(line.left_minus_right) else f"{line.left_minus_right:+.1f}",
    )
