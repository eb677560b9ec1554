"""What every reader does at the door: open a file or refuse it in one sentence; box a person."""

from __future__ import annotations

import json
import os
import struct
import tomllib
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from posegram import coords
from posegram import image as pictures
from posegram.data.stream import save_text
from posegram.pose import Floats

__all__ = [
    "common_folder",
    "corners",
    "images_beside",
    "inside",
    "load_json",
    "load_mat",
    "load_npy",
    "load_text",
    "load_toml",
    "names_in_mat",
    "person_box",
    "picture_size",
    "require",
    "require_apart",
    "require_pictures",
    "save_json",
    "within",
]

_ASKED = 20  # names of images that must show in which folder they are
FAR = 1e9  # pixels from the corner at which no picture has anything; float32 holds it
_GROWTH = 0.06  # head, hands and feet reach beyond their joints
_BROKEN_MAT = (
    *(ValueError, TypeError, OSError, KeyError, IndexError, OverflowError, MemoryError),
    *(struct.error, zlib.error),
)


def require(path: Path, what: str) -> Path:
    """The path itself when it exists.

    Raises:
        FileNotFoundError: it does not.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such {what}")
    return path


def require_apart(out: Path, sources: Iterable[Path | None]) -> None:
    """See that a file to write is no folder, and none of the files that are read.

    Raises:
        ValueError: it is.
    """
    if out.is_dir():
        raise ValueError(f"cannot write {out}: it is a folder, wanted the name of a file")
    for path in sources:
        if path is not None and out.exists() and path.exists() and out.samefile(path):
            raise ValueError(f"cannot write {out}: it is read, and what is read is never changed")


def require_pictures(images: Iterable[Path], advice: str = "--images says where") -> None:
    """See that people have their pictures, before work begins that needs them all.

    Args:
        images: the pictures.
        advice: what helps where one is missing.

    Raises:
        FileNotFoundError: one is missing.
    """
    wanted = dict.fromkeys(images)
    missing = [path for path in wanted if not path.exists()]
    if missing:
        count = f"{len(missing):,} of {len(wanted):,} pictures missing"
        raise FileNotFoundError(f"there is no file {missing[0]} ({count}; {advice})")


def load_mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file; structs as objects with attributes, axes of length 1 gone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no MATLAB file, is cut off, or is of version 7.3.
    """

    def load(io: Any) -> Any:
        return io.loadmat(path, squeeze_me=True, struct_as_record=False)

    return dict(_open_mat(path, load))


def load_npy(path: Path) -> Any:
    """The array in a .npy file.

    Raises:
        ValueError: it is none, or is cut off.
    """
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as fault:
        raise ValueError(f"{path}: not a readable .npy file, perhaps cut off ({fault})") from fault


def names_in_mat(path: Path) -> set[str]:
    """The names of the variables in a MATLAB file, without reading them.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no MATLAB file, is cut off, or is of version 7.3.
    """
    return {str(name) for name, _, _ in _open_mat(path, lambda io: io.whosmat(path))}


def load_text(path: Path, what: str) -> str:
    """What a UTF-8 file says, without a byte order mark.

    Args:
        path: the file.
        what: what it should be, for the sentence that it is none, such as "list of pictures".

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ValueError(f"{path}: is no {what} ({fault.reason})") from fault


def load_toml(path: Path, what: str) -> dict[str, Any]:
    """What a TOML file says, by key.

    Args:
        path: the file.
        what: what it is, for the sentence that there is none, such as "skeleton file".

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no TOML.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {what} {path}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # Windows' Notepad
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ValueError(f"{path} is not TOML: {fault}") from fault


def _scipy_io(path: Path) -> Any:
    try:
        import scipy.io  # large, and needed for this alone
    except ImportError as fault:
        advice = "reading .mat files needs scipy: pip install 'posegram[train]'"
        raise ImportError(f"{path}: {advice}") from fault
    return scipy.io


def _open_mat(path: Path, read: Callable[[Any], Any]) -> Any:
    """What `read` makes of the file when it is given scipy.io."""
    if require(path, "file").is_dir():
        raise ValueError(f"{path} is a folder, wanted a .mat file")
    io = _scipy_io(path)
    try:
        return read(io)
    except NotImplementedError as fault:
        message = f"{path}: a MATLAB 7.3 file; save it again in MATLAB with the option -v7"
        raise ValueError(message) from fault
    except (*_BROKEN_MAT, io.matlab.MatReadError) as fault:
        message = f"{path}: not a readable MATLAB file, perhaps cut off ({_short(fault)})"
        raise ValueError(message) from fault


