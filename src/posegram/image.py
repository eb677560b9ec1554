"""Pictures: read, probe, write, draw people into them, lay them out in a grid."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.TiffImagePlugin

from posegram.drawing import draw, require_picture
from posegram.files import replacing
from posegram.pose import Floats, Image

__all__ = [
    "LIMIT",
    "SUFFIXES",
    "WRITTEN",
    "Picture",
    "draw",
    "grid",
    "probe",
    "read",
    "rgb",
    "write",
]

Source = str | Path | bytes | IO[bytes]
Picture = Image | PIL.Image.Image | Source  # what people hold when they say picture

WRITTEN = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
SUFFIXES = (*WRITTEN, ".gif", ".avif", ".heic", ".heif")  # of what is read
LIMIT = 89_000_000  # pixels; Pillow itself warns of a decompression bomb a little above

_TOO_LARGE = (
    f"{{}} has more than {LIMIT:,} pixels, which is refused as a decompression bomb; "
    "give a smaller copy"
)
_QUALITY = {  # what cv2 takes for each of WRITTEN
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".png": [],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
    **{suffix: [] for suffix in (".bmp", ".tif", ".tiff")},
}
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # major brands
_BOMBS = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)
# what Pillow's decoders are known to raise on damaged bytes
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, RuntimeError, struct.error)

_WHITES = (1, 255, 65_535)  # what programs that store numbers with a point call white
_ORIENTATION = 0x0112  # the EXIF tag; its values, CIPA DC-008 table 4.6.4: how to stand upright
_PNG_EXIF = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")  # where a PNG may have it
_WIDTH, _HEIGHT = 256, 257  # tags of TIFF
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}


def read(source: Source) -> Image:
    """The picture in a file (a path, or open) or in bytes, (H, W, 3) uint8 RGB, upright by EXIF.

    JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF and HEIC are read; of a TIFF the first page, of a GIF the
    first frame. Transparent parts become white; 16-bit grey is scaled to 8, and so are numbers with
    a point, whose white is 1, 255, 65,535 or the largest, the first that holds them all.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, no image, damaged, cut off or has over `LIMIT` pixels; or it
            is HEIC, whose decoder (extra `heic`) is not installed.
    """
    data, name = _source(source)
    return _decoded(_open(data, name), name)


def rgb(picture: Picture) -> Image:
    """A picture of any kind as networks take it, (H, W, 3) uint8 RGB.

    Args:
        picture: such an array, returned as it is; a grey (H, W) or transparent (H, W, 4) one; an
            image of Pillow's; or what `read` takes.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an array of another shape or type, or what `read` refuses.
    """
    image: Any = picture
    if isinstance(picture, np.ndarray):
        image = _coloured(picture)
    elif isinstance(picture, PIL.Image.Image):
        image = _decoded(picture, "the image")
    elif isinstance(picture, (str, Path, bytes)) or hasattr(picture, "read"):
        image = read(picture)
    require_picture(image)
    return np.asarray(image)


def _coloured(array: npt.NDArray[np.uint8]) -> Image:
    """A grey or transparent array with three colours; any other as it is."""
    grey = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if (
        grey.dtype != np.uint8
        or not grey.size
        or (grey.ndim, *grey.shape[2:]) not in ((2,), (3, 4))
    ):
        return array
    return _upright(PIL.Image.fromarray(grey))


def probe(source: Source) -> tuple[int, int]:
    """Height and width of the upright picture in a file or in bytes; its pixels stay undecoded.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `read`, except that damage behind the header goes unseen.
    """
    data, name = _source(source)
    opened = _open(data, name)
    width, height = _stored(opened)
    # Pillow decodes a PNG without EXIF to look for some behind its pixels
    may_turn = opened.format != "PNG" or any(mark in data for mark in _PNG_EXIF)
    return (width, height) if may_turn and _orientation(opened) >= 5 else (height, width)


def write(path: str | Path, image: Image) -> None:
    """Write a picture (H, W, 3) uint8 RGB as its suffix says; the file appears whole or not at all.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: the suffix is none of `WRITTEN` or the array is no picture.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITTEN:
        raise ValueError(f"cannot write {path}: its name must end in one of {', '.join(WRITTEN)}")
    require_picture(image)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(path.suffix.lower(), bgr, _QUALITY[path.suffix.lower()])
    if not done:  # WebP, for one, ends at 16,383 pixels a side
        raise ValueError(f"cannot write {path}: {image.shape[1]}x{image.shape[0]} is too large")
    with replacing(path) as part:
        part.write_bytes(data.tobytes())


