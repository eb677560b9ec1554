"""Annotated people from files, and results into files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posegram.data import (
    coco,
    coco_folder,
    deeplabcut,
    door,
    folder,
    labelme,
    lsp,
    mpii,
    yolo,
    yolo_folders,
)
from posegram.pose import Sample

__all__ = ["READERS", "WRITERS", "Pieces", "categories", "pieces", "read", "reader_of"]

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

_RANGE = re.compile(r"^(?P<spec>.+)#(?P<range>\d+-\d*)$")
_PART = re.compile(r"^(?P<path>.+)#(?P<part>[a-z]+)$")
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")


@dataclass(frozen=True)
class Pieces:
    """What a spec says: `reader:path#part#range`, where all but the path may be missing."""

    reader: str
    path: Path
    part: str
    range: str  # such as 2-5 or 2-, counted from 1

    @property
    def ends(self) -> tuple[int, int | None]:
        """First and last of the range; without one, 1 and None."""
        first, _, last = self.range.partition("-")
        return int(first or 1), int(last) if last else None

    def rows(self, count: int, what: str) -> slice:
        """Those of so many that are in the range.

        Raises:
            ValueError: it is not all there; `what` they are is told.
        """
        first, last = self.ends
        if self.range and not 1 <= first <= (count if last is None else last) <= count:
            raise ValueError(f"{self.path}: holds {what} 1 to {count}, so not {self.range}")
        return slice(first - 1, last)


def pieces(spec: str) -> Pieces:
    """A spec taken apart as it is written; what looks like a part may end the path of a file."""
    found = _RANGE.match(spec)
    rest, span = (found["spec"], found["range"]) if found else (spec, "")
    reader, colon, place = rest.partition(":")
    if not colon or reader not in READERS:
        reader, place = "", rest
    cut = _PART.match(place)
    if not cut or Path(place).exists():
        return Pieces(reader, Path(place), "", span)
    return Pieces(reader, Path(cut["path"]), cut["part"], span)


def read(spec: str, images: Path | None = None) -> list[Sample]:
    """The annotated people that a spec names; pixels counted from 0.

    Args:
        spec: `reader:path` or a path whose reader is guessed by what the file is; `#first-last`
            behind it keeps a range counted from 1: of image numbers for `lsp`, else of people.
            `#train`, `#val` or `#test` behind a YOLO set's path, and before a range, chooses the
            part of its data.yaml. A folder may stand for the one COCO annotation file that it
            holds, see `posegram.data.coco_folder`.
        images: the folder of the pictures; by default the reader looks beside the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no such reader, part or range, or a file that the reader refuses.
    """
    told = pieces(spec)
    part, (first, last) = told.part, told.ends
    if last is not None and last < first:
        raise ValueError(f"{told.path}: the range {told.range} ends before it begins")
    name, path = reader_of(spec)
    if name == "lsp":
        return lsp.read(path, images, first=first, last=last)
    samples = yolo.read(path, images, part=part) if part else READERS[name](path, images)
    return samples[told.rows(len(samples), "people")]


def reader_of(spec: str) -> tuple[str, Path]:
    """The name of the reader that `read` would take for a spec, and the path; errors as there.

    Of a folder that stands for a COCO annotation file it is the file's path.
    """
    name, path = _reader(pieces(spec))
    return name, coco_folder.only(path) if name == "coco" and path.is_dir() else path


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


def _reader(told: Pieces) -> tuple[str, Path]:
    """The reader that a spec names and its path, else those that fit."""
    path, part, (name, colon, _) = told.path, told.part, str(told.path).partition(":")
    taken = told.reader or path.exists() or len(name) < 2  # one letter: a Windows drive
    if colon and not taken:
        raise ValueError(f"no reader {name!r}; there are {', '.join(sorted(READERS))}")
    if path.suffix.lower() in _ARCHIVES and path.is_file():
        raise ValueError(f"{path} is an archive: unpack it and give the folder")
    reader, place = (told.reader, path) if told.reader else _guess(path)
    if part and reader != "yolo":
        raise ValueError(f"{path}: #{part} is a part of YOLO's data.yaml, and this is {reader}")
    return reader, place


def _guess(path: Path) -> tuple[str, Path]:
    """Reader that fits what the file or folder is, and the file for which a folder stands."""
    if door.require(path, "file or folder").is_dir():
        return _guess_folder(path)
    return _guess_file(path), path


def _guess_file(path: Path) -> str:
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


def _guess_folder(path: Path) -> tuple[str, Path]:
    if (path / "joints.mat").exists():
        return "lsp", path
    if (path / "data.yaml").is_file() or any((path / "labels").glob("*.txt")):
        return "yolo", path
    if any(any(path.glob(f"{p}CollectedData_*.csv")) for p in ("", "*/", "labeled-data/*/")):
        return "deeplabcut", path
    pictures = folder.images_in(path)
    roboflow = coco_folder.is_roboflow(path, pictures)  # whose README.txt is no YOLO file
    found = coco_folder.guessed(path, pictures) if roboflow else []
    if not found and (name := _beside(path, {picture.stem for picture in pictures})):
        return name, path
    found = found if roboflow else coco_folder.guessed(path, pictures)
    return ("coco", coco_folder.one(path, found)) if found else ("folder", path)


def _beside(path: Path, pictures: set[str]) -> str:
    """The format of files called as the pictures are, of any where there is none; else ""."""
    if any(text.stem in pictures or not pictures for text in path.glob("*.txt")):
        return "yolo"
    notes = (file for file in path.glob("*.json") if file.stem in pictures or not pictures)
    return "labelme" if _has_shapes(min(notes, default=None)) else ""


def _has_shapes(file: Path | None) -> bool:
    if file is None or coco_folder.begins(file):  # a large file, perhaps
        return False
    try:
        return labelme.is_labelme(door.load_json(file))
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
    if coco_folder.begins(path):  # without reading all of a large file
        return "coco"
    value = door.load_json(path)
    if isinstance(value, dict) and "annotations" in value:
        return "coco"
    if labelme.is_labelme(value):
        return "labelme"
    first = value[0] if isinstance(value, list) and value else None
    if _is_label_studio(first):
        advice = "export the project there as COCO, everybody's keypoints within a rectangle"
        order = "and each keypoint label with a model_index, counted from 0 as they are listed"
        raise ValueError(f"{path}: is Label Studio's JSON, which is not read: {advice}, {order}")
    if isinstance(first, dict) and {"image", "center", "scale"} <= set(first):
        return "mpii"
    wanted = "neither a COCO annotation file, one of labelme's, nor a list as MPII's train.json"
    raise ValueError(f"{path}: is {wanted}")


def _is_label_studio(first: Any) -> bool:
    """Whether the first entry of a list is a task of Label Studio's exports JSON or JSON-MIN."""
    if not isinstance(first, dict):
        return False
    task = isinstance(first.get("data"), dict) and {"annotations", "completions"} & set(first)
    return bool(task) or {"annotation_id", "annotator", "lead_time"} <= set(first)
