"""`posegram batch`: very many photos and clips, by several processes or a cluster, part by part."""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
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
from posegram.infer.shards import Shards, Worker

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
_EFFICIENCY = 0.7  # of several workers beside each other, until it is measured
_STOPPED = 128  # and the signal's number: exit code after Ctrl-C or a kill, as shells count
_INPUTS = "Photos, clips, folders with all below them, or .txt files with a path a line."
_WORKERS = "How many, each with a model of its own and one core; 0: as many as cores."
_AGAIN = "Do parts again in which a file failed, as after a disk that was not mounted."
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
    shard: int = typer.Option(many.SHARD, min=1, help=_SHARD),
    engine: str = typer.Option("onnxruntime", help="onnxruntime, openvino or auto."),
) -> None:
    """Find people's joints in very many photos and clips; nothing is drawn.

    The results go into parts of 200 photos or one clip (gzipped JSON
    Lines). The same command goes on where a killed run, worker or
    machine left off: only parts that are missing are done.

    With --executor ray the work is done by the cluster that RAY_ADDRESS
    names, whose machines see the same files; without it, here.

    Exit code 1: what failed is listed. 2: misuse. 130, 143: stopped.
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
    _finish(work, merge)


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


def _tell(inputs: list[Path], out: Path, look: Look, workers: int, shard: int, again: bool) -> None:
    """Time some photos, and say what all that are left would take."""
    workers = workers or physical_cores()
    with tempfile.TemporaryDirectory() as folder:
        work = many.cut(inputs, folder, look, shard=shard)
        left = _left(work, out, again=again)
        rows = [row for some in left.values() for row in some]
        photos = [row for row in rows if not row.is_clip]
        worker = Worker(look, work.skeleton)
        chosen = photos[:: max(1, len(photos) // _TRIAL)][:_TRIAL]
        made = []
        worker.shard(Path(folder) / "first", chosen[:1])  # the first look takes longer
        start = time.perf_counter()
        for row in watched(chosen, "photos"):
            made += worker.lines(row)
        seconds = (time.perf_counter() - start) / max(1, len(chosen))
        parts.save(Path(folder) / "trial", made)
        size = (Path(folder) / "trial").stat().st_size / max(1, len(chosen))
    if chosen:
        hours = len(photos) * seconds / (3600 * workers * (_EFFICIENCY if workers > 1 else 1.0))
        each = f"{seconds * 1000:.0f} ms each on one core ({counted(len(chosen), 'photo')} timed)"
        typer.echo(f"{counted(len(photos), 'photo')}, {each}")
        typer.echo(
            f"{counted(workers, 'worker')}: {_long(hours)}, {len(photos) * size / 1e6:,.1f} MB"
        )
    if len(rows) > len(photos):
        typer.echo(f"{counted(len(rows) - len(photos), 'clip')}, not timed")
    before = len(work.shards) - len(left)
    typer.echo(f"{counted(len(work.shards), 'part')}{f', {before:,} done before' * bool(before)}")


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


def _finish(work: Plan, merge: Merge | None) -> None:
    """Say what was done and merge it, and fail when a file failed."""
    done = list(work.shards)
    total = many.total(done)
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
        typer.echo(f"posegram: {counted(total.failed, 'file')} failed", err=True)
        raise typer.Exit(1)