def _source(source: Source) -> tuple[bytes, str]:
    """The bytes of a file, or the bytes given, and what to call them."""
    if isinstance(source, (str, Path)):
        return _bytes(Path(source)), str(source)
    data = source if isinstance(source, bytes) else source.read()
    if not isinstance(data, bytes):
        raise ValueError(
            "a picture is read from a file that was opened for bytes: open(FILE, 'rb')"
        )
    return data, "the data"


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not an image")
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    return path.read_bytes()


def _open(data: bytes, name: str) -> PIL.Image.Image:
    """The picture with its header parsed and its size judged, before anything is decoded."""
    if not data:
        raise ValueError(f"{name} is empty")
    kinds = _FORMATS if data[4:8] != b"ftyp" else _family(data, name)
    try:
        opened = PIL.Image.open(io.BytesIO(data), formats=kinds)
    except _BOMBS as fault:
        raise ValueError(_TOO_LARGE.format(name)) from fault
    except _DAMAGE as fault:
        known = "JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC"
        raise ValueError(f"{name} is not a readable {known} image") from fault
    return _bounded(opened, name)


def _bounded(opened: PIL.Image.Image, name: str) -> PIL.Image.Image:
    if opened.size[0] * opened.size[1] > LIMIT:
        raise ValueError(_TOO_LARGE.format(name))
    return opened


def _decoded(opened: PIL.Image.Image, name: str) -> Image:
    try:
        return _upright(_bounded(opened, name))
    except _DAMAGE as fault:
        raise ValueError(f"{name} is damaged or cut off: {fault}") from fault


def _family(data: bytes, name: str) -> tuple[str, ...]:
    """What a file that begins like an AVIF or HEIC may be; Pillow learns HEIC here."""
    if data[8:12] not in _HEIC or b"avif" in data[12:64]:
        return ("AVIF",) if find_spec("PIL.AvifImagePlugin") else _FORMATS  # Pillow 11.3
    try:
        from pi_heif import register_heif_opener  # decodes only: the whole library has GPL parts
    except ImportError as fault:
        advice = "pip install 'posegram[heic]'"
        raise ValueError(f"{name} is a HEIC photo, which needs a decoder: {advice}") from fault
    register_heif_opener()
    return ("HEIF",)


def _stored(opened: PIL.Image.Image) -> tuple[int, int]:
    """Width and height before any turn; of a TIFF, some versions of Pillow tell those after it."""
    if isinstance(opened, PIL.TiffImagePlugin.TiffImageFile):
        return opened.tag_v2[_WIDTH], opened.tag_v2[_HEIGHT]
    return opened.size


def _orientation(opened: PIL.Image.Image) -> int:
    try:
        value = int(opened.getexif().get(_ORIENTATION, 1))
    except (*_DAMAGE, TypeError, KeyError):  # broken EXIF must not cost the photo
        return 1
    return value if 1 <= value <= 8 else 1


def _upright(opened: PIL.Image.Image) -> Image:
    opened.load()
    turn = _UPRIGHT.get(_orientation(opened))  # only now: Pillow turns a TIFF itself
    picture = _rgb(opened)
    return np.array(picture if turn is None else picture.transpose(turn), dtype=np.uint8)


def _rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode == "F":
        return _grey(np.nan_to_num(np.asarray(picture), nan=0.0, posinf=0.0, neginf=0.0))
    if picture.mode.startswith("I"):  # Pillow would clip 16 bits to 8, not scale them
        grey = np.asarray(picture).astype(np.int64) >> 8
        return PIL.Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", clear.size, "white")
        return PIL.Image.alpha_composite(white, clear).convert("RGB")
    return picture.convert("RGB")


def _grey(numbers: Floats) -> PIL.Image.Image:
    """Numbers with a point, (H, W), which Pillow would cut off instead of scaling, as a picture."""
    most = float(numbers.max())
    white = next((top for top in _WHITES if most <= top), most)
    grey = np.rint(numbers.clip(0) * (255 / white)).astype(np.uint8)
    return PIL.Image.fromarray(grey).convert("RGB")


def grid(images: Sequence[Image], columns: int) -> Image:
    """Pictures side by side in rows of `columns`, (H, W, 3) uint8, each centred in an equal cell.

    Raises:
        ValueError: there is no picture or no column.
    """
    if not images or columns < 1:
        raise ValueError(f"a grid needs pictures and columns, not {len(images)} and {columns}")
    for image in images:
        require_picture(image)
    gap = 4
    cell_h, cell_w = (max(image.shape[axis] for image in images) + gap for axis in (0, 1))
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * cell_h + gap, columns * cell_w + gap, 3), 32, dtype=np.uint8)
    for n, image in enumerate(images):
        height, width = image.shape[:2]
        row, column = divmod(n, columns)
        y = row * cell_h + gap + (cell_h - gap - height) // 2
        x = column * cell_w + gap + (cell_w - gap - width) // 2
        sheet[y : y + height, x : x + width] = image
    return sheet