def load_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no JSON, or is cut off.
    """
    if require(path, "file").is_dir():
        raise ValueError(f"{path} is a folder, wanted a .json file")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as fault:
        message = f"{path}: not a readable JSON file, perhaps cut off ({_short(fault)})"
        raise ValueError(message) from fault


def _short(fault: BaseException) -> str:
    words = str(fault).splitlines() or [type(fault).__name__]
    return words[0][:120]


def save_json(path: Path, value: Any) -> Path:
    """The path of the JSON file written; it appears whole or not at all.

    Raises:
        OSError: it cannot be written.
        ValueError: the value holds what JSON does not know, such as NaN.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError as fault:
        raise ValueError(
            f"cannot write {path}: it would hold NaN or infinity, which JSON cannot"
        ) from fault
    return save_text(path, text)


def images_beside(path: Path, names: Sequence[str] = ()) -> Path:
    """The folder that most likely holds the images of an annotation file.

    That is `images` beside the file, else its own folder. Where names are given and it holds none
    of the first, the places of COCO and MPII are tried: for `annotations/..._train2017.json` it
    may be `images`, `images/train2017` or `train2017`, beside the file or beside its folder.

    Args:
        path: the file, or a folder of labels.
        names: of the images, as the file has them.
    """
    folder = path if path.is_dir() else path.parent
    usual = folder / "images" if (folder / "images").is_dir() else folder
    above = Path(os.path.normpath(folder / ".."))
    part = path.stem.rpartition("_")[2]
    named = ("", "images", f"images/{part}", part)
    places = [usual, *(root / name for root in (folder, above) for name in named)]
    some = names[:_ASKED]
    return next((p for p in places if any((p / n).is_file() for n in some)), usual)


def common_folder(files: Sequence[Path]) -> Path:
    """The folder in or below which all files lie; absolute where only some of them are."""
    folders = [file.parent for file in files]
    if len({folder.is_absolute() for folder in folders}) > 1:
        folders = [folder.absolute() for folder in folders]
    return Path(os.path.commonpath(folders))


def within(file: Path, folder: Path) -> str:
    """What a file is called from a folder: absolute where an absolute folder does not hold it."""
    place = file.absolute() if folder.is_absolute() else file
    return (place.relative_to(folder) if place.is_relative_to(folder) else place).as_posix()


def picture_size(path: Path) -> tuple[int, int] | None:
    """Height and width of the upright picture, from its header; None where none can be read."""
    try:
        return pictures.probe(path)
    except (OSError, ValueError):
        return None


def inside(xy: Floats, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which points lie in a picture of that height and width, (...,) for (..., 2) pixels.

    A label may be off by up to a pixel, whether its maker counted from 0 or from 1; so the
    picture counts as one pixel wider on every side.
    """
    height, width = size
    x, y = xy[..., 0], xy[..., 1]
    held = (x >= -1) & (y >= -1) & (x <= width) & (y <= height)
    return np.asarray(held, dtype=np.bool_)


def corners(bbox: Sequence[float]) -> list[float]:
    """A box x0, y0, x1, y1 from COCO's x, y, width, height.

    Raises:
        TypeError: it holds something else than numbers.
        ValueError: it holds other than four numbers of pixels, or a side is negative.
    """
    numbers = [float(value) for value in bbox]
    if len(numbers) != 4 or not all(abs(n) < FAR for n in numbers) or min(numbers[2:]) < 0:
        raise ValueError(f"`bbox` {bbox} is not x, y, width, height")
    x, y, width, height = numbers
    return [x, y, x + width, y + height]


def person_box(xy: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    """Box of a person from joints, (4,): their bounds grown by 6 % of the longer side each way.

    Args:
        xy: (K, 2) pixels.
        usable: (K,) which joints count.
    """
    box = coords.bounds(xy, usable)
    grow = _GROWTH * max(float(box[2] - box[0]), float(box[3] - box[1]))
    return np.asarray(box + np.array([-grow, -grow, grow, grow]), dtype=np.float32)
