"""Pictures: read, probe, write; people drawn into them; grids of them."""

from __future__ import annotations

import io
import math
import struct
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import PIL.Image

from posegram.pose import Floats, Image, People, Skeleton

__all__ = ["LIMIT", "SUFFIXES", "draw", "grid", "probe", "read", "write"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
LIMIT = 89_000_000  # pixels; Pillow itself warns of a decompression bomb a little above

_QUALITY = {  # what cv2 takes for each of SUFFIXES
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    ".png": [],
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
}
_FORMATS = ("JPEG", "PNG", "WEBP")
_BOMBS = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning)
# what Pillow's decoders are known to raise on damaged bytes
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)

_ORIENTATION = 0x0112  # the EXIF tag; its values, CIPA DC-008 table 4.6.4: how to stand upright
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}

_Colour = tuple[int, int, int]  # red, green, blue

_LEFT = (40, 170, 255)  # blue and orange stay apart for colour-blind eyes
_RIGHT = (255, 140, 20)
_MIDDLE = (215, 245, 215)
_OUTLINE = (15, 15, 15)
_FAINTEST = 0.35  # opacity of a joint whose score just reaches the threshold
_BITS = 4  # cv2 draws at 1/16 pixel


def read(source: str | Path | bytes) -> Image:
    """The picture in a PNG, JPEG or WebP file or in bytes, (H, W, 3) uint8 RGB, upright by EXIF.

    Transparent parts become white; 16-bit grey is scaled to 8.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is empty, no image, damaged, cut off or has over `LIMIT` pixels.
    """
    data, name = _source(source)
    opened = _open(data, name)
    turn = _UPRIGHT.get(_orientation(opened))
    try:
        opened.load()
        picture = _rgb(opened)
    except _DAMAGE as fault:
        raise ValueError(f"{name} is damaged or cut off: {fault}") from fault
    return np.array(picture if turn is None else picture.transpose(turn), dtype=np.uint8)


def probe(source: str | Path | bytes) -> tuple[int, int]:
    """Height and width of the upright picture in a file or in bytes, read from the header alone.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `read`, except that damage behind the header goes unseen.
    """
    opened = _open(*_source(source))
    width, height = opened.size
    return (width, height) if _orientation(opened) >= 5 else (height, width)


def write(path: str | Path, image: Image) -> None:
    """Write a picture (H, W, 3) uint8 RGB as its suffix says; the file appears whole or not at all.

    Raises:
        FileNotFoundError: the folder does not exist.
        ValueError: the suffix is none of `SUFFIXES` or the array is no picture.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"cannot write {path}: its name must end in one of {', '.join(SUFFIXES)}")
    _check(image)
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(path.suffix.lower(), bgr, _QUALITY[path.suffix.lower()])
    if not done:  # WebP, for one, ends at 16,383 pixels a side
        raise ValueError(f"cannot write {path}: {image.shape[1]}x{image.shape[0]} is too large")
    _store(path, data.tobytes())


def _store(path: Path, data: bytes) -> None:
    """Write a file by way of a temporary one beside it, so that nobody meets half a file."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _source(source: str | Path | bytes) -> tuple[bytes, str]:
    """The bytes of a file, or the bytes given, and what to call them."""
    if isinstance(source, bytes):
        return source, "the data"
    return _bytes(Path(source)), str(source)


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
    too_large = f"{name} has more than {LIMIT:,} pixels, which is refused as a decompression bomb"
    try:
        opened = PIL.Image.open(io.BytesIO(data), formats=_FORMATS)
    except _BOMBS as fault:
        raise ValueError(too_large) from fault
    except _DAMAGE as fault:
        raise ValueError(f"{name} is not a readable PNG, JPEG or WebP image") from fault
    if opened.size[0] * opened.size[1] > LIMIT:
        raise ValueError(too_large)
    return opened


def _orientation(opened: PIL.Image.Image) -> int:
    try:
        value = int(opened.getexif().get(_ORIENTATION, 1))
    except (*_DAMAGE, TypeError, KeyError):  # broken EXIF must not cost the photo
        return 1
    return value if 1 <= value <= 8 else 1


def _rgb(picture: PIL.Image.Image) -> PIL.Image.Image:
    if picture.mode.startswith("I"):  # Pillow would clip 16 bits to 8, not scale them
        grey = np.asarray(picture).astype(np.int64) >> 8
        return PIL.Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        clear = picture.convert("RGBA")
        white = PIL.Image.new("RGBA", clear.size, "white")
        return PIL.Image.alpha_composite(white, clear).convert("RGB")
    return picture.convert("RGB")


def _check(image: Image) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"a picture is (H, W, 3) uint8, not {image.shape} {image.dtype} (H and W above 0)"
        )


def draw(
    image: Image,
    people: People,
    *,
    threshold: float = 0.3,
    boxes: bool = False,
    radius: float | None = None,
) -> Image:
    """A copy of the picture with people's joints and bones drawn in, (H, W, 3) uint8 RGB.

    Left is blue, right orange, the middle pale; a joint fades towards the threshold and is
    hidden, with its bones, below it.

    Args:
        image: (H, W, 3) uint8 RGB.
        people: joints that are NaN are left out.
        threshold: the smallest score that is drawn.
        boxes: draw each person's box, too.
        radius: of a joint in pixels; by each person's size without it.
    """
    _check(image)
    canvas = np.array(image)
    for n in range(len(people)):
        shown = np.isfinite(people.xy[n]).all(axis=1) & (people.score[n] >= threshold)
        dot = _radius(people.xy[n][shown], image) if radius is None else radius
        if boxes:
            _draw_box(canvas, people.box[n], dot)
        sure = np.clip((people.score[n] - threshold) / max(1.0 - threshold, 1e-6), 0.0, 1.0)
        strength = np.where(shown, _FAINTEST + (1 - _FAINTEST) * sure, 0.0).astype(np.float32)
        _draw_person(canvas, people.xy[n], strength, people.skeleton, dot)
    return canvas


