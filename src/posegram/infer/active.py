"""Which photos are most worth labelling by hand, and a folder to label them from.

A person's doubt is a number from 0 to 1: the mean over the joints of (entropy + disagreement) / 2.
The entropy, in bits, is that of the joint's probability p of being right: most at p = 0.5, little
where the model knows that it cannot see the joint. The disagreement compares the mirrored picture:
p (1 - exp(-(d / r)^2)), with d the distance of both positions and r a tenth of the box's longer
side. A photo is as doubtful as its most doubtful person.
"""

from __future__ import annotations

import csv
import io
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posegram import image as pictures
from posegram.data import door, split
from posegram.data.stream import save_text
from posegram.infer import boxes as given_boxes
from posegram.infer.label import Label, Task, write
from posegram.infer.topdown import TopDown
from posegram.pose import Floats, Image, People, Sample

__all__ = ["Doubtful", "choose", "doubts", "prefilled", "room", "without", "write_round"]

_REACH = 0.1  # of the box's longer side, beyond which two positions are two opinions
_COLUMNS = ("rank", "photo", "people", "doubt", "entropy", "disagreement", "chosen")
_POOL = 4  # how many times the wanted photos are looked at for near duplicates
_SHEET, _TILE = 60, 240  # photos on the contact sheet, pixels of a tile


@dataclass(frozen=True, eq=False)
class Doubtful:
    """One photo, the people found in it and how doubtful they are."""

    photo: Path
    people: People
    terms: Floats  # (N, 2) entropy and disagreement of each person, 0 to 1
    whole: bool = False  # the photo was taken as one person; then the joints' own bounds are taken

    @property
    def most(self) -> Floats:
        """Entropy and disagreement of the most doubtful person, (2,); 0 where nobody is."""
        if not len(self.terms):
            return np.zeros(2, dtype=np.float32)
        return np.asarray(self.terms[self.terms.sum(axis=1).argmax()], dtype=np.float32)

    @property
    def doubt(self) -> float:
        """The photo's doubt, 0 to 1."""
        return float(self.most.mean())


def doubts(estimate: TopDown, image: Image, people: People, *, whole: bool = False) -> Floats:
    """Entropy and disagreement of each person, (N, 2), 0 to 1; costs one more look at each.

    Args:
        estimate: found the people.
        image: (H, W, 3) uint8 RGB.
        people: whose joints are judged.
        whole: the picture was taken as one person, without a box.
    """
    if not len(people):
        return np.zeros((0, 2), dtype=np.float32)
    edge = image.shape[1] - 1
    box = people.box.copy()
    box[:, [0, 2]] = edge - people.box[:, [2, 0]]
    other = estimate(np.ascontiguousarray(image[:, ::-1]), None if whole else box)
    xy = other.xy[:, people.skeleton.flipped]
    xy[..., 0] = edge - xy[..., 0]
    side = np.maximum((people.box[:, 2:] - people.box[:, :2]).max(axis=1), 1.0)[:, None]
    apart = np.linalg.norm(people.xy - xy, axis=2) / side / _REACH
    p = np.clip(people.score.astype(np.float64), 1e-9, 1 - 1e-9)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    terms = np.stack([entropy, p * (1 - np.exp(-(apart**2)))], axis=2)
    has = np.isfinite(apart)
    total = np.where(has[..., None], terms, 0).sum(axis=1)
    return np.asarray(total / np.maximum(has.sum(axis=1), 1)[:, None], dtype=np.float32)


def without(work: Sequence[Task], labelled: Sequence[Path]) -> list[Task]:
    """The photos that no COCO file of `labelled` lists, by file name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no annotation file, or no photo is left.
    """
    listed: set[Path] = set()
    for path in labelled:
        listed |= set(given_boxes.match([t.photo for t in work], given_boxes.read_boxes(path)))
    left = [task for task in work if task.photo not in listed]
    if not left:
        raise ValueError(f"every photo is listed in {', '.join(map(str, labelled))}")
    return left


def choose(found: Sequence[Doubtful], count: int) -> tuple[list[Doubtful], list[Doubtful]]:
    """All photos, the most doubtful first, and up to `count` of them that are worth labelling.

    A near duplicate of a photo that was chosen is passed over; so are photos of nobody.
    """
    ranked = sorted(found, key=lambda one: -one.doubt)
    pool = [one for one in ranked if len(one.people)][: _POOL * count]
    alike: dict[int, set[int]] = {}
    for a, b in split.near_duplicates([one.photo for one in pool]).tolist():
        alike.setdefault(b, set()).add(a)
    kept: list[int] = []
    for place in range(len(pool)):
        if len(kept) < count and not alike.get(place, set()) & set(kept):
            kept.append(place)
    return ranked, [pool[place] for place in kept]


