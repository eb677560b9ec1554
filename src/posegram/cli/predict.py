"""`posegram predict`: photos and clips in; the same with the joints drawn, and JSON, out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from posegram import image as pictures
from posegram.cli.clips import CLIPS, Cut, film_clip, stoppable
from posegram.data import door, folder
from posegram.data.stream import Shot, Stream
from posegram.infer import boxes as given_boxes
from posegram.infer import records
from posegram.infer.detect import ranked
from posegram.infer.load import load
from posegram.infer.topdown import TopDown
from posegram.pose import BODY19, COCO17, Image, People, Skeleton, convert, skeleton_named

__all__ = ["Form", "predict"]

_INTERRUPTED = 130  # exit code after Ctrl-C, as shells count


class Form(StrEnum):
    """How results are written."""

    json = "json"
    coco = "coco"
    annotations = "coco-annotations"
    yolo = "yolo"
    csv = "csv"
    wide = "csv-wide"


@dataclass
class _Job:
    """What one run was asked for, and what it has found so far."""

    estimate: TopDown
    cut: Cut  # of clips
    skeleton: Skeleton
    out: Path
    form: Form
    threshold: float
    drawn: bool
    given: dict[Path, given_boxes.Given] | None  # by photo; None without a file of boxes
    names: dict[Path, str]  # what the results of each input are called, without suffix
    ids: dict[Path, int]
    table: Stream | None = None  # of all photos, in the forms that are one file
    done: int = 0  # photos
    people: int = 0
    failed: list[str] = field(default_factory=list)
    stopped: bool = False
    entries: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # place in file, entry
    listed: list[dict[str, Any]] = field(default_factory=list)  # images.json


def predict(
    inputs: list[Path] = typer.Argument(
        ..., metavar="PATHS", help="Photos, clips, or folders of either."
    ),
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the results."),
    model: str = typer.Option("", help="A bundled model or an .onnx or .ckpt file."),
    weights: str = typer.Option("", help="Of keypoint-rcnn: a .pth file, not the download."),
    boxes: Path | None = typer.Option(
        None, help="COCO annotation file with people's boxes, matched by file name."
    ),
    detector: str = typer.Option(
        "", help="Finds the people: an .onnx file, or none: a photo is one person."
    ),
    form: Form = typer.Option(
        Form.json, "--format", help="A JSON file each, or another form of results."
    ),
    skeleton: str = typer.Option("", help="coco17, body19, lsp14 or mpii16; else the model's."),
    threshold: float = typer.Option(0.3, min=0.0, max=1.0, help="Smallest score that is drawn."),
    no_pictures: bool = typer.Option(False, "--no-pictures", help="Write no pictures or clips."),
    every: int = typer.Option(
        10, min=1, help="Clips: frames from one look of the person detector to the next."
    ),
    no_smooth: bool = typer.Option(False, "--no-smooth", help="Clips: joints as they are found."),
    start: float = typer.Option(0.0, min=0.0, help="Clips: seconds at which to begin."),
    end: float | None = typer.Option(None, min=0.0, help="Clips: seconds at which to stop."),
    stride: int = typer.Option(1, min=1, help="Clips: take every n-th frame."),
) -> None:
    """Find people's joints in photos and clips: a copy with the joints drawn and JSON for each.

    The people are found first, unless --boxes tells where they are. With
    --format coco, image ids are the numbers in COCO-style file names, else
    positions in name order, and images.json lists them; unlikely people in
    photos are listed, too, for COCO's metric ranks them. A clip gives an
    .mp4 with its sound and a .csv, too. Ctrl-C ends in good order.

    Exit code 1: some inputs could not be read, or not to their end; they are
    listed, the others are done. Exit code 2: misuse.
    """
    chosen = skeleton_named(skeleton) if skeleton else None
    everything, missing = _found(inputs)
    found = [path for path in everything if not _is_clip(path)]
    clips = [path for path in everything if _is_clip(path)]
    given = _given(boxes, found, clips)
    estimate = load(model, detector=detector if boxes is None else "none", weights=weights)
    _prepare(out)
    job = _Job(
        estimate=ranked(estimate) if form is Form.coco and not clips else estimate,
        cut=Cut(every, not no_smooth, start, end, stride),
        skeleton=chosen or _usual(estimate.card.skeleton),
        out=out,
        form=form,
        threshold=threshold,
        drawn=not no_pictures,
        given=given,
        names=_names(everything, out),
        ids=dict(zip(found, records.image_ids(found), strict=True)),
        failed=missing,
    )
    _work(job, found, clips)
    _finish(job, found, clips)


def _work(job: _Job, found: list[Path], clips: list[Path]) -> None:
    """Do one photo and one clip after another, until all are done or Ctrl-C is pressed."""
    given = job.given
    with stoppable() as stopped, _shared_table(job, found):
        for photo in _watched([p for p in found if given is None or p in given]):
            _one(job, photo)
            if stopped():
                break
        for clip in clips:
            if not stopped():
                _film(job, clip, stopped)
        job.stopped = stopped()


def _is_clip(path: Path) -> bool:
    return path.suffix.lower() in CLIPS


def _found(inputs: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Every file once, folders opened in natural order; and a sentence for each missing path."""
    found: dict[str, Path] = {}
    missing = []
    for path in inputs:
        if not path.exists():
            missing.append(f"there is no file {path}")
            continue
        for file in _in_folder(path) if path.is_dir() else [path]:
            found.setdefault(os.path.normpath(file.absolute()), file)
    if not found:
        raise FileNotFoundError("; ".join(missing))
    return list(found.values()), missing


