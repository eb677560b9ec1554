"""`posegram predict`: photos in; pictures with the joints drawn and JSON out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from posegram import image as pictures
from posegram.data import door, folder
from posegram.infer import boxes as given_boxes
from posegram.infer import records
from posegram.infer.load import load
from posegram.infer.topdown import TopDown
from posegram.pose import BODY19, COCO17, Image, People, Skeleton, convert, skeleton_named

__all__ = ["Form", "predict"]


class Form(StrEnum):
    """How results are written."""

    json = "json"
    coco = "coco"


@dataclass
class _Job:
    """What one run was asked for, and what it has found so far."""

    estimate: TopDown
    skeleton: Skeleton
    out: Path
    form: Form
    threshold: float
    drawn: bool
    given: dict[Path, given_boxes.Given] | None  # by photo; None without a file of boxes
    names: dict[Path, str]  # what each photo's results are called, without suffix
    ids: dict[Path, int]
    done: int = 0  # photos
    people: int = 0
    failed: list[str] = field(default_factory=list)
    entries: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # place in file, entry
    listed: list[dict[str, Any]] = field(default_factory=list)  # images.json


def predict(
    photos: list[Path] = typer.Argument(..., help="Photos, or folders of photos."),
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the results."),
    model: str = typer.Option("", help="A bundled model or an .onnx or .ckpt file."),
    boxes: Path | None = typer.Option(
        None, help="COCO annotation file with people's boxes, matched by file name."
    ),
    form: Form = typer.Option(
        Form.json, "--format", help="A JSON file per photo, or one coco_results.json."
    ),
    skeleton: str = typer.Option(
        "", help="coco17, body19, lsp14 or mpii16; without it, the model's own."
    ),
    threshold: float = typer.Option(0.3, min=0.0, max=1.0, help="Smallest score that is drawn."),
    no_pictures: bool = typer.Option(False, "--no-pictures", help="Write no pictures."),
) -> None:
    """Find people's joints in photos: a picture with the joints drawn and JSON for each.

    Without --boxes, each photo is taken as one person.

    With --format coco, the results of all photos go to coco_results.json,
    one entry per given box in the file's order. Without --boxes, image ids
    are the numbers in COCO-style file names, else positions in name order,
    and images.json lists them.

    Exit code 1: some photos could not be read; they are listed, the others
    are done. Exit code 2: misuse.
    """
    chosen = skeleton_named(skeleton) if skeleton else None
    found, missing = _photos(photos)
    given = _given(boxes, found)
    estimate = load(model)
    _prepare(out)
    job = _Job(
        estimate=estimate,
        skeleton=chosen or _usual(estimate.card.skeleton),
        out=out,
        form=form,
        threshold=threshold,
        drawn=not no_pictures,
        given=given,
        names=_names(found, out),
        ids=dict(zip(found, records.image_ids(found), strict=True)),
        failed=missing,
    )
    for photo in _watched([p for p in found if given is None or p in given]):
        _one(job, photo)
    _finish(job, found)


def _photos(inputs: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Every photo once, folders opened in natural order; and a sentence for each missing path."""
    found: dict[str, Path] = {}
    missing = []
    for path in inputs:
        if not path.exists():
            missing.append(f"there is no file {path}")
            continue
        inside = _in_folder(path) if path.is_dir() else [path]
        for photo in inside:
            found.setdefault(os.path.normpath(photo.absolute()), photo)
    if not found:
        raise FileNotFoundError("; ".join(missing))
    return list(found.values()), missing


def _in_folder(path: Path) -> list[Path]:
    inside = [p for p in folder.images_in(path) if p.suffix.lower() in pictures.SUFFIXES]
    if not inside:
        raise ValueError(f"the folder {path} holds no photo ({', '.join(pictures.SUFFIXES)})")
    return inside


def _given(boxes: Path | None, photos: list[Path]) -> dict[Path, given_boxes.Given] | None:
    if boxes is None:
        return None
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


def _names(photos: Sequence[Path], out: Path) -> dict[Path, str]:
    """A name for each photo's results that overwrites neither a photo nor another's results."""
    # without regard to case, since two such names are one file on some systems
    sources = {os.path.normpath(p.absolute()).casefold() for p in photos}
    used: set[str] = set()
    names = {}
    for photo in photos:
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
    """File name of the picture drawn for a photo: of the same kind where we can write it."""
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
        _fits(photo, image, entry)
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


def _fits(photo: Path, image: Image, entry: given_boxes.Given | None) -> None:
    """Refuse a photo that is not of the size for which its boxes were given."""
    if entry is None or entry.size in (None, image.shape[:2]):
        return
    own, told = (f"{size[1]}x{size[0]}" for size in (image.shape, entry.size or ()))
    raise ValueError(f"{photo} is {own} pixels, but its boxes were given for {told}")


def _note(job: _Job, photo: Path, image: Image, people: People) -> None:
    """Write a photo's JSON, or keep its COCO entries for the end."""
    height, width = image.shape[:2]
    if job.form is Form.json:
        name = job.estimate.card.name
        record = records.photo_record(photo, (height, width), people, name)
        door.save_json(job.out / f"{job.names[photo]}.json", record)
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


def _finish(job: _Job, photos: list[Path]) -> None:
    """Write what covers all photos, say what was done, and fail when a photo failed."""
    if job.form is Form.coco:
        in_order = [entry for _, entry in sorted(job.entries, key=lambda pair: pair[0])]
        door.save_json(job.out / "coco_results.json", in_order)
        if job.given is None:
            door.save_json(job.out / "images.json", job.listed)
    people = "1 person" if job.people == 1 else f"{job.people} people"
    typer.echo(f"{_photo_count(job.done)}, {people} -> {job.out}")
    if job.given is not None and len(job.given) < len(photos):
        left_out = [photo.name for photo in photos if photo not in job.given]
        said = f"{_photo_count(len(left_out))} not in the file of boxes, so left out"
        typer.echo(f"posegram: {said}: {', '.join(left_out[:3])}", err=True)
    if job.failed:
        typer.echo(f"posegram: {_photo_count(len(job.failed))} failed:", err=True)
        for sentence in job.failed:
            typer.echo(f"  {sentence}", err=True)
        raise typer.Exit(1)


def _photo_count(count: int) -> str:
    return "1 photo" if count == 1 else f"{count} photos"
