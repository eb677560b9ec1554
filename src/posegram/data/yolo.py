"""YOLO label files: one .txt per picture, one line per person, shares of the picture's size.

A line is `class cx cy w h`, then nothing, or `x y` or `x y v` per joint (docs.ultralytics.com/
datasets/pose). Tools write COCO's pixels divided by the size, so a share times the size is a pixel
counted from 0.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram.data import door, yolo_folders, yolo_joints
from posegram.data.stream import Shot, Stream, save_bytes, save_text
from posegram.files import replacing
from posegram.pose import Bytes, Floats, People, Sample, Skeleton

__all__ = ["Labels", "line", "others", "read", "write"]

_PERSON = 0  # class of the lines that we write
_ADVICE = (
    "the data.yaml of the labels says which joints they have: write kpt_shape: [K, 3] and "
    "kpt_names: {0: [NAME, ...]} with K names into it"
)


def read(
    path: Path, images: Path | None = None, *, skeleton: Skeleton | None = None, part: str = ""
) -> list[Sample]:
    """The people of a folder of label files; a plain box has no labelled joint.

    People are lines of the class that a data.yaml calls `person`, or of class 0. A picture without
    a label file has nobody. Joints without v count as seen, unless they are 0, 0, which YOLO writes
    for unlabelled ones.

    Args:
        path: a folder or a data.yaml, see `posegram.data.yolo_folders.pairs`.
        images: the pictures' folder; by default the one that belongs to the labels.
        skeleton: what the joints are; by default those that a data.yaml beside or above the
            labels says, see `posegram.data.yolo_joints.skeleton`, else COCO's.
        part: of a data.yaml, "train", "val" or "test"; by default its `train`.

    Raises:
        FileNotFoundError: there is no such file or folder.
        ValueError: a line is wrong, labels have no picture, or one cannot be read; file and line
            are named. Or a data.yaml has no such part, or several classes of which none is
            `person`.
    """
    places = yolo_folders.pairs(path, images, part)
    kind = yolo_folders.person_class(path)
    skeleton = skeleton or yolo_joints.skeleton(path)
    found = []
    for image, text in places:
        if text.exists():
            found += _people(text, image, skeleton, kind)
    if not found:
        where = places[0][0].parent
        raise ValueError(f"{path}: holds no label file with a person for a picture in {where}")
    return found


def others(path: Path, images: Path | None = None, part: str = "") -> int:
    """How many lines of a set are of other classes than the people's; arguments as `read`."""
    kind = yolo_folders.person_class(path)
    texts = [text for _, text in yolo_folders.pairs(path, images, part) if text.exists()]
    lines = [line for text in texts for line in door.load_text(text, "labels").splitlines()]
    return sum(int(float(line.split()[0])) != kind for line in lines if line.strip())


def _people(text: Path, image: Path, skeleton: Skeleton, kind: int) -> list[Sample]:
    size = door.picture_size(image)
    if size is None:
        raise ValueError(f"{image}: is not a readable picture")
    found = []
    lines = door.load_text(text, "text file of labels").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            numbers = np.array([float(word) for word in line.split()])
            if numbers.size and int(numbers[0]) == kind:
                found.append(_sample(numbers[1:], image, size, skeleton))
        except (ValueError, OverflowError) as fault:
            raise ValueError(f"{text}: line {number} is wrong: {fault}") from fault
    return found