def _in_folder(path: Path) -> list[Path]:
    known = (*pictures.SUFFIXES, *CLIPS)
    inside = folder.images_in(path, suffixes=known)
    if not inside:
        raise ValueError(f"the folder {path} holds no photo or clip ({', '.join(known)})")
    return inside


def _given(
    boxes: Path | None, photos: list[Path], clips: list[Path]
) -> dict[Path, given_boxes.Given] | None:
    if boxes is None:
        return None
    if clips:
        raise ValueError(f"--boxes is for photos; {clips[0]} is a clip")
    matched = given_boxes.match(photos, given_boxes.read_boxes(boxes))
    if not matched:
        raise ValueError(f"{boxes} lists none of the photos ({len(photos)}) by file name")
    return matched


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise OSError(f"cannot make the folder {out} for the results: {fault.strerror}") from fault
    if not os.access(out, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to the folder {out}")


def _usual(skeleton: Skeleton) -> Skeleton:
    """The joints to write without --skeleton: the model's own, but COCO's for our 19."""
    return COCO17 if skeleton == BODY19 else skeleton


def _names(inputs: Sequence[Path], out: Path) -> dict[Path, str]:
    """A name for each input's results that overwrites neither an input nor another's results."""
    # without regard to case, since two such names are one file on some systems
    sources = {os.path.normpath(p.absolute()).casefold() for p in inputs}
    used: set[str] = set()
    names = {}
    for photo in inputs:
        name, count = photo.stem, 1
        while (
            name.casefold() in used
            or os.path.normpath((out / _picture(photo, name)).absolute()).casefold() in sources
        ):
            count += 1
            name = f"{photo.stem}_{count}"
        used.add(name.casefold())
        names[photo] = name
    return names


def _picture(photo: Path, name: str) -> str:
    """File name of what is drawn for an input: of the same kind where we can write it."""
    if _is_clip(photo):
        return f"{name}.mp4"
    return name + (photo.suffix if photo.suffix.lower() in pictures.SUFFIXES else ".jpg")


def _watched(photos: list[Path]) -> Iterator[Path]:
    """The photos one by one, with a bar on a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
    bar.disable = not console.is_terminal
    with bar:
        yield from bar.track(photos, description="photos")


def _one(job: _Job, photo: Path) -> None:
    """Find, draw and note the people of one photo; a photo that cannot be read is noted instead."""
    try:
        image = pictures.read(photo)
        entry = None if job.given is None else job.given[photo]
        if entry is not None:
            entry.require(photo, image.shape[:2])
    except (OSError, ValueError) as fault:
        job.failed.append(str(fault))
        return
    found = job.estimate(image, None if entry is None else entry.box)
    people = convert(found, job.skeleton)
    job.done += 1
    job.people += len(people)
    _note(job, photo, image, people)
    if job.drawn:
        drawn = pictures.draw(image, people, threshold=job.threshold, boxes=job.given is not None)
        pictures.write(job.out / _picture(photo, job.names[photo]), drawn)


def _note(job: _Job, photo: Path, image: Image, people: People) -> None:
    """Write a photo's JSON or rows, or keep its COCO entries for the end."""
    height, width = image.shape[:2]
    if job.form is Form.json:
        name = job.estimate.card.name
        record = records.photo_record(photo, (height, width), people, name)
        door.save_json(job.out / f"{job.names[photo]}.json", record)
    elif job.table is not None:
        job.table.put(people, Shot(photo, size=(height, width), number=job.ids[photo]))
    elif job.given is None:
        number = job.ids[photo]
        places = [len(job.entries) + n for n in range(len(people))]
        job.entries += zip(places, records.coco_entries(people, number), strict=True)
        entry = {"id": number, "file_name": photo.name, "width": width, "height": height}
        job.listed.append(entry)
    else:
        given = job.given[photo]
        entries = records.coco_entries(people, given.image_id, given.categories)
        job.entries += zip(given.places, entries, strict=True)


@contextmanager
def _shared_table(job: _Job, photos: Sequence[Path]) -> Iterator[None]:
    """The one file of all photos' results, in the forms that are one file."""
    if job.form in (Form.json, Form.coco) or not photos:
        yield
        return
    path = job.out / f"photos{records.FORMS[job.form]}"
    model, threshold = job.estimate.card.name, job.threshold
    with records.open_writer(
        job.form, path, job.skeleton, model=model, threshold=threshold
    ) as job.table:
        yield


def _film(job: _Job, clip: Path, stopped: Callable[[], bool]) -> None:
    """Find, draw and write the people of one clip; one that cannot be read is noted instead."""
    try:
        made = film_clip(
            job.estimate,
            clip,
            job.out,
            job.names[clip],
            job.form,
            skeleton=job.skeleton,
            model=job.estimate.card.name,
            threshold=job.threshold,
            drawn=job.drawn,
            cut=job.cut,
            stopped=stopped,
        )
    except (OSError, ValueError) as fault:
        job.failed.append(str(fault))
        return
    typer.echo(made.sentence)
    if made.fault:
        job.failed.append(made.fault)


def _finish(job: _Job, photos: list[Path], clips: list[Path]) -> None:
    """Write what covers all photos, say what was done, and fail when an input failed."""
    if job.form is Form.coco and photos:
        in_order = [entry for _, entry in sorted(job.entries, key=lambda pair: pair[0])]
        door.save_json(job.out / "coco_results.json", in_order)
        if job.given is None:
            door.save_json(job.out / "images.json", job.listed)
    people = "1 person" if job.people == 1 else f"{job.people} people"
    if photos or not clips:
        typer.echo(f"{_photo_count(job.done)}, {people} -> {job.out}")
    if job.given is not None and len(job.given) < len(photos):
        left_out = [photo.name for photo in photos if photo not in job.given]
        said = f"{_photo_count(len(left_out))} not in the file of boxes, so left out"
        typer.echo(f"posegram: {said}: {', '.join(left_out[:3])}", err=True)
    _confess(job, "photo" if not clips else "file")


def _confess(job: _Job, kind: str) -> None:
    """Say what failed, and leave with the exit code for it."""
    if job.stopped:
        typer.echo("posegram: stopped; what was done until then is complete", err=True)
    if job.failed:
        count = len(job.failed)
        typer.echo(f"posegram: {count} {kind}{'s' * (count > 1)} failed:", err=True)
    for sentence in job.failed:
        typer.echo(f"  {sentence}", err=True)
    if job.failed or job.stopped:
        raise typer.Exit(_INTERRUPTED if job.stopped else 1)


def _photo_count(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"
