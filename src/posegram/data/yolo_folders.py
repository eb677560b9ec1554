"""Where YOLO data sets keep pictures and labels: folders of either, lists, and their data.yaml.

Ultralytics takes `labels/train/a.txt` for `images/train/a.jpg` (docs.ultralytics.com/datasets).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from posegram.data import door, folder, joints
from posegram.pose import Skeleton

__all__ = ["category", "pairs", "parts_left", "person_class", "skeleton"]

_PARTS = ("train", "val", "test")  # keys of a data.yaml
_ALSO = {"val": "val(?:idation)?"}  # Ultralytics takes either
_YAMLS = (".yaml", ".yml")
_NUMBER = re.compile(r"^(-|\d+\s*:|-\s*\d+\s*:)(\s+|$)")  # before a name in a list of YAML's
_NAMED = 5  # classes
_LINE = re.compile(rb"(\xef\xbb\xbf)?\s*\d+(\s+[-+.\de]+){4}")  # how labels begin: class and box


def pairs(path: Path, images: Path | None = None, part: str = "") -> list[tuple[Path, Path]]:
    """Every picture with the text file that holds its labels, if it has any.

    Args:
        path: a folder of labels, or of pictures beside labels, or one that holds `labels` and
            `images`; or a data.yaml, whose `train` is taken. A folder without labels of its own
            that holds a data.yaml stands for it.
        images: the pictures' folder, where it is none of these.
        part: of a data.yaml, "train", "val" or "test"; a folder that holds one stands for it.

    Raises:
        FileNotFoundError: there is no such file, or none that the data.yaml names.
        ValueError: it is neither folder nor data.yaml, a file of it is no text, there is no
            such part, no picture, or labels have none.
    """
    path = _meant(door.require(path, "file or folder"), bool(part))
    found = [pair for place in _places(path, part) for pair in _part(place, images)]
    if not found:
        raise ValueError(f"{path}: there is no picture in {images or _images(path)}")
    return found


def skeleton(path: Path) -> Skeleton | None:
    """The skeleton whose joints a data.yaml names, as Ultralytics' `kpt_names` does.

    It is the path itself, or lies in the folder of the labels or up to two above. Left/right pairs
    are those of its `flip_idx`, and bones those that our own key `skeleton` names, else those that
    the names tell.

    Raises:
        ValueError: it is no text, or `skeleton` names a joint that `kpt_names` does not.
    """
    for file, text in _descriptions(path):
        names = _listed(text, "kpt_names")
        if names:
            found = joints.skeleton_of(f"yolo{len(names)}", names)
            twins, bones = _twins(text, found.joints), _bones(text)
            if twins and _loose(twins) != _loose(found.mirror):
                found = replace(found, mirror=twins)
            if bones is None or _loose(bones) == _loose(found.bones):
                return found
            try:
                return replace(found, bones=bones)
            except ValueError as fault:
                raise ValueError(f"{file}: `skeleton` is wrong: {fault}") from fault
    return None


def category(path: Path) -> dict[str, Any]:
    """What a data.yaml calls people and joints: `name` and `keypoints`, as COCO's category.

    Both are spelt as they stand there; one that it does not say is absent. Errors as
    `person_class`.
    """
    kind = person_class(path)
    said: dict[str, Any] = {}
    for _, text in reversed([*_descriptions(path)]):  # the first that says it has the last word
        names, points = _listed(text, "names"), _listed(text, "kpt_names")
        said |= {"name": names[kind]} if kind < len(names) else {}
        said |= {"keypoints": points} if points else {}
    return said


def person_class(path: Path) -> int:
    """The class of the lines that are people: `person` of a data.yaml's `names`, else 0.

    Raises:
        ValueError: the data.yaml is no text, or has several names and none of them is `person`.
    """
    for file, text in _descriptions(path):
        names = [name.lower() for name in _listed(text, "names")]
        if "person" in names:
            return names.index("person")
        if len(names) > 1:
            known = ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
            raise ValueError(f"{file}: `names` has no person among {known}; call that class person")
    return 0


def parts_left(path: Path, taken: Sequence[str] = ("",)) -> list[str]:
    """The parts that a data.yaml names and `pairs` does not take.

    Args:
        path: as `pairs` takes it.
        taken: the parts that were asked for; "" is what `pairs` takes unasked.
    """
    file = _meant(path, any(taken))
    if file.suffix.lower() not in _YAMLS:
        return []
    text = door.load_text(file, "YAML file")
    known = [[], *(_values(text, part or "train") for part in taken)]
    return [part for part in _PARTS if _values(text, part) not in known]


def _meant(path: Path, parted: bool) -> Path:
    """The data.yaml for which a folder stands, also where a part is wanted; else the path."""
    file = path / "data.yaml"
    stands = file.is_file() and (parted or not any(_labels(path).glob("*.txt")))
    return file if stands else path


def _descriptions(path: Path) -> Iterator[tuple[Path, str]]:
    """The data.yaml that the path is, or those in the folder of the labels and up to two above."""
    places = [_labels(path), *_labels(path).absolute().parents[:2]]
    files = [path] if path.suffix.lower() in _YAMLS else [p / "data.yaml" for p in places]
    for file in files:
        if file.is_file():
            yield file, door.load_text(file, "YAML file")


def _listed(text: str, key: str) -> list[str]:
    """The names of a key at the start of a line, as a list or by number, in block or flow style."""
    # up to the next key at the start of a line
    found = re.search(rf"^{key}:(.*?)(?=^[^\s-]|\Z)", text, re.M | re.S)
    if not found:
        return []
    flow = re.search(r"\[(.*)\]", found[1], re.S) or re.search(r"\{(.*)\}", found[1], re.S)
    if flow and flow[0][0] == "[":
        try:
            return [str(name) for name in json.loads(flow[0])]
        except json.JSONDecodeError:
            pass  # YAML needs no quotes
    pieces = flow[1].split(",") if flow else found[1].splitlines()
    return [name for piece in pieces if (name := _NUMBER.sub("", piece.strip()).strip(" \t'\""))]


def _twins(text: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The left/right pairs that `flip_idx` says; none where it says none, or is none."""
    rows = _values(text, "flip_idx")
    if not all(row.isdecimal() for row in rows) or len(rows) != len(names):
        return ()
    flip = [int(row) for row in rows]
    if any(other >= len(flip) or flip[other] != row for row, other in enumerate(flip)):
        return ()
    known = joints.pairs_by_name(names)
    pairs = [(names[a], names[b]) for a, b in enumerate(flip) if a < b]
    return tuple((b, a) if (b, a) in known else (a, b) for a, b in pairs)


