"""Which file of a folder is its COCO annotation file, as Roboflow and CVAT leave them.

Roboflow lays `_annotations.coco.json` among the pictures of each part; CVAT
`annotations/person_keypoints_default.json` beside `images/default`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posegram.data import coco

__all__ = ["begins", "files", "guessed", "is_roboflow", "one", "only"]

_ROBOFLOW = "_annotations.coco.json"
_BELOW = ("annotations/*.json", f"*/{_ROBOFLOW}")  # where else one may lie
_KEYS = "info|licenses?|images|annotations|categories|type|videos"
_HEAD = re.compile(rf'\s*\{{\s*"(?:{_KEYS})"\s*:')  # the first key of a file
_NAMED = 4  # files in a sentence


def only(folder: Path) -> Path:
    """The one COCO annotation file of a folder: in it, in `annotations`, or Roboflow's below it.

    Raises:
        ValueError: there is none, or there are several, which are named.
    """
    begun = _begun(folder)
    found = begun if len(begun) == 1 else _certain(begun)  # whoever reads a broken one says why
    if not found:
        raise ValueError(f"{folder}: holds no COCO annotation file, here or in `annotations`")
    return one(folder, found)


def one(folder: Path, found: Sequence[Path]) -> Path:
    """The only one of the annotation files found in a folder.

    Raises:
        ValueError: there are several, which are named.
    """
    if len(found) == 1:
        return found[0]
    some = ", ".join(path.relative_to(folder).as_posix() for path in found[:_NAMED])
    more = ", ..." * (len(found) > _NAMED)
    raise ValueError(f"{folder}: holds {len(found)} COCO annotation files ({some}{more}): give one")


def files(folder: Path) -> list[Path]:
    """What look like COCO annotation files in a folder; if it is only one, it is one."""
    return _certain(_begun(folder))


def is_roboflow(folder: Path, pictures: Sequence[Path]) -> bool:
    """Whether a folder that holds these pictures is Roboflow's, as a whole or one part of it."""
    if (folder / _ROBOFLOW).is_file():
        return True
    return not pictures and any(folder.glob(f"*/{_ROBOFLOW}"))


def guessed(folder: Path, pictures: Sequence[Path]) -> list[Path]:
    """The COCO annotation files for which a folder stands without being said to; mostly none.

    Beside pictures a file may be about something else; there it counts as their annotations if it
    has people with joints, no model made it, and it lists all pictures or is called as Roboflow's.

    Args:
        folder: where to look.
        pictures: those right inside it; files called as they are, one each, are not opened.
    """
    begun = _begun(folder, pictures)
    if not pictures:
        return _certain(begun)
    sure = _sure([file for file in begun if file.name != _ROBOFLOW or file.parent == folder])
    if len(sure) != 1:
        return []
    ((file, whole),) = sure
    people = [r for r in whole["annotations"] if isinstance(r, dict) and r.get("keypoints")]
    if not people or any("keypoint_scores" in record for record in people):
        return []
    listed = {Path(coco.file_name(entry)).name for entry in whole["images"]}
    fits = file.name == _ROBOFLOW or all(picture.name in listed for picture in pictures)
    return [file] if fits else []


def begins(path: Path) -> bool:
    """Whether a file begins as a COCO annotation file does."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return _HEAD.match(file.read(1000)) is not None
    except (OSError, ValueError):
        return False


def _begun(folder: Path, pictures: Sequence[Path] = ()) -> list[Path]:
    """The files that begin as COCO annotation files do, but for those of one of the pictures."""
    stems, here = {picture.stem for picture in pictures}, list(folder.glob("*.json"))
    apart = [path for path in here if path.stem not in stems]
    if len(here) - len(apart) < 2:  # a single one may be about all pictures
        apart = here
    below = (sorted(folder.glob(place)) for place in _BELOW)
    found = dict.fromkeys(path for some in (sorted(apart), *below) for path in some)
    return [path for path in found if begins(path)]


def _certain(begun: Sequence[Path]) -> list[Path]:
    """All of the files, if several are COCO annotation files; else the one that is."""
    sure = [path for path, _ in _sure(begun)]
    return list(begun) if len(sure) > 1 else sure


def _sure(begun: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """The two smallest of the files that are COCO annotation files, and what they say."""
    sure = list[tuple[Path, dict[str, Any]]]()
    for path in sorted(begun, key=lambda path: path.stat().st_size):  # large ones take long
        if len(sure) < 2 and (whole := _content(path)) is not None:
            sure.append((path, whole))
    return sure


def _content(path: Path) -> dict[str, Any] | None:
    """What an annotation file says; None where it is none."""
    try:
        return coco.content(path)
    except (OSError, ValueError):
        return None
