"""Photos for `posegram predict`: looked at, drawn and written; what fails is noted."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from posegram import image as pictures
from posegram.cli.clips import Cut
from posegram.data.stream import Shot, Stream, person_scores, save_text
from posegram.infer import boxes as given_boxes
from posegram.infer import records
from posegram.infer.detect import ranked
from posegram.infer.topdown import TopDown
from posegram.infer.whole import LISTED
from posegram.pose import Image, People, Skeleton, convert
from posegram.track import foremost

__all__ = ["TABLE", "Form", "Job", "Seen", "distinct", "look", "note", "picture_name", "saved"]

TABLE = "photos"  # what the one file of all photos' results is called, before its form's ending


class Form(StrEnum):
    """How results are written."""

    json = "json"
    coco = "coco"
    annotations = "coco-annotations"
    yolo = "yolo"
    csv = "csv"
    wide = "csv-wide"


@dataclass
class Job:
    """What one run was asked for, and what it has found so far."""

    estimate: TopDown
    cut: Cut  # of clips
    skeleton: Skeleton
    out: Path
    form: Form
    threshold: float
    min_score: float  # of a person; who has less is left out
    most: int  # people of a photo or a frame that are kept, the foremost ones; 0 for all
    drawn: bool
    given: dict[Path, given_boxes.Given] | None  # by photo; None without a file of boxes
    names: dict[Path, str]  # what the results of each input are called, without suffix
    labels: dict[Path, str]  # the same for photos' YOLO labels, which belong to pictures by name
    ids: dict[Path, int]
    places: dict[Path, str]  # file name of each input, with the folders below the one given
    table: Stream | None = None  # of all photos, in the forms that are one file
    done: int = 0  # photos
    people: int = 0
    failed: list[str] = field(default_factory=list)
    stopped: int = 0  # by this signal
    entries: list[tuple[int, dict[str, Any]]] = field(default_factory=list)  # place in file, entry
    listed: list[dict[str, Any]] = field(default_factory=list)  # images.json
    # of photos: for COCO's metric it keeps also who is unlikely, and who is not counted
    of_photos: TopDown = field(init=False)
    least: float = 0.0  # score of somebody's best joint from which on they are counted

    def __post_init__(self) -> None:
        self.of_photos = ranked(self.estimate) if self.form is Form.coco else self.estimate
        if self.of_photos is not self.estimate:
            # scores have the root of the box's probability, the estimate's threshold the whole
            self.least = math.sqrt(self.estimate.least)


def picture_name(path: Path, name: str) -> str:
    """File name of what is drawn for a photo: of the same kind where we can write it."""
    return name + (path.suffix if path.suffix.lower() in pictures.WRITTEN else ".jpg")


def distinct(
    places: Mapping[Path, str], taken: Callable[[Path, str], bool] = lambda path, name: False
) -> dict[Path, str]:
    """Each name without its suffix, with a number behind it where that is another's or `taken`."""
    own = {path: PurePosixPath(place).with_suffix("").as_posix() for path, place in places.items()}
    # without regard to case, since two such names are one file on some systems
    used, stems = set[str](), {stem.casefold() for stem in own.values()}
    names = {}
    for path, stem in own.items():
        name, count = stem, 1
        while name.casefold() in used or taken(path, name):
            count += 1
            while f"{stem}_{count}".casefold() in stems:
                count += 1
            name = f"{stem}_{count}"
        used.add(name.casefold())
        names[path] = name
    return names


@dataclass(frozen=True, eq=False)
class Seen:
    """What became of one photo."""

    photo: Path
    people: People | None = None  # in the wanted skeleton; None where it could not be looked at
    size: tuple[int, int] = (0, 0)  # height, width
    counted: int = 0  # people
    faults: tuple[str, ...] = ()


