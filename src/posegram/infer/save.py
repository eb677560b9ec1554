"""What was found in photos, into a file of any form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
    folder = door.common_folder(photos)
    shots = [
        Shot(photo, size=size, number=number, place=door.within(photo, folder), label=label)
        for photo, size, number, label in zip(photos, sizes, numbers, _labels(photos), strict=True)
    ]
    with open_writer(form, path, skeletons.pop(), threshold=threshold) as out:
        for shot, some in zip(shots, people.values(), strict=True):
            out.put(some, shot)
    if form == "coco":
        listed = [
            {"id": s.number, "file_name": s.place, "height": size[0], "width": size[1]}
            for s, size in zip(shots, sizes, strict=True)
        ]
        door.save_json(path.with_name(LISTED), listed)
    return path


def _labels(photos: Sequence[Path]) -> list[str]:
    """What each photo's file of labels is called: its stem, with a number where others have it."""
    seen: Counter[str] = Counter()
    found = []
    for photo in photos:
        seen[photo.stem] += 1
        found.append(photo.stem if seen[photo.stem] == 1 else f"{photo.stem}_{seen[photo.stem]}")
    return found