def _sample(
    numbers: npt.NDArray[np.float64], image: Path, size: tuple[int, int], skeleton: Skeleton
) -> Sample:
    """A person from a line's numbers behind the class."""
    k = len(skeleton)
    fits = len(numbers) in (4, 4 + 2 * k, 4 + 3 * k)
    if not fits or not np.isfinite(numbers).all():
        counts = f"5, {5 + 2 * k} or {5 + 3 * k} finite numbers"
        fault = f"holds {len(numbers) + 1} numbers, wanted {counts} for {skeleton.name}"
        raise ValueError(fault if fits or len(numbers) < 4 else f"{fault}; {_ADVICE}")
    scale = np.array([size[1], size[0]], dtype=np.float64)
    centre, half = numbers[:2] * scale, numbers[2:4] * scale / 2
    box = np.concatenate([centre - half, centre + half]).astype(np.float32)
    rows = _rows(numbers[4:], k)
    visible = rows[:, 2].astype(np.uint8)
    xy = np.where(visible[:, None] > 0, rows[:, :2] * scale, 0).astype(np.float32)
    if visible.any() and not (half > 0).all():  # a tool that knows joints alone
        box = door.person_box(xy, visible > 0)
    return Sample(image, xy, visible, box, None, None, skeleton)


def _rows(numbers: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.float64]:
    """Joints as x, y, v, (K, 3)."""
    if len(numbers) == 0:
        return np.zeros((k, 3))
    rows = numbers.reshape(k, -1)
    if rows.shape[1] == 2:
        return np.column_stack([rows, np.where(rows.any(axis=1), 2, 0)])
    if not np.isin(rows[:, 2], (0, 1, 2)).all():
        raise ValueError("v is one of 0, 1, 2")
    return rows


def write(
    path: Path,
    samples: Sequence[Sample],
    *,
    valid: Sequence[Sample] = (),
    copy: bool = True,
    category: str = "person",
) -> Path:
    """The folder written: `labels` with a text per picture, `images`, and `data.yaml`.

    Joints outside their picture are not labelled and boxes end at its edges, for Ultralytics
    refuses a picture with any number outside 0 to 1.

    Args:
        path: the folder.
        samples: people of one skeleton, whose pictures are at hand.
        valid: people to validate on: both folders then have a `train` and a `val`. Without them
            data.yaml names the same pictures as both.
        copy: put the pictures into `images`, where the format wants them.
        category: what the class of people is called.

    Raises:
        ValueError: there is nobody, the people have several skeletons, or a picture is not at
            hand or has the name of another one of its part.
    """
    if not samples:
        raise ValueError(f"{path}: there is nobody to write")
    if len({s.skeleton for s in (*samples, *valid)}) > 1:
        raise ValueError(f"{path}: the people have several skeletons; write one folder for each")
    parts = {"train": samples, "val": valid} if valid else {"": samples}
    sizes: dict[Path, tuple[int, int]] = {}
    for some in parts.values():  # all of them, before anything is written
        sizes |= _sizes(path, list(_by_image(some)))
    for part, some in parts.items():
        for image, people in _by_image(some).items():
            lines = [line(s.xy, s.visible, s.box, sizes[image]) for s in people]
            save_text(path / "labels" / part / f"{image.stem}.txt", "".join(lines))
            if copy:
                save_bytes(path / "images" / part / image.name, image.read_bytes())
    save_text(path / "data.yaml", _yaml(samples[0].skeleton, category, parted=bool(valid)))
    return path


def _by_image(samples: Sequence[Sample]) -> dict[Path, list[Sample]]:
    """The people of each picture."""
    rows: dict[Path, list[Sample]] = {}
    for sample in samples:
        rows.setdefault(sample.image, []).append(sample)
    return rows


