"""Annotated people from files, and results into files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posegram.data import coco, deeplabcut, door, folder, labelme, lsp, mpii, yolo, yolo_folders
from posegram.pose import Sample

__all__ = ["READERS", "WRITERS", "categories", "part_of", "read", "reader_of"]

# every reader takes (path, images=None); the folder of the pictures is guessed when it is None
READERS: dict[str, Callable[..., list[Sample]]] = {
    "coco": coco.read,
    "deeplabcut": deeplabcut.read,
    "folder": folder.read,
    "labelme": labelme.read,
    "lsp": lsp.read,
    "mpii": mpii.read,
    "yolo": yolo.read,
}
# every writer takes (path, samples)
WRITERS: dict[str, Callable[..., Path]] = {
    "coco": coco.write,
    "lsp": lsp.write,
    "mpii": mpii.write,
    "yolo": yolo.write,
}

_RANGE = re.compile(r"^(?P<spec>.+)#(?P<first>\d+)-(?P<last>\d*)$")
_PART = re.compile(r"^(?P<path>.+)#(?P<part>[a-z]+)$")


def read(spec: str, images: Path | None = None) -> list[Sample]:
    """The annotated people that a spec names; pixels counted from 0.

    Args:
        spec: `reader:path` or a path whose reader is guessed by what the file is; `#first-last`
            behind it keeps a range counted from 1: of image numbers for `lsp`, else of people.
            `#train`, `#val` or `#test` behind a YOLO set's path, and before a range, chooses the
            part of its data.yaml.
        images: the folder of the pictures; by default the reader looks beside the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no such reader, part or range, or a file that the reader refuses.
    """
    found = _RANGE.match(spec)
    first, last = 1, None
    if found:
        spec, first = found["spec"], int(found["first"])
        last = int(found["last"]) if found["last"] else None
        if last is not None and last < first:
            raise ValueError(f"{spec}: the range {first}-{last} ends before it begins")
    name, path, part = _pieces(spec)
    if name == "lsp":
        return lsp.read(path, images, first=first, last=last)
    samples = yolo.read(path, images, part=part) if part else READERS[name](path, images)
    if found and not 1 <= first <= (last or len(samples)) <= len(samples):
        raise ValueError(f"{path}: holds people 1 to {len(samples)}, so not {first} to {last}")
    return samples[first - 1 : last]


def reader_of(spec: str) -> tuple[str, Path]:
    """The name of the reader that `read` would take for a spec, and the path; errors as there."""
    found = _RANGE.match(spec)
    return _pieces(found["spec"] if found else spec)[:2]


def part_of(spec: str) -> str:
    """The part of a YOLO set that a spec chooses, "" where it chooses none; errors as `read`."""
    found = _RANGE.match(spec)
    return _pieces(found["spec"] if found else spec)[2]


def categories(spec: str) -> list[dict[str, Any]]:
    """What a set itself calls its people and their joints: `name` and `keypoints`, as in COCO.

    One entry for each category of a COCO file that has people with joints, one at most for a YOLO,
    DeepLabCut or labelme set, which may lack either key, and none for the other formats, whose
    joints have fixed names. Errors as `read`.
    """
    reader, path = reader_of(spec)
    if reader in ("deeplabcut", "labelme"):
        return [(deeplabcut if reader == "deeplabcut" else labelme).category(path)]
    if reader == "yolo":
        return [found] if (found := yolo_folders.category(path)) else []
    if reader != "coco":
        return []
    whole = coco.content(path)
    people = [r for r in whole["annotations"] if not r.get("iscrowd")]
    used = {r.get("category_id", 1) for r in people if any((r.get("keypoints") or ())[2::3])}
    return [
        {
            "name": str(c.get("name") or "person"),
            "keypoints": [str(j) for j in c.get("keypoints") or ()],
        }
        for c in whole.get("categories") or ()
        if c.get("id") in used
    ]


def _pieces(spec: str) -> tuple[str, Path, str]:
    """Reader, path and part of a spec without its range."""
    name, colon, rest = spec.partition(":")
    named = bool(colon) and name in READERS
    path, part = _cut(rest if named else spec)
    if colon and not named and not path.exists() and len(name) > 1:  # one letter: a Windows drive
        raise ValueError(f"no reader {name!r}; there are {', '.join(sorted(READERS))}")
    reader = name if named else _guess(path)
    if part and reader != "yolo":
        raise ValueError(f"{path}: #{part} is a part of YOLO's data.yaml, and this is {reader}")
    return reader, path, part


def _cut(place: str) -> tuple[Path, str]:
    """A path and the part behind its #; none where that is the path's own."""
    found = _PART.match(place)
    if not found or Path(place).exists():
        return Path(place), ""
    return Path(found["path"]), found["part"]


def _guess(path: Path) -> str:
    """Reader that fits what the file is."""
    door.require(path, "file or folder")
    if path.is_dir():
        return _guess_folder(path)
    if path.suffix.lower() == ".mat":
        return _guess_mat(path)
    if path.suffix.lower() == ".json":
        return _guess_json(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        return "yolo"
    if path.suffix.lower() == ".csv" and deeplabcut.is_table(path):
        return "deeplabcut"
    known = ", ".join(sorted(READERS))
    raise ValueError(f"{path}: say how to read it, as reader:path; there are {known}")


def _guess_folder(path: Path) -> str:
    if (path / "joints.mat").exists():
        return "lsp"
    if (path / "data.yaml").is_file() or any((path / "labels").glob("*.txt")):
        return "yolo"
    if any(any(path.glob(f"{p}CollectedData_*.csv")) for p in ("", "*/", "labeled-data/*/")):
        return "deeplabcut"
    pictures = {picture.stem for picture in folder.images_in(path)}
    if any(text.stem in pictures or not pictures for text in path.glob("*.txt")):
        return "yolo"
    notes = (file for file in sorted(path.glob("*.json")) if file.stem in pictures or not pictures)
    return "labelme" if _has_shapes(next(notes, None)) else "folder"


def _has_shapes(file: Path | None) -> bool:
    try:
        return file is not None and labelme.is_labelme(door.load_json(file))
    except (OSError, ValueError):
        return False


def _guess_mat(path: Path) -> str:
    names = door.names_in_mat(path)
    if "RELEASE" in names:
        return "mpii"
    if "joints" in names:
        return "lsp"
    found = ", ".join(sorted(names)) or "nothing"
    raise ValueError(f"{path}: holds {found}, but neither MPII's RELEASE nor LSP's joints")


def _guess_json(path: Path) -> str:
    value = door.load_json(path)
    if isinstance(value, dict) and "annotations" in value:
        return "coco"
    if labelme.is_labelme(value):
        return "labelme"
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, dict) and {"image", "center", "scale"} <= set(first):
        return "mpii"
    wanted = "neither a COCO annotation file, one of labelme's, nor a list as MPII's train.json"
    raise ValueError(f"{path}: is {wanted}")