def _radius(xy: Floats, image: Image) -> float:
    """Radius of a joint for a person with these joints (S, 2), in pixels."""
    span = float(np.ptp(xy, axis=0).max()) if len(xy) else 0.0
    smallest, largest = 1.5, max(2.0, max(image.shape[:2]) / 110)
    return float(min(max(span / 70, smallest), largest))


def _draw_person(
    canvas: Image, xy: Floats, strength: Floats, skeleton: Skeleton, dot: float
) -> None:
    """Paint one person's bones, then joints; `strength` (K,) is the opacity, 0 where hidden."""
    rim = max(1, round(dot * 0.35))
    dots = np.full(len(xy), dot)
    for a, b in skeleton.edges:
        if strength[a] and strength[b]:
            # eyes and ears lie close together: their dots and bones get no wider than fits
            fits = min(dot, max(1.0, 0.25 * float(np.linalg.norm(xy[a] - xy[b]))))
            dots[[a, b]] = np.minimum(dots[[a, b]], fits)
            wide = max(1, round(fits * 1.1))
            opacity = float(min(strength[a], strength[b]))
            colour = _colour(skeleton.joints[a], skeleton.joints[b])
            _line(canvas, xy[[a, b]], (wide, rim), colour, opacity)
    for joint in np.flatnonzero(strength):
        colour = _colour(skeleton.joints[joint])
        _disc(canvas, xy[joint], (float(dots[joint]), rim), colour, float(strength[joint]))


def _colour(*joints: str) -> _Colour:
    """The side's colour of a joint or of a bone; a bone between the two sides is the middle's."""
    sides = {joint.split("_")[0] for joint in joints}
    if "left" in sides and "right" in sides:
        return _MIDDLE
    return _LEFT if "left" in sides else _RIGHT if "right" in sides else _MIDDLE


def _line(
    canvas: Image, ends: Floats, widths: tuple[int, int], colour: _Colour, opacity: float
) -> None:
    """Blend one line between `ends` (2, 2) pixels in; `widths` are its own and its rim's."""
    wide, rim = widths

    def paint(part: Image, corner: Floats) -> None:
        start, stop = (_fixed(end - corner) for end in ends)
        for thick, ink in ((wide + 2 * rim, _OUTLINE), (wide, colour)):
            cv2.line(part, start, stop, ink, thick, cv2.LINE_AA, _BITS)

    _blend(canvas, ends, wide + 2 * rim, opacity, paint)


def _disc(
    canvas: Image, at: Floats, widths: tuple[float, int], colour: _Colour, opacity: float
) -> None:
    """Blend one disc around `at` (2,) pixels in; `widths` are its radius and its rim's width."""
    dot, rim = widths

    def paint(part: Image, corner: Floats) -> None:
        for size, ink in ((dot + rim, _OUTLINE), (dot, colour)):
            reach = round(size * 2**_BITS)
            cv2.circle(part, _fixed(at - corner), reach, ink, cv2.FILLED, cv2.LINE_AA, _BITS)

    _blend(canvas, at[None], dot + rim, opacity, paint)


def _draw_box(canvas: Image, box: Floats, dot: float) -> None:
    corners = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
    thick = max(1, round(dot * 0.5))
    for n in range(4):
        ends = corners[[n, (n + 1) % 4]].astype(np.float32)
        _line(canvas, ends, (thick, 1), _MIDDLE, 0.8)


def _fixed(at: Floats) -> tuple[int, int]:
    """A point in 1/16 pixels, as cv2 wants it."""
    x, y = (round(float(v) * 2**_BITS) for v in at)
    return x, y


def _blend(
    canvas: Image, xy: Floats, reach: float, opacity: float, paint: Callable[[Image, Floats], None]
) -> None:
    """Mix what `paint` draws around points (P, 2) into the canvas, touching only that window."""
    height, width = canvas.shape[:2]
    far = np.clip(xy, -4 * max(height, width), 5 * max(height, width))
    x0, y0 = np.clip(np.floor(far.min(axis=0) - reach - 1), 0, (width, height)).astype(int)
    x1, y1 = np.clip(np.ceil(far.max(axis=0) + reach + 2), 0, (width, height)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return
    window = canvas[y0:y1, x0:x1]
    painted = window.copy()
    paint(painted, np.array([x0, y0], dtype=np.float32))
    canvas[y0:y1, x0:x1] = cv2.addWeighted(painted, opacity, window, 1 - opacity, 0)


def grid(images: Sequence[Image], columns: int) -> Image:
    """Pictures side by side in rows of `columns`, (H, W, 3) uint8, each centred in an equal cell.

    Raises:
        ValueError: there is no picture or no column.
    """
    if not images or columns < 1:
        raise ValueError(f"a grid needs pictures and columns, not {len(images)} and {columns}")
    for image in images:
        _check(image)
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