def prefilled(one: Doubtful, photo: Path, size: tuple[int, int], *, least: float) -> list[Label]:
    """The people of a photo as labels to be corrected, every joint placed.

    The flag is 2 (seen) where the score is at least `least`, 1 (hidden, for a look) below it, and
    0 outside the picture. Somebody without any joint of that score is left out. Labels that a
    person corrects count fully, so they have no weights.

    Args:
        one: the photo and its people.
        photo: the file that is labelled, a copy.
        size: height and width of the photo.
        least: the smallest score that counts as seen.
    """
    made = []
    people = one.people
    for xy, score, box in zip(people.xy, people.score, people.box, strict=True):
        inside = np.isfinite(xy).all(axis=1) & door.inside(np.nan_to_num(xy, nan=-9), size)
        flags = np.where(inside, np.where(score >= least, 2, 1), 0).astype(np.uint8)
        if (flags == 2).any():
            places = np.where(inside[:, None], xy, 0).astype(np.float32)
            around = door.person_box(xy, inside) if one.whole else box
            sample = Sample(photo, places, flags, around, None, None, people.skeleton)
            made.append(Label(sample, score, "model"))
    return made


def write_round(
    out: Path,
    ranked: Sequence[Doubtful],
    chosen: Sequence[Doubtful],
    info: dict[str, Any],
    *,
    least: float,
) -> int:
    """Write what a person labels from, and return the number of people in it.

    Beside the COCO file `out`: the chosen photos in `images/`, the ranking of all photos as
    .ranking.csv, and the chosen ones with what was found drawn in, the most doubtful first, as
    .sheet.png.

    Args:
        out: the COCO file.
        ranked: all photos in order.
        chosen: those to label.
        info: goes into the file's `info`.
        least: see `prefilled`.

    Raises:
        ValueError: `images` holds other photos.
    """
    labels: list[Label] = []
    sizes: dict[Path, tuple[int, int]] = {}
    with _copies(out, [one.photo for one in chosen]) as copies:
        for one, copy in zip(chosen, copies, strict=True):
            sizes[copy] = pictures.probe(copy)
            labels += prefilled(one, copy, sizes[copy], least=least)
        _rank(out.with_suffix(".ranking.csv"), ranked, chosen)
        tiles = [_tile(rank, one, least) for rank, one in enumerate(chosen[:_SHEET], 1)]
        if tiles:
            pictures.write(out.with_suffix(".sheet.png"), pictures.grid(tiles, min(6, len(tiles))))
        write(out, labels, sizes, info, ranked[0].people.skeleton)
    return len(labels)


def room(out: Path) -> Path:
    """The folder `images` beside a file, where the photos of a round go.

    Raises:
        ValueError: it holds something.
    """
    folder = out.parent / "images"
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; give each round a folder of its own")
    return folder


@contextmanager
def _copies(out: Path, photos: Sequence[Path]) -> Iterator[list[Path]]:
    """Copies in the folder `images` beside a file, all or none; gone again if the block fails."""
    folder = room(out)
    made = folder.with_name(f".images-{uuid.uuid4().hex}")
    try:
        made.mkdir(parents=True)
        names = [_copy(photo, made) for photo in photos]
        if folder.is_dir():
            folder.rmdir()  # it is empty, and not every system renames onto a folder
        made = made.rename(folder)
        yield [(folder / name).absolute() for name in names]
    except BaseException:  # or the next try would find the room taken
        shutil.rmtree(made, ignore_errors=True)
        raise


def _copy(photo: Path, folder: Path) -> str:
    """The name under which a photo was copied into a folder, where no other has it."""
    name, count = photo.name, 1
    while (folder / name).exists():
        count += 1
        name = f"{photo.stem}_{count}{photo.suffix}"
    shutil.copyfile(photo, folder / name)
    return name


def _rank(path: Path, ranked: Sequence[Doubtful], chosen: Sequence[Doubtful]) -> None:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(_COLUMNS)
    wanted = {one.photo for one in chosen}
    for rank, one in enumerate(ranked, 1):
        numbers = [f"{value:.4f}" for value in (one.doubt, *one.most)]
        photo = one.photo.as_posix()
        rows.writerow([rank, photo, len(one.people), *numbers, int(one.photo in wanted)])
    save_text(path, text.getvalue())


def _tile(rank: int, one: Doubtful, least: float) -> Image:
    """A small picture of a photo with its people, rank and doubt."""
    image = pictures.read(one.photo)
    drawn = pictures.draw(image, one.people, threshold=min(least, 0.2))
    scale = _TILE / max(drawn.shape[:2])
    size = max(1, round(drawn.shape[1] * scale)), max(1, round(drawn.shape[0] * scale))
    small = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    text = f"{rank}: {one.doubt:.2f}"
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(small, text, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thick, cv2.LINE_AA)
    return small