def look(job: Job, photo: Path) -> Seen:
    """Find and draw the people of one photo and write their file, if they have one of their own.

    The job stays as it is, so that several photos can be looked at side by side.
    """
    try:
        image = pictures.read(photo)
        entry = None if job.given is None else job.given[photo]
        if entry is not None:
            given_boxes.require_size(photo, image.shape[:2], entry.size)
    except (OSError, ValueError) as fault:
        return Seen(photo, faults=(str(fault),))
    try:
        found = job.of_photos(image, None if entry is None else entry.box)
    except ValueError as fault:
        return Seen(photo, faults=(f"{photo}: {fault}",))
    found = found[person_scores(convert(found, job.skeleton)) >= job.min_score]
    found = foremost(found, job.most)
    people = convert(found, job.skeleton)
    height, width = image.shape[:2]
    counted = int((found.score.max(axis=1, initial=0) >= job.least).sum())
    faults: tuple[str, ...] = ()
    try:
        if job.form is Form.json:
            _save(job, photo, (height, width), people)
        if job.drawn:
            faults = _draw(job, photo, image, people)
    except (OSError, ValueError) as fault:
        return Seen(photo, faults=(str(fault),))
    return Seen(photo, people, (height, width), counted, faults)


def _save(job: Job, photo: Path, size: tuple[int, int], people: People) -> None:
    """Write a photo's JSON."""
    record = records.photo_record(photo, size, people, job.estimate.card.name)
    save_text(job.out / f"{job.names[photo]}.json", json.dumps(record, allow_nan=False))


def _draw(job: Job, photo: Path, image: Image, people: People) -> tuple[str, ...]:
    """Write the photo with its people; a sentence where that fails."""
    path = job.out / picture_name(photo, job.names[photo])
    drawn = pictures.draw(image, people, threshold=job.threshold, boxes=job.given is not None)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pictures.write(path, drawn)
    except (OSError, ValueError) as fault:
        # without a reason of the system's, it is a sentence already
        why = getattr(fault, "strerror", None)
        return (str(fault) if why is None else f"cannot write {path}: {why}",)
    return ()


def note(job: Job, seen: Seen) -> None:
    """Add what became of a photo to the job: rows, COCO entries, counts and faults."""
    job.failed += seen.faults
    if seen.people is None:
        return
    with _noted(job):
        _list(job, seen.photo, seen.size, seen.people)
        job.done += 1
        job.people += seen.counted


def _list(job: Job, photo: Path, size: tuple[int, int], people: People) -> None:
    """Write a photo's rows, or keep its COCO entries for the end."""
    if job.form is Form.json:
        return
    if job.table is not None:
        number, label = job.ids[photo], job.labels[photo]
        job.table.put(
            people, Shot(photo, size=size, number=number, place=job.places[photo], label=label)
        )
    elif job.given is None:
        number = job.ids[photo]
        places = [len(job.entries) + n for n in range(len(people))]
        job.entries += zip(places, records.coco_entries(people, number), strict=True)
        listed = {"id": number, "file_name": job.places[photo]}
        job.listed.append(listed | {"width": size[1], "height": size[0]})
    else:
        given = job.given[photo]
        entries = records.coco_entries(people, given.image_id, given.categories)
        job.entries += zip(given.places, entries, strict=True)


@contextmanager
def saved(job: Job, photos: Sequence[Path]) -> Iterator[None]:
    """The files that cover all photos; what was found is in them also when the work breaks off.

    A file that cannot be opened is refused; one that cannot be finished is noted.
    """
    if job.form is Form.json or not photos:
        yield
    elif job.form is Form.coco:
        try:
            yield
        finally:
            with _noted(job):
                _save_coco(job)
    else:
        path = job.out / f"{TABLE}{records.FORMS[job.form]}"
        model, threshold, drawn = job.estimate.card.name, job.threshold, job.drawn
        job.table = records.open_writer(
            job.form, path, job.skeleton, model=model, threshold=threshold, pictures=drawn
        )
        with job.table:
            yield
            with _noted(job):
                job.table.close()


def _save_coco(job: Job) -> None:
    """Write the COCO results, and without a file of boxes the list of the photos' ids."""
    entries = [entry for _, entry in sorted(job.entries, key=lambda pair: pair[0])]
    save_text(job.out / "coco_results.json", json.dumps(entries, allow_nan=False))
    if job.given is None:
        save_text(job.out / LISTED, json.dumps(job.listed))


@contextmanager
def _noted(job: Job) -> Iterator[None]:
    """A file that cannot be written costs nothing else: it is noted."""
    try:
        yield
    except (OSError, ValueError) as fault:
        job.failed.append(str(fault))
