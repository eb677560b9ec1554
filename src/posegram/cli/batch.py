"""`posegram batch`: very many photos and clips, by several processes or a cluster, part by part."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import islice
from pathlib import Path

import typer

from posegram.cli.bars import bar, watched
from posegram.cli.clips import stoppable
from posegram.cli.photos import TABLE
from posegram.cli.words import SKELETON, counted
from posegram.infer import many, parts
from posegram.infer.many import Look, Plan
from posegram.infer.onnx import physical_cores
from posegram.infer.records import FORMS
from posegram.infer.shards import Row, Shards, Worker

__all__ = ["By", "Merge", "batch"]


class Merge(StrEnum):
    """Forms of one file with everybody, as `records.FORMS` calls them."""

    json = "json"
    coco = "coco"
    coco_annotations = "coco-annotations"
    csv = "csv"
    csv_wide = "csv-wide"


class By(StrEnum):
    """Who does the work, as `executors.EXECUTORS` calls them."""

    local = "local"
    ray = "ray"


_LISTED = 10  # of the files that failed
_TRIAL = 40  # photos that --plan measures
_PROBED = 200  # clips that --plan asks for their length
_FILMED, _FRAMES = 4, 50  # clips of which --plan measures so many frames each
_EFFICIENCY = 0.7  # of several workers beside each other, until it is measured
_STOPPED = 128  # and the signal's number: exit code after Ctrl-C or a kill, as shells count
_INPUTS = "Photos, clips, folders with all below them, or .txt files with a path a line."
_WORKERS = "How many, each with a model of its own and one core; 0: as many as cores."
_AGAIN = "Do parts again in which a file failed, as after a disk that was not mounted."
_ALONE = "Clips: each frame as a photo, no ids; long clips are cut for several workers."
_TOLERATE = "Share of files that may fail before the exit code is 1; 0: none."
_SHARD = "Photos of a part; raise it where there would be more than some 10,000 parts."
_MERGE = "At the end, write all people into one file of that form beside the parts."
_PLAN = "Only tell how long the rest will take: some of its photos are looked at and timed."


def batch(
    inputs: list[Path] = typer.Argument(..., metavar="PATHS", help=_INPUTS),
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the parts."),
    model: str = typer.Option("", help="A bundled model or an .onnx or .ckpt file."),
    detector: str = typer.Option("", help="Finds people: detector:640, a file, or none."),
    executor: By = typer.Option(By.local, help="Processes here, or Ray's actors anywhere."),
    workers: int = typer.Option(0, min=0, help=_WORKERS),
    merge: Merge | None = typer.Option(None, help=_MERGE),
    plan: bool = typer.Option(False, "--plan", help=_PLAN),
    again: bool = typer.Option(False, "--again", help=_AGAIN),
    skeleton: str = typer.Option("", help=SKELETON),
    min_score: float = typer.Option(0.0, min=0.0, max=1.0, help="Smallest score of a person."),
    max_people: int = typer.Option(0, min=0, metavar="N", help="The foremost N; 0 means all."),
    flip: bool = typer.Option(False, "--flip", help="Average with the mirrored crop."),
    every: int = typer.Option(10, min=1, help="Clips: frames between looks of the detector."),
    no_smooth: bool = typer.Option(False, "--no-smooth", help="Clips: joints as they are found."),
    no_follow: bool = typer.Option(False, "--no-follow", help=_ALONE),
    tolerate: float = typer.Option(0.01, min=0.0, max=1.0, help=_TOLERATE),
    shard: int = typer.Option(many.SHARD, min=1, help=_SHARD),
    engine: str = typer.Option("onnxruntime", help="onnxruntime, openvino or auto."),
) -> None:
    """Find people's joints in very many photos and clips; nothing is drawn.

    The results go into parts of 200 photos or one clip (gzipped JSON
    Lines). The same command goes on where a killed run, worker or
    machine left off: only parts that are missing are done.

    With --executor ray the work is done by the cluster that RAY_ADDRESS
    names, whose machines see the same files; without it, here.

    Exit code 1: too many files failed. 2: misuse. 130, 143: stopped.
    """
    look = Look(
        model=model,
        detector=detector,
        engine=engine,
        flip=flip,
        skeleton=skeleton,
        least=min_score,
        most=max_people,
        every=every,
        smooth=not no_smooth,
        follow=not no_follow,
    )
    if plan:
        _require_plain(executor, merge)
        _tell(inputs, out, look, workers, shard, again)
        return
    work = many.cut(inputs, out, look, shard=shard)
    if again:
        many.forget_failed(work)
    before = len(work.shards) - len(work.left)
    if before:
        typer.echo(f"posegram: {counted(before, 'part')} done before", err=True)
    stopped = _work(work, str(executor), workers)
    if stopped and work.left:
        left = counted(len(work.left), "part")
        typer.echo(f"posegram: stopped; the same command does the other {left}", err=True)
        raise typer.Exit(_STOPPED + stopped)
    _finish(work, merge, tolerate)


def _require_plain(executor: By, merge: Merge | None) -> None:
    """See that nothing is asked of --plan that it does not do."""
    if merge is not None:
        raise ValueError("--plan writes no results, so --merge has no meaning beside it")
    if executor is not By.local:
        raise ValueError(f"--plan times photos here, so leave --executor {executor} out")


def _work(work: Plan, executor: str, workers: int) -> int:
    """Do what is left, with a bar on a terminal; the signal that stopped it, or 0."""
    total = sum(len(rows) for rows in work.left.values())
    with stoppable() as stopped, closing(many.run(work, executor, workers)) as done, bar() as shown:
        task = shown.add_task("files", total=total)
        for part in done:
            shown.advance(task, len(work.shards[part]))
            if stopped():
                typer.echo("posegram: finishing what is under way; Ctrl-C again: at once", err=True)
                break
        return stopped()


@dataclass(frozen=True)
class _Trial:
    """What some photos or frames took of so many."""

    count: int
    timed: int = 0
    seconds: float = 0.0  # of one
    size: float = 0.0  # bytes of one in a part
    longest: int = 1  # of those that one worker does in any case

    def __str__(self) -> str:
        return f"{self.seconds * 1000:.0f} ms each on one core ({self.timed:,} timed)"


def _tell(inputs: list[Path], out: Path, look: Look, workers: int, shard: int, again: bool) -> None:
    """Time some photos and frames, and say what all that are left would take."""
    workers = workers or physical_cores()
    with tempfile.TemporaryDirectory() as folder:
        work = many.cut(inputs, folder, look, shard=shard)
        left = _left(work, out, again=again)
        photos = [row for rows in left.values() for row in rows if not row.is_clip]
        clips = [row for rows in left.values() for row in rows if row.is_clip]
        worker, trials = Worker(look, work.skeleton), list[_Trial]()
        if photos:
            some, wanted = _spread(photos, _TRIAL), _Trial(len(photos))
            trials.append(_timed(worker, some, wanted, Path(folder)))
            typer.echo(f"{counted(len(photos), 'photo')}, {trials[-1]}")
        if clips:
            some, wanted = _lengths(clips)
            trials.append(_timed(worker, some, wanted, Path(folder)))
            said = f"{counted(wanted.count, 'frame')}, {trials[-1]}" if some else "not timed"
            typer.echo(f"{counted(len({row.path for row in clips}), 'clip')}, {said}")
    timed = [trial for trial in trials if trial.timed]
    if timed:
        side_by_side = 3600 * workers * (_EFFICIENCY if workers > 1 else 1.0)
        hours = sum(trial.count * trial.seconds for trial in timed) / side_by_side
        alone = max(trial.longest * trial.seconds for trial in timed) / 3600
        size = sum(trial.count * trial.size for trial in timed) / 1e6
        typer.echo(f"{counted(workers, 'worker')}: {_long(max(hours, alone))}, {size:,.1f} MB")
    before = len(work.shards) - len(left)
    typer.echo(f"{counted(len(work.shards), 'part')}{f', {before:,} done before' * bool(before)}")


def _spread(rows: list[Row], most: int) -> list[Row]:
    """So many rows at most, from all over the list."""
    return rows[:: max(1, len(rows) // most)][:most]


def _timed(worker: Worker, rows: list[Row], wanted: _Trial, folder: Path) -> _Trial:
    """The same trial with what those rows took."""
    if not rows:
        return wanted
    worker.shard(folder / "first", rows[:1])  # the first look takes longer
    start, made = time.perf_counter(), list[parts.Line]()
    for row in watched(rows, "trial"):
        made += worker.lines(row)
    count = max(1, len(made))
    seconds = (time.perf_counter() - start) / count
    size = parts.save(folder / "trial", made).stat().st_size / count
    return replace(wanted, timed=len(made), seconds=seconds, size=size)


def _lengths(clips: list[Row]) -> tuple[list[Row], _Trial]:
    """Beginnings of some clips, to be timed, and how many frames all have."""
    from posegram.video import probe  # brings PyAV, which photos do not need

    frames, rates = dict[Row, int](), dict[Row, float]()
    probed = _spread(clips, _PROBED)
    for row in watched(probed, "clips"):
        with suppress(OSError, ValueError):  # a broken clip takes no time
            clip = probe(row.path)
            seconds = (clip.seconds or 0.0) if row.end is None else row.end
            frames[row], rates[row] = round((seconds - row.start) * clip.fps), clip.fps
    count = round(sum(frames.values()) * len(clips) / len(probed))
    chosen = _spread([row for row in frames if frames[row] > 0], _FILMED)
    some = [row._replace(end=row.start + _FRAMES / rates[row]) for row in chosen]
    return some, _Trial(count, longest=max(frames.values(), default=0))


def _left(work: Plan, out: Path, *, again: bool) -> Shards:
    """The shards without a part in that folder, or with one that is to be done again."""

    def is_done(part: Path) -> bool:
        made = out / part.name
        return made.exists() and not (again and parts.count_of(made).failed)

    return {part: rows for part, rows in work.shards.items() if not is_done(part)}


def _long(hours: float) -> str:
    if hours >= 1:
        return f"about {hours:,.1f} hours"
    return f"about {max(1, round(hours * 60)):d} min" if hours > 1 / 60 else "less than a minute"


def _finish(work: Plan, merge: Merge | None, tolerate: float) -> None:
    """Say what was done and merge it, and fail when more files failed than that share, or all."""
    told = many.report(work)
    total, done = told.count, told.parts
    images, people = counted(total.images, "image"), counted(total.people, "person", "people")
    typer.echo(f"{images}, {people}, {counted(len(done), 'part')} -> {work.out}")
    if merge is not None:
        path = work.out / f"{TABLE}{FORMS[str(merge)]}"
        parts.merge(work.out, str(merge), path, work.skeleton, watch=partial(watched, what="parts"))
        typer.echo(f"all of them -> {path}")
    if total.failed:
        for said in islice(parts.failures(done), _LISTED):
            typer.echo(f"posegram: {said}", err=True)
        more = total.failed - _LISTED
        if more > 0:
            typer.echo(f"posegram: and {more:,} more, in lines with an error", err=True)
        share = f"{total.failed:,} of {counted(told.files, 'file')} failed"
        allowed = f"--tolerate allows {100 * tolerate:g} %"
        typer.echo(f"posegram: {share} ({_percent(told.failed_share)}); {allowed}", err=True)
        if told.failed_share > tolerate or not total.images:
            raise typer.Exit(1)


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %" if share >= 5e-5 else "under 0.01 %"
