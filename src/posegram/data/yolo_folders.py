"""Where YOLO data sets keep pictures and labels: folders of either, lists, and their data.yaml.

Ultralytics takes `labels/train/a.txt` for `images/train/a.jpg` (docs.ultralytics.com/datasets).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from posegram.data import door, folder

__all__ = [
    "category",
    "descriptions",
    "listed",
    "pairs",
    "parts_left",
    "person_class",
    "said",
    "uncommented",
]

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


def category(path: Path) -> dict[str, Any]:
    """What a data.yaml calls people and joints: `name` and `keypoints`, as COCO's category.

    Both are spelt as they stand there; one that it does not say is absent. Errors as
    `person_class`.
    """
    kind = person_class(path)
    own: dict[str, Any] = {}
    for _, text in reversed([*descriptions(path)]):  # the first that says it has the last word
        names, points = listed(text, "names"), listed(text, "kpt_names")
        own |= {"name": names[kind]} if kind < len(names) else {}
        own |= {"keypoints": points} if points else {}
    return own


def person_class(path: Path) -> int:
    """The class of the lines that are people: `person` of a data.yaml's `names`, else 0.

    Raises:
        ValueError: the data.yaml is no text, or has several names and none of them is `person`.
    """
    for file, text in descriptions(path):
        names = [name.lower() for name in listed(text, "names")]
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


def descriptions(path: Path) -> Iterator[tuple[Path, str]]:
    """The data.yaml that the path is, or those in the folder of the labels and up to two above."""
    places = [_labels(path), *_labels(path).absolute().parents[:2]]
    files = [path] if path.suffix.lower() in _YAMLS else [p / "data.yaml" for p in places]
    for file in files:
        if file.is_file():
            yield file, door.load_text(file, "YAML file")


def said(text: str, key: str) -> str:
    """What stands behind a key at the start of a line, up to the next one; "" if it is absent."""
    found = re.search(rf"^{key}:(.*?)(?=^[^\s-]|\Z)", text, re.M | re.S)
    return found[1] if found else ""


def uncommented(text: str) -> str:
    """Lines of YAML without their comments."""
    return re.sub(r"(^|\s)#.*", "", text, flags=re.M)


def listed(text: str, key: str) -> list[str]:
    """The names of a key at the start of a line, as a list or by number, in block or flow style."""
    names = said(text, key)
    flow = re.search(r"\[(.*)\]", names, re.S) or re.search(r"\{(.*)\}", names, re.S)
    if flow and flow[0][0] == "[":
        try:
            return [str(name) for name in json.loads(flow[0])]
        except json.JSONDecodeError:
            pass  # YAML needs no quotes
    pieces = flow[1].split(",") if flow else names.splitlines()
    return [name for piece in pieces if (name := _NUMBER.sub("", piece.strip()).strip(" \t'\""))]


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
    pieces = re.split(r"[\n,\[\]]", uncommented(found[1] if found else ""))
    lines = [piece.strip() for piece in pieces]
    return [v.removeprefix("- ").strip().strip("'\"") for v in lines if v]
