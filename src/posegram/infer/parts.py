"""Parts: the files in which `predict_many` keeps people, 200 photos or one clip, or a piece of a
clip, in each.

A part is gzipped JSON Lines. Its first line is the heading (`images`, `people`, `failed`: how
many), every other one a photo or a frame, in order: `image`, the file; `size`, height and width;
`xy`, one list a person of x, y in image pixels, joint by joint, null where there is none; `score`
of the joints and `box` of each person; of frames also `frame`, `time` in seconds and `track`, the
people's ids. A file that could not be looked at has `image` and `error` alone.

`parts.json` beside them names the parts in order, the joints and what found them.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from posegram.data import door
from posegram.data.stream import Shot, save_bytes, save_text
from posegram.infer.label import from_record, to_record
from posegram.infer.records import FORMS, image_ids, open_writer
from posegram.pose import People, Skeleton

__all__ = [
    "INDEX",
    "MERGED",
    "Count",
    "Line",
    "count_of",
    "failure",
    "failures",
    "index",
    "line",
    "lines",
    "merge",
    "save",
]

INDEX = "parts.json"
MERGED = tuple(form for form in FORMS if form != "yolo")  # which is a folder, not one file

Line = dict[str, Any]
Watch = Callable[[Sequence[Path]], Iterable[Path]]  # shows progress while it is walked through


@dataclass(frozen=True)
class Count:
    """What a part holds."""

    images: int = 0  # photos and frames that were looked at
    people: int = 0
    failed: int = 0  # files


def line(
    image: Path,
    people: People,
    size: tuple[int, int],
    frame: int | None = None,
    time: float | None = None,
) -> Line:
    """The line of a photo of that height and width, or of a clip's frame."""
    made: Line = {"image": image.as_posix()}
    if frame is not None:
        made |= {"frame": frame, "time": None if time is None else round(time, 6)}
    made |= to_record(people, size)
    return made if people.track is None else made | {"track": people.track.tolist()}


def failure(image: Path, why: str) -> Line:
    """The line of a file that could not be looked at."""
    return {"image": image.as_posix(), "error": why}


def save(path: Path, made: Sequence[Line]) -> Path:
    """Write a part, whole or not at all, and give its path; the same lines make the same bytes."""
    failed = sum("error" in one for one in made)
    people = sum(len(one.get("score", ())) for one in made)
    count = Count(len(made) - failed, people, failed)
    text = "".join(json.dumps(one, allow_nan=False) + "\n" for one in [vars(count), *made])
    return save_bytes(path, gzip.compress(text.encode("utf-8"), mtime=0), surely=True)


def count_of(path: Path) -> Count:
    """What a part holds, by its heading; errors as `lines`."""
    return Count(**_opened(path)[0])


def lines(path: Path) -> Iterator[Line]:
    """The photos and frames of a part.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    yield from _opened(path)[1]


def _opened(path: Path) -> tuple[Line, Iterator[Line]]:
    """The heading of a part and its other lines."""
    objects = _objects(path)
    heading = next(objects, None)
    if heading is None:  # as after a power cut
        raise ValueError(f"{path} is damaged: remove it, and run the same command again")
    return heading, objects


def _objects(path: Path) -> Iterator[Line]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as text:
            yield from map(json.loads, text)
    except (EOFError, ValueError, zlib.error, gzip.BadGzipFile) as fault:
        raise ValueError(f"{path} is damaged: remove it, and run the same command again") from fault


def failures(made: Iterable[Path]) -> Iterator[str]:
    """A sentence about each file that could not be looked at; one a clip in pieces."""
    told = ""
    for part in made:
        if count_of(part).failed:
            for one in lines(part):
                if "error" in one and one["image"] != told:
                    told = one["image"]
                    yield one["error"]


def index(out: Path, parts: Sequence[Path], skeleton: Skeleton, facts: dict[str, Any]) -> Path:
    """Write `parts.json`: the parts of one run in order, the joints, and facts of the run."""
    named = {"skeleton": skeleton.name, "joints": list(skeleton.joints)}
    bones = {"bones": [list(bone) for bone in skeleton.bones]}
    whole = facts | named | bones | {"parts": [part.name for part in parts]}
    return save_text(out / INDEX, json.dumps(whole, indent=1))


def merge(out: Path, form: str, path: Path, skeleton: Skeleton, *, watch: Watch = iter) -> Path:
    """Write the people of all parts into one file, and give its path.

    Memory holds the names of the files alone.

    Args:
        out: the folder with the parts.
        form: one of `MERGED`, see docs/formats.md; a COCO image id is the number in a COCO-style
            file name, else the position in name order.
        path: the file.
        skeleton: the parts' joints.
        watch: walks through the parts.

    Raises:
        FileNotFoundError: there are no parts, or some are missing.
        ValueError: a part or the list of them is damaged.
    """
    whole = _whole(out)
    parts = [out / name for name in whole["parts"]]
    missing = [part.name for part in parts if not part.exists()]
    if missing:
        share = f"{len(missing)} of {len(parts)} parts are missing in {out}"
        raise FileNotFoundError(f"{share}: run the same command again")
    name = _coco_names(parts) if form.startswith("coco") else _own_names
    with open_writer(form, path, skeleton, model=whole["model"]) as file:
        for one in _found(watch(parts)):
            file.put(_people(one, skeleton), name(one))
    return path


def _found(parts: Iterable[Path]) -> Iterator[Line]:
    """The photos and frames of parts in order; a clip's frames have numbers that only grow.

    Behind the beginning of a piece they are reckoned from their time, which a clip of changing rate
    may reckon twice.
    """
    clip, last = "", -1
    for part in parts:
        for one in lines(part):
            if "error" in one:
                continue
            if "frame" in one:
                last = max(one["frame"], last + 1 if one["image"] == clip else 0)
                clip, one["frame"] = one["image"], last
            yield one


def _whole(out: Path) -> dict[str, Any]:
    path = out / INDEX
    if not path.exists():
        raise FileNotFoundError(f"{out} holds no {INDEX}, so no parts to merge")
    whole: dict[str, Any] = door.load_json(path)
    return whole


def _people(one: Line, skeleton: Skeleton) -> People:
    people = from_record(one, skeleton)
    if "track" not in one:
        return people
    return replace(people, track=np.array(one["track"], dtype=np.int64))


def _own_names(one: Line) -> Shot:
    """Where the people of a line were found."""
    height, width = one["size"]
    return Shot(Path(one["image"]), one.get("frame"), one.get("time"), (height, width))


def _coco_names(parts: Sequence[Path]) -> Callable[[Line], Shot]:
    """As `_own_names`, with an id and a name of its own for every photo and frame."""
    names = [_picture(one) for one in _found(parts)]
    ids = dict(zip(names, image_ids(names), strict=True))
    root = door.common_folder(names) if names else Path()

    def named(one: Line) -> Shot:
        picture, (height, width) = _picture(one), one["size"]
        place = Path(os.path.relpath(picture, root)).as_posix()
        return Shot(picture, size=(height, width), number=ids[picture], place=place)

    return named


def _picture(one: Line) -> Path:
    """The photo, or what a clip's frame is called in a folder of the clip's whole name."""
    path = Path(one["image"])
    return path if "frame" not in one else path / f"frame_{one['frame']:06d}.png"
