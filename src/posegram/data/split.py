"""Training and validation people apart: no photo, and no near copy of it, is on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from posegram.pose import Floats, Ints, Sample

__all__ = ["groups", "near_duplicates", "split"]

# Two photos are near copies when three views of their thumbnails agree. Set on the 11,000 photos of
# LSP and LSP-extended: all 30 known copies are found, and 48 pairs in all, of which one is false.
_BITS = 0.5  # agreeing less disagreeing bits / all bits: at most a quarter may differ
_LIKENESS = 0.9  # correlation of the grey values
_GRADIENT = (16, 17)  # thumbnail of the difference hash: 16 rows of 16 steps
_GREY = 32  # side of the thumbnail for the DCT hash and the correlation
_WAVES = 16  # side of the DCT's low corner that makes the hash
_BLOCK = 1024  # images compared with all others at a time


def split(
    samples: Sequence[Sample], *, share: float = 0.1, seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """Training and validation people, each in the order of `samples`.

    People of one image, of one file under two names and of near-duplicate photos stay together.
    Reads every picture once, about 1 ms each; a missing one is judged by its path alone.

    Args:
        samples: who is to be parted.
        share: of the people to put into validation, about; groups are never cut.
        seed: another seed gives another choice.

    Raises:
        ValueError: the share is not between 0 and 1, or there are not two groups to part.
    """
    if not 0 < share < 1:
        raise ValueError(f"the validation share is {share}, wanted a number between 0 and 1")
    images = list(dict.fromkeys(s.image for s in samples))
    group = dict(zip(images, groups(images).tolist(), strict=True))
    members = np.bincount([group[s.image] for s in samples]) if samples else np.zeros(0, int)
    if len(members) < 2:
        raise ValueError(f"{len(samples)} people of one photo or of its copies cannot be parted")
    held = _choose(members, max(1, round(share * len(samples))), seed)
    train = [s for s in samples if group[s.image] not in held]
    return train, [s for s in samples if group[s.image] in held]


def _choose(members: Ints, wanted: int, seed: int) -> set[int]:
    """Groups of `wanted` people in all, or a little fewer; at least one group."""
    order = np.random.default_rng(seed).permutation(len(members))
    chosen: set[int] = set()
    count = 0
    for group in order.tolist():
        if count + members[group] <= wanted:
            chosen.add(group)
            count += int(members[group])
    return chosen or {int(np.argmin(members))}


def groups(images: Sequence[Path]) -> Ints:
    """Number of each image's group of near duplicates, (N,), from 0 without gaps."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = near_duplicates(images).T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(images), len(images)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def near_duplicates(images: Sequence[Path]) -> Ints:
    """Pairs of images that show nearly the same picture, (P, 2) positions, first < second.

    The difference hash compares neighbours, the DCT hash compares waves with their median, and the
    correlation compares grey values; each alone takes some different photos for copies. A copy in
    another crop or mirrored is not found. Files that cannot be read are left out.
    """
    read = [(n, v) for n, v in ((n, _views(p)) for n, p in enumerate(images)) if v is not None]
    if len(read) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    place = np.array([n for n, _ in read], dtype=np.int64)
    steps, waves, grey = (np.stack([v[i] for _, v in read]) for i in range(3))
    pairs = [
        _alike(start, steps, waves, grey) for start in range(0, len(read), _BLOCK)
    ]  # (P, 2) each
    return np.asarray(place[np.concatenate(pairs)], dtype=np.int64)


def _alike(start: int, steps: Floats, waves: Floats, grey: Floats) -> Ints:
    """Pairs of one block of rows with all rows behind each, (P, 2)."""
    rows = slice(start, start + _BLOCK)
    near: npt.NDArray[np.bool_] = steps[rows] @ steps.T >= _BITS
    near &= waves[rows] @ waves.T >= _BITS
    a, b = np.nonzero(near)
    a += start
    a, b = a[a < b], b[a < b]
    kept = (grey[a] * grey[b]).sum(axis=1) >= _LIKENESS
    return np.stack([a[kept], b[kept]], axis=1)


def _views(path: Path) -> tuple[Floats, Floats, Floats] | None:
    """Three unit vectors of a picture: gradient signs, DCT signs, grey values; None if unreadable.

    The dot product of two of them is 1 for equal pictures and about 0 for unrelated ones.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if picture is None:
        return None
    shape = _GRADIENT[::-1]
    small = cv2.resize(picture, shape, interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = cv2.resize(picture, (_GREY, _GREY), interpolation=cv2.INTER_AREA).astype(np.float32)
    # the first wave is the mean brightness, which says nothing about likeness
    wave = cv2.dct(grey)[:_WAVES, :_WAVES].ravel()[1:]
    signs = np.where(np.diff(small, axis=1) > 0, 1.0, -1.0).ravel()
    return (
        _unit(signs),
        _unit(np.where(wave > np.median(wave), 1.0, -1.0)),
        _unit(grey.ravel() - grey.mean()),
    )


def _unit(vector: npt.NDArray[np.floating]) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), dtype=np.float32)
