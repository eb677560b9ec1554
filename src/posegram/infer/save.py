"""What was found in photos, into a file of any form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from posegram import image as pictures
from posegram.data import door
from posegram.data.stream import Shot
from posegram.infer.records import FORMS, image_ids, open_writer
from posegram.infer.whole import LISTED
from posegram.pose import People

__all__ = ["save"]


def save(
    path: str | Path,
    people: Mapping[str, People] | Mapping[Path, People],
    *,
    form: str = "",
    threshold: float = 0.3,
) -> Path:
    """The path of the results written: `save("poses.csv", {"photo.jpg": estimate("photo.jpg")})`.

    Args:
        path: the file, or the folder for `yolo`.
        people: who was found in each photo, by its path; all of one skeleton.
        form: one of `json`, `csv`, `csv-wide`, `coco` (results, with `images.json` beside them),
            `coco-annotations` and `yolo`, see docs/formats.md; by default what the suffix says.
        threshold: the smallest score of a joint that becomes a label (`coco-annotations`, `yolo`)
            or part of an angle (`csv-wide`); other forms hold every joint with its score.

    Raises:
        FileNotFoundError: a photo is missing.
        ValueError: there is no photo, no such form, a photo that is none, or people of several
            skeletons.
        OSError: the folder does not exist, or cannot be written to.
    """
    path, photos = Path(path), [Path(photo) for photo in people]
    skeletons = {some.skeleton for some in people.values()}
    if len(skeletons) != 1:
        said = "no photo" if not skeletons else "people of several skeletons: convert them to one"
        raise ValueError(f"cannot write {path}: there is {said}")
    form = form or path.suffix.lower().removeprefix(".")
    if form not in FORMS:
        raise ValueError(f"cannot write {path}: say form=, one of {', '.join(FORMS)}")
    sizes = [pictures.probe(photo) for photo in photos]
    numbers = image_ids(photos)
    with open_writer(form, path, skeletons.pop(), threshold=threshold) as out:
        for photo, some, size, number in zip(photos, people.values(), sizes, numbers, strict=True):
            out.put(some, Shot(photo, size=size, number=number))
    if form == "coco":
        shots = zip(photos, sizes, numbers, strict=True)
        listed = [
            {"id": number, "file_name": photo.name, "height": size[0], "width": size[1]}
            for photo, size, number in shots
        ]
        door.save_json(path.with_name(LISTED), listed)
    return path
