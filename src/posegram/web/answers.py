"""The people found in one picture as the files that a visitor may take along."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Response, request

from posegram import image as pictures
from posegram.data import door, joints
from posegram.infer import records
from posegram.pose import Image, People, convert, skeleton_named
from posegram.web.errors import Refused

__all__ = ["FORMS", "MOST", "OVERLAY", "Form", "chosen", "unnamed", "usual", "write"]


@dataclass(frozen=True)
class Form:
    """A format that results come in."""

    suffix: str  # of the result's address
    mimetype: str
    file: str  # its name in a result's folder, and for the visitor
    writer: str = ""  # name of the form of `records.open_writer`


FORMS = {
    form.suffix: form
    for form in (
        Form("json", "application/json", "poses.json"),
        Form("coco", "application/vnd.coco+json", "coco.json", "coco-annotations"),
        Form("csv", "text/csv", "poses.csv", "csv"),
        Form("csv-wide", "text/csv", "poses_wide.csv", "csv-wide"),
        Form("jpg", "image/jpeg", "overlay.jpg"),
    )
}
OVERLAY = FORMS["jpg"]
MOST = 1000  # people that can be asked for


def chosen(named: str) -> Form:
    """The format that a request asks for: by name, else by its Accept header, else JSON.

    Of formats of one media type, the header means the first; the others are had by name.

    Raises:
        Refused: 406, it accepts none of them.
    """
    if named:
        return FORMS[named]
    kinds: dict[str, Form] = {}
    for form in FORMS.values():
        kinds.setdefault(form.mimetype, form)
    if not request.accept_mimetypes:
        return FORMS["json"]
    best = request.accept_mimetypes.best_match(list(kinds))
    if best is None:
        raise Refused(406, f"Results come as {', '.join(kinds)}.")
    return kinds[best]


def unnamed(file: Response) -> Response:
    """A file without a name: browsers would take it instead of the one that the page's link has."""
    file.headers.remove("Content-Disposition")
    return file


def usual(people: People, skeleton: str = "") -> People:
    """People in the skeleton asked for, or in the usual one of their own."""
    own = people.skeleton
    return convert(people, skeleton_named(skeleton) if skeleton else joints.usual(own))


def write(
    folder: Path, record: dict[str, Any], image: Image, people: People, threshold: float
) -> dict[str, Any]:
    """Write a picture's people into a folder in every format; the JSON object.

    Args:
        folder: is there, and empty.
        record: what the JSON object begins with: `id` and the like; with `model`.
        image: (H, W, 3) uint8 RGB.
        people: who was found.
        threshold: the smallest score that is drawn, that counts as labelled in COCO and that has
            a part in an angle.
    """
    height, width = image.shape[:2]
    name = Path("photo.jpg")  # tables are passed on, and the id is the key to the result
    found = records.photo_record(name, (height, width), people, record["model"])
    del found["image"]  # the client knows what it sent
    whole = record | found
    drawn = pictures.draw(image, people, threshold=threshold)
    pictures.write(folder / OVERLAY.file, drawn)
    for form in FORMS.values():
        if form.writer:
            path, model = folder / form.file, record["model"]
            with records.open_writer(
                form.writer, path, people.skeleton, model=model, threshold=threshold
            ) as out:
                out.add(people, image=name, size=(height, width))
    door.save_json(folder / FORMS["json"].file, whole)
    return whole
