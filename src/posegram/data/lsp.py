"""Leeds Sports Pose and its extension: `joints.mat` and a folder of numbered JPEG files.

The two files look alike and mean opposite things (Johnson & Everingham, BMVC 2010, CVPR 2011):

| set | axes of `joints` | third number | file names |
|---|---|---|---|
| LSP | 3 x 14 x N | 1 = hidden | im0001.jpg |
| LSP-extended | 14 x 3 x N | 1 = labelled | im00001.jpg |
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from posegram import image as pictures
from posegram.data import door, joints
from posegram.data.stream import save_bytes, save_text
from posegram.files import replacing
from posegram.pose import LSP14, Bytes, Floats, Sample

__all__ = ["read", "write"]

_FEWEST = 2  # joints that a person must have to be of use


def read(
    path: Path, images: Path | None = None, *, first: int = 1, last: int | None = None
) -> list[Sample]:
    """The people of one set, told apart by its axes; pixels counted from 0.

    Labels that LSP-extended does not give are masked, and so are labels outside the picture where
    the picture is at hand. Somebody with fewer than two joints left is left out. The box is the
    joints' bounds grown by 6 % of the longer side each way. LSP knows seen (2) from hidden (1)
    joints; every labelled joint of LSP-extended counts as seen.

    Args:
        path: `joints.mat` or the folder that holds it.
        images: the pictures' folder; by default `images` beside the file.
        first: number of the first image to read, from 1.
        last: number of the last one; by default the last of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file has no `joints` of either layout, or not all the images asked for.
    """
    path = path / "joints.mat" if path.is_dir() else path
    images = images or door.images_beside(path)
    xy, visible, digits = _labels(path)
    last = len(xy) if last is None else last
    if not 1 <= first <= last <= len(xy):
        raise ValueError(f"{path}: holds images 1 to {len(xy)}, so not {first} to {last}")
    found = []
    for row in range(first - 1, last):
        image = images / f"im{row + 1:0{digits}d}.jpg"
        sample = _sample(image, xy[row], visible[row])
        if sample is not None:
            found.append(sample)
    return found


def _labels(path: Path) -> tuple[Floats, Bytes, int]:
    """Joints (N, 14, 2) counted from 0, flags (N, 14), and the digits of a file name."""
    joints = door.load_mat(path).get("joints")
    if not isinstance(joints, np.ndarray) or joints.dtype.kind not in "fiu":
        raise ValueError(f"{path}: has no array `joints`, so it is no LSP annotation file")
    joints = joints[..., None] if joints.ndim == 2 else joints
    k = len(LSP14)
    if joints.ndim == 3 and joints.shape[:2] == (3, k):
        people = joints.transpose(2, 1, 0).astype(np.float64)
        visible = np.where(people[..., 2] > 0, 1, 2)
        digits = 4
    elif joints.ndim == 3 and joints.shape[:2] == (k, 3):
        people = joints.transpose(2, 0, 1).astype(np.float64)
        visible = np.where(people[..., 2] > 0, 2, 0)
        digits = 5
    else:
        shape = " x ".join(str(n) for n in joints.shape)
        wanted = "3 x 14 x N (LSP) or 14 x 3 x N (LSP-extended)"
        raise ValueError(f"{path}: `joints` is {shape}, wanted {wanted}")
    visible[~np.isfinite(people).all(axis=-1)] = 0
    xy = np.nan_to_num(people[..., :2] - 1, posinf=0.0, neginf=0.0)  # MATLAB counts from 1
    return xy.astype(np.float32), visible.astype(np.uint8), digits


def _sample(image: Path, xy: Floats, visible: Bytes) -> Sample | None:
    size = door.picture_size(image)
    if size is not None:
        visible = np.where(door.inside(xy, size), visible, 0).astype(np.uint8)
    usable: npt.NDArray[np.bool_] = visible > 0
    if usable.sum() < _FEWEST:
        return None
    xy = np.where(usable[:, None], xy, 0).astype(np.float32)
    box = door.person_box(xy, usable)
    return Sample(image, xy, visible, box, head=None, area=None, skeleton=LSP14)


def write(path: Path, samples: Sequence[Sample], *, copy: bool = True) -> Path:
    """The folder written: `joints.mat` in LSP's layout, counted from 1, and `images`.

    Person n is image n, `im0001.jpg` and so on, so a picture of two people is copied twice;
    `images.txt` holds the picture that each was. The third number is 1 for hidden joints; a joint
    without label, for which LSP has no sign, is NaN.

    Args:
        path: the folder.
        samples: people of any skeleton; joints that LSP lacks are left out.
        copy: put the pictures into `images`; those that are no JPEG are encoded anew.

    Raises:
        FileNotFoundError: a picture is missing.
        ValueError: there is nobody to write.
    """
    from scipy.io import savemat  # large, and needed for this alone

    if not samples:
        raise ValueError(f"{path}: there is nobody to write")
    rows = np.zeros((3, len(LSP14), len(samples)))
    for n, sample in enumerate(joints.in_skeleton(s, LSP14) for s in samples):
        labelled = sample.visible[:, None] > 0
        rows[:2, :, n] = np.where(labelled, sample.xy.astype(np.float64) + 1, np.nan).T
        rows[2, :, n] = sample.visible == 1
    for sample in samples if copy else ():  # all of them, before anything is written
        door.require(sample.image, "picture")
    path.mkdir(parents=True, exist_ok=True)
    with replacing(path / "joints.mat") as part:
        savemat(str(part), {"joints": rows}, appendmat=False, do_compression=True)
    save_text(path / "images.txt", "".join(f"{s.image.as_posix()}\n" for s in samples))
    for n, sample in enumerate(samples if copy else (), start=1):
        _copy(sample.image, path / "images" / f"im{n:04d}.jpg")
    return path


def _copy(source: Path, target: Path) -> None:
    if source.suffix.lower() in (".jpg", ".jpeg"):
        save_bytes(target, source.read_bytes())
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        pictures.write(target, pictures.read(source))
