"""Which file of a folder is its COCO annotation file, as Roboflow and CVAT leave them.

Roboflow lays `_annotations.coco.json` among the pictures of each part; CVAT
`annotations/person_keypoints_default.json` beside `images/default`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from posegram.data import coco
from posegram.data.folder import images_in

__all__ = ["files", "guessed", "is_roboflow", "only"]

_ROBOFLOW = "_annotations.coco.json"
_PLACES = ("*.json", "annotations/*.json", f"*/{_ROBOFLOW}")
_KEYS = "info|licenses?|images|annotations|categories|type|videos"
_HEAD = re.compile(rf'\s*\{{\s*"(?:{_KEYS})"\s*:')  # the first key of a file
_NAMED = 4  # files in a sentence


def only(folder: Path) -> Path:
    """The one COCO annotation file of a folder: in it, in `annotations`, or Roboflow's below it.

    Raises:
        ValueError: there is none, or there are several, which are named.
    """
    begun = _begun(folder)
    found = begun if len(begun) == 1 else files(folder)  # whoever reads a broken one says why
    if len(found) == 1:
        return found[0]
    if not found:
        raise ValueError(f"{folder}: holds no COCO annotation file, here or in `annotations`")
    some = ", ".join(path.relative_to(folder).as_posix() for path in found[:_NAMED])
    more = ", ..." * (len(found) > _NAMED)
    raise ValueError(f"{folder}: holds {len(found)} COCO annotation files ({some}{more}): give one")


def files(folder: Path) -> list[Path]:
    """What look like COCO annotation files in a folder; if it is only one, it is one."""
    found, sure = _begun(folder), list[Path]()
    for path in sorted(found, key=lambda path: path.stat().st_size):  # large ones take long
        if len(sure) < 2 and _content(path) is not None:
            sure.append(path)
    return found if len(sure) > 1 else sure


def is_roboflow(folder: Path) -> bool:
    """Whether a folder is Roboflow's, as a whole or one part of it."""
    if (folder / _ROBOFLOW).is_file():
        return True
    return any(folder.glob(f"*/{_ROBOFLOW}")) and not images_in(folder)


def guessed(folder: Path) -> bool:
    """Whether a folder stands for COCO annotations without being said to.

    Beside pictures a file may be about something else; there it counts as their annotations if it
    has people with joints, no model made it, and it lists all pictures or is called as Roboflow's.
    """
    pictures, found = images_in(folder), files(folder)
    if not pictures:
        return bool(found)
    found = [file for file in found if file.name != _ROBOFLOW or file.parent == folder]
    whole = _content(found[0]) if len(found) == 1 else None
    if whole is None:
        return False
    people = [r for r in whole["annotations"] if isinstance(r, dict) and r.get("keypoints")]
    if not people or any("keypoint_scores" in record for record in people):
        return False
    listed = {Path(coco.file_name(entry)).name for entry in whole["images"]}
    return found[0].name == _ROBOFLOW or all(picture.name in listed for picture in pictures)


def _begun(folder: Path) -> list[Path]:
    """The files that begin as COCO annotation files do."""
    found = [path for place in _PLACES for path in sorted(folder.glob(place)) if _begins(path)]
    return list(dict.fromkeys(found))


def _begins(path: Path) -> bool:
    """Whether a file begins as a COCO annotation file does."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return _HEAD.match(file.read(1000)) is not None
    except (OSError, ValueError):
        return False


def _content(path: Path) -> dict[str, Any] | None:
    """What an annotation file says; None where it is none."""
    try:
        return coco.content(path)
    except (OSError, ValueError):
        return None