def _sizes(path: Path, images: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """Height and width of each picture; refuses one that is not at hand or shares its name."""
    names: dict[str, Path] = {}
    sizes = {}
    for image in images:
        other = names.setdefault(image.stem.casefold(), image)
        if other != image:
            raise ValueError(f"{path}: {other} and {image} would share one label file")
        size = door.picture_size(image)
        if size is None:
            need = "YOLO labels need the picture's size, and it is not at hand"
            raise ValueError(f"{image}: {need} (--images says where)")
        sizes[image] = size
    return sizes


class Labels(Stream):
    """A folder of YOLO-pose labels under way: `labels` with a text per picture, and `data.yaml`.

    A joint that scores at least `threshold` is labelled with v = 2; any other, and one outside
    the picture, is 0 0 0. With `pictures`, photos are laid into `images` under the names of their
    labels, as a second name of the same file, or where the disk has no such names, as a copy.
    Frames of clips are not written.
    """

    def __init__(
        self, path: Path, skeleton: Skeleton, *, threshold: float = 0.3, pictures: bool = True
    ) -> None:
        super().__init__(path, skeleton)
        self._threshold = threshold
        self._pictures = pictures
        self._photos: dict[str, Path | None] = {}  # by the name of their labels
        save_text(path / "data.yaml", _yaml(skeleton))

    def _write(self, people: People, shot: Shot) -> None:
        if shot.size is None:
            raise ValueError(f"{self.path}: YOLO labels need the size of each picture")
        name = shot.label or Path(shot.name).stem
        if shot.frame is None and self._photos.setdefault(name, shot.image) != shot.image:
            other = self._photos[name]
            raise ValueError(f"{self.path}: {other} and {shot.image} would share one label file")
        has = np.isfinite(people.xy).all(axis=2) & (people.score >= self._threshold)
        flags = np.where(has, 2, 0).astype(np.uint8)
        rows = zip(people.xy, flags, people.box, strict=True)
        text = "".join(line(xy, visible, box, shot.size) for xy, visible, box in rows)
        save_text(self.path / "labels" / f"{name}.txt", text)
        photo = shot.image if self._pictures and shot.frame is None else None
        if photo is not None and photo.is_file():
            _lay(photo, self.path / "images" / f"{name}{photo.suffix}")

    def _finish(self) -> None:
        """Every label file is in its place already."""

    def _drop(self) -> None:
        """What stands there is valid."""


def _lay(photo: Path, place: Path) -> None:
    """Put a photo into a place: the same file under a second name, else a copy of it."""
    if place.exists() and place.samefile(photo):
        return
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as draft:
            try:
                os.link(photo.resolve(), draft)
            except (OSError, NotImplementedError):  # another disk, or one without such names
                shutil.copyfile(photo, draft)
    except OSError as fault:
        raise type(fault)(f"cannot write {place}: {fault.strerror}") from fault


def line(xy: Floats, visible: Bytes, box: Floats, size: tuple[int, int]) -> str:
    """One person's line: class, box and joints as shares of the picture with 10 decimals.

    Args:
        xy: (K, 2) image pixels.
        visible: (K,) 0 not labelled, 1 hidden, 2 seen.
        box: (4,) x0, y0, x1, y1 image pixels.
        size: height and width of the picture.
    """
    scale = np.array([size[1], size[0]], dtype=np.float64)
    ends = (box.astype(np.float64).reshape(2, 2) / scale).clip(0, 1)
    numbers = [*(ends.mean(axis=0)), *(ends[1] - ends[0])]
    share = xy.astype(np.float64) / scale
    for (x, y), v in zip(share, visible, strict=True):
        inside = v and 0 <= x <= 1 and 0 <= y <= 1
        numbers += [x, y, v] if inside else [0, 0, 0]
    return " ".join([str(_PERSON), *(f"{value:.10g}" for value in numbers)]) + "\n"


def _yaml(skeleton: Skeleton, category: str = "person", *, parted: bool = False) -> str:
    """What Ultralytics reads about the data set; flip_idx swaps left and right.

    It passes over `skeleton`, our own key for the bones, which `yolo_joints.skeleton` reads.
    """
    return "".join(
        f"{key}: {value}\n"
        for key, value in {
            "train": "images/train" if parted else "images",
            "val": "images/val" if parted else "images",
            "kpt_shape": [len(skeleton), 3],
            "flip_idx": skeleton.flipped.tolist(),
            "names": "{0: person}" if category == "person" else _json([category]),
            "kpt_names": f"{{0: {_json(skeleton.joints)}}}",
            "skeleton": _json(skeleton.bones),
        }.items()
    )


def _json(value: Any) -> str:
    """JSON, which is YAML too."""
    return json.dumps(value, ensure_ascii=False)