def _bones(text: str) -> tuple[tuple[str, str], ...] | None:
    """The pairs of names that `skeleton` holds; None where it says nothing, or counts joints."""
    found = re.search(r"^skeleton:(.*?)(?=^[^\s-]|\Z)", text, re.M | re.S)
    if not found:
        return None
    try:
        ends = [end for bone in json.loads(found[1]) for end in bone]
    except (json.JSONDecodeError, TypeError):  # another style of YAML's, or no pairs
        pieces = re.split(r"[\n\[\],]", re.sub(r"(^|\s)#.*", "", found[1], flags=re.M))
        words = [piece.strip("- \t'\"") for piece in pieces]
        ends = [int(word) if word.isdecimal() else word for word in words if word] or [0]
    if len(ends) % 2 or not all(isinstance(end, str) for end in ends):
        return None
    names = [joints.plain(end) for end in ends]
    return tuple(zip(names[::2], names[1::2], strict=True))


def _loose(pairs: Iterable[tuple[str, str]]) -> set[frozenset[str]]:
    """Pairs in no order."""
    return {frozenset(pair) for pair in pairs}


def _labels(path: Path) -> Path:
    """The folder of the labels that a folder stands for."""
    if (path / "labels").is_dir():
        return path / "labels"
    other = _renamed(path, "images", "labels")
    return other if other.is_dir() else path


def _images(path: Path) -> Path:
    """The folder of the pictures that a folder stands for."""
    other = _renamed(path, "labels", "images")
    if (path / "labels").is_dir() or not other.is_dir():
        return door.images_beside(path)
    return other


def _renamed(path: Path, name: str, other: str) -> Path:
    """The path with the last folder of that name called otherwise."""
    parts = list(path.parts)
    if name in parts:
        parts[len(parts) - 1 - parts[::-1].index(name)] = other
    return Path(*parts)


def _part(path: Path, images: Path | None) -> Iterator[tuple[Path, Path]]:
    """Pictures and labels of a folder, or of a text that lists pictures."""
    if path.is_dir():
        labels = _labels(path)
        shown = folder.images_in(images or _images(path))
        if shown:
            _refuse_orphans(labels, shown)
        for image in shown:
            yield image, labels / f"{image.stem}.txt"
        return
    for line in door.load_text(path, "list of pictures").split("\n"):
        image = path.parent / line.strip()
        if line.strip():
            labels = _renamed(image.parent, "images", "labels")
            yield images / image.name if images else image, labels / f"{image.stem}.txt"


def _refuse_orphans(labels: Path, shown: list[Path]) -> None:
    """See that no labels lie there of pictures that do not, for nobody would miss their people."""
    stems = {image.stem for image in shown}
    lost = [t for t in sorted(labels.glob("*.txt")) if t.stem not in stems]
    lost = [text for text in lost if _LINE.match(text.read_bytes())]  # and no notes
    if lost:
        where = f"no picture in {shown[0].parent}, as have {len(lost)} label files in all"
        raise ValueError(f"{lost[0]}: has {where}; add the pictures or take those files away")


def _places(path: Path, part: str) -> list[Path]:
    """The folders and lists that a data.yaml names as a part; a folder itself."""
    if path.is_dir():
        if part:
            raise ValueError(f"{path}: holds no data.yaml, so it has no part {part!r}")
        return [path]
    if path.suffix.lower() not in _YAMLS:
        raise ValueError(f"{path}: is a file, wanted a folder of labels or a data.yaml")
    text = door.load_text(path, "YAML file")
    there = [key for key in _PARTS if _values(text, key)]
    if part and part not in there:
        raise ValueError(f"{path}: has no part {part!r}; there are {', '.join(there) or 'none'}")
    key = part or "train"
    if key not in there:
        raise ValueError(f"{path}: has no `train`, which says where the pictures are")
    roots = [*(path.parent / root for root in _values(text, "path")), path.parent]
    return [_found(path, roots, key, name) for name in _values(text, key)]


def _found(path: Path, roots: list[Path], key: str, name: str) -> Path:
    # Roboflow writes ../train/images for what lies beside the data.yaml
    for place in (root / one for one in (name, name.removeprefix("../")) for root in roots):
        if place.exists():
            return place
    raise FileNotFoundError(f"{path}: its `{key}` is {name}, which is not there")


def _values(text: str, key: str) -> list[str]:
    """The value of a key at the start of a line, or those of its list; none where it is empty."""
    found = re.search(rf"^{_ALSO.get(key, key)}:(.*(?:\n[ \t]*- .*)*)", text, re.M)
    lines = re.split(r"[\n,\[\]]", found[1]) if found else []
    values = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
    return [v.removeprefix("- ").strip().strip("'\"") for v in values if v]
