"""The dataset doctor: what a set of annotated people holds, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posegram.data import door, split
from posegram.pose import Sample

__all__ = ["JointCount", "PairCount", "Report", "check"]

_TINY = 32  # pixels: COCO counts people below 32 x 32 as small and does not score them
_NAMED = 3  # examples that a sentence names


@dataclass(frozen=True)
class JointCount:
    """How often one joint was labelled, and how."""

    joint: str
    labelled: int
    hidden: int
    outside: int  # of the picture; 0 where the picture is not at hand


@dataclass(frozen=True)
class PairCount:
    """A left/right pair: on whose side of the picture the left joint lies."""

    pair: tuple[str, str]
    both: int  # people with both labelled
    facing: float  # share of those whose left joint is on the picture's right, as seen from front


@dataclass(frozen=True)
class Report:
    """What `check` found; no fault means that the set can be trained on as it is."""

    people: int
    images: int
    present: int  # images that are at hand
    joints: tuple[JointCount, ...]
    pairs: tuple[PairCount, ...]
    faults: tuple[str, ...]  # sentences: wrong data
    notes: tuple[str, ...]  # sentences: good to know


def check(samples: Sequence[Sample], *, copies: bool = True) -> Report:
    """Counts, faults and notes of a set.

    Faults: some pictures missing or unreadable, joints or boxes outside their picture, empty boxes,
    a person twice. Notes: no picture at hand, people without joints, tiny people, people whose
    shoulders and hips disagree on left and right, near-duplicate photos.

    Args:
        samples: what a reader gave.
        copies: look for near-duplicate photos too, which reads every picture.
    """
    images = list(dict.fromkeys(s.image for s in samples))
    sizes = {image: door.picture_size(image) for image in images}
    outside = [_outside(s, sizes[s.image]) for s in samples]
    present = [image for image in images if image.exists()]
    return Report(
        people=len(samples),
        images=len(images),
        present=len(present),
        joints=_count_joints(samples, outside),
        pairs=_count_pairs(samples),
        faults=tuple(filter(None, _faults(samples, sizes, outside))),
        notes=tuple(filter(None, _notes(samples, images, present if copies else []))),
    )


def _outside(sample: Sample, size: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    """Which labelled joints lie outside the picture, (K,)."""
    labelled: npt.NDArray[np.bool_] = sample.visible > 0
    return labelled & (~door.inside(sample.xy, size) if size else False)


def _count_joints(
    samples: Sequence[Sample], outside: Sequence[npt.NDArray[np.bool_]]
) -> tuple[JointCount, ...]:
    labelled: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    out: Counter[str] = Counter()
    for sample, beyond in zip(samples, outside, strict=True):
        for row, joint in enumerate(sample.skeleton.joints):
            labelled[joint] += int(sample.visible[row] > 0)
            hidden[joint] += int(sample.visible[row] == 1)
            out[joint] += int(beyond[row])
    return tuple(JointCount(j, labelled[j], hidden[j], out[j]) for j in labelled)


def _count_pairs(samples: Sequence[Sample]) -> tuple[PairCount, ...]:
    sides: dict[tuple[str, str], list[bool]] = {}
    for sample in samples:
        for pair in sample.skeleton.mirror:
            step = _step(sample, pair)
            if step is not None:
                sides.setdefault(pair, []).append(step > 0)
    return tuple(PairCount(pair, len(s), float(np.mean(s))) for pair, s in sides.items())


def _step(sample: Sample, pair: tuple[str, str]) -> float | None:
    """Pixels from the right joint to the left one, rightwards; None where one is not labelled."""
    if not set(pair) <= set(sample.skeleton.joints):
        return None
    left, right = (sample.skeleton.index(joint) for joint in pair)
    if not (sample.visible[left] and sample.visible[right]):
        return None
    return float(sample.xy[left, 0] - sample.xy[right, 0])


def _faults(
    samples: Sequence[Sample],
    sizes: dict[Path, tuple[int, int] | None],
    outside: Sequence[npt.NDArray[np.bool_]],
) -> list[str]:
    missing = [p.name for p in sizes if not p.exists()]
    broken = [p.name for p, size in sizes.items() if size is None and p.exists()]
    beyond = [s.image.name for s, out in zip(samples, outside, strict=True) if out.any()]
    flat = [s.image.name for s in samples if not (s.box[2:] > s.box[:2]).all()]
    away = [s.image.name for s in samples if _away(s, sizes[s.image])]
    return [
        _sentence(missing, "images are missing") if len(missing) < len(sizes) else "",
        _sentence(broken, "images cannot be read"),
        _sentence(beyond, "people have labelled joints outside their picture"),
        _sentence(flat, "people have an empty box"),
        _sentence(away, "people have a box outside their picture"),
        _sentence(_twice(samples), "people stand in the set twice"),
    ]


def _away(sample: Sample, size: tuple[int, int] | None) -> bool:
    if size is None:
        return False
    x0, y0, x1, y1 = sample.box
    return bool(x1 < 0 or y1 < 0 or x0 > size[1] or y0 > size[0])


def _twice(samples: Sequence[Sample]) -> list[str]:
    """Image names of people whose box and joints all stand in the set before."""
    keys = Counter((s.image, s.box.tobytes(), s.xy.tobytes(), s.visible.tobytes()) for s in samples)
    return [key[0].name for key, count in keys.items() if count > 1]


def _notes(samples: Sequence[Sample], images: list[Path], present: list[Path]) -> list[str]:
    bare = [s.image.name for s in samples if not s.visible.any()]
    tiny = [s.image.name for s in samples if (s.box[2:] - s.box[:2]).max() < _TINY]
    crossed = [s.image.name for s in samples if _crossed(s)]
    absent = "no image is at hand, so nothing was checked against the pictures"
    return [
        "" if any(image.exists() for image in images) else absent,
        _sentence(bare, "people have no labelled joint"),
        _sentence(tiny, f"people have a box below {_TINY} pixels"),
        _sentence(crossed, "people have shoulders and hips on opposite sides: twisted or swapped"),
        _sentence(_copies(present), "groups of images are near duplicates"),
    ]


def _crossed(sample: Sample) -> bool:
    """Whether the left shoulder is left and the left hip right, or the reverse, both clearly."""
    steps = [_step(sample, (f"left_{part}", f"right_{part}")) for part in ("shoulder", "hip")]
    least = 0.1 * float((sample.box[2:] - sample.box[:2]).max())
    clear = [s for s in steps if s is not None and abs(s) > least]
    return len(clear) == 2 and clear[0] * clear[1] < 0


def _copies(images: list[Path]) -> list[str]:
    """The names in each group of near-duplicate images, joined by `=`."""
    members: dict[int, list[str]] = {}
    for image, group in zip(images, split.groups(images).tolist(), strict=True):
        members.setdefault(group, []).append(image.name)
    return ["=".join(names) for names in members.values() if len(names) > 1]


def _sentence(names: Iterable[str], what: str) -> str:
    """How many, what, and the first few by name; empty for none."""
    names = list(names)
    if not names:
        return ""
    more = ", ..." if len(names) > _NAMED else ""
    return f"{len(names):,} {what} ({', '.join(names[:_NAMED])}{more})"
