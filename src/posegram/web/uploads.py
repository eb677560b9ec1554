"""What comes in: bodies within their limits, known by their first bytes and never by their name."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import PIL.Image
from flask import Request, g, request

from posegram import image as pictures
from posegram.pose import Image
from posegram.web.errors import Refused

__all__ = [
    "CLIPS",
    "PICTURES",
    "Upload",
    "clip_kind",
    "decoded",
    "picture_kind",
    "read",
    "require_picture",
    "store",
]

PICTURES = ("JPEG", "PNG", "WEBP")
CLIPS = (".mp4", ".webm", ".avi")  # our suffix for each family of containers

_FORM = "multipart/form-data"
_CHUNK = 1 << 20
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error)
_BOMBS = (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning, MemoryError)


class Upload(Request):
    """A request whose file parts go where the route says, instead of to a temporary folder."""

    max_form_memory_size = (
        500_000  # bytes of all parts that are no file; the parser's buffer fits in
    )
    max_form_parts = 8

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        """A new file for the route's `store`, else memory: an uploaded picture is never written."""
        target: Path | None = g.get("store_at")
        if target is None or "stored" in g:
            return io.BytesIO()
        g.stored = True
        return target.open("w+b")


def read(field: str, limit: int, types: tuple[str, ...]) -> bytes:
    """The one file of a request, out of a form's field or as the whole body.

    Args:
        field: the form's field.
        limit: the most bytes, of the whole body.
        types: content types that a whole body may have, or what they begin with.

    Raises:
        Refused: 400, 413 or 415; a form's fields are none, for parameters belong in the address.
    """
    _admit(limit, types)
    if request.mimetype == _FORM:
        data = _part(field).read()
    else:
        data = request.get_data(cache=False)
        _require_whole(len(data), limit)
    if not data:
        raise Refused(400, "The request holds an empty file.")
    return bytes(data)


def store(field: str, limit: int, types: tuple[str, ...], path: Path) -> None:
    """Write the one file of a request to a path, without holding it in memory; see `read`.

    Raises:
        OSError: the disk is full.
        Refused: 400, 413 or 415.
    """
    _admit(limit, types)
    if request.mimetype == _FORM:
        g.store_at = path
        with _part(field):
            pass
    else:
        with path.open("wb") as out:
            while chunk := request.stream.read(_CHUNK):
                out.write(chunk)
        _require_whole(path.stat().st_size, limit)
    if not path.exists() or path.stat().st_size == 0:
        raise Refused(400, "The request holds an empty file.")


def _admit(limit: int, types: tuple[str, ...]) -> None:
    """Judge a body by its headers, before anything of it is read."""
    # werkzeug refuses the last byte of a body in chunks, or cuts the body off there
    request.max_content_length = limit + 1
    if (request.content_length or 0) > limit:
        raise _too_long(limit)
    mimetype = request.mimetype
    if mimetype != _FORM and not mimetype.startswith(types):
        raise Refused(415, f"Send a form ({_FORM}) or the file itself as {types[0]}...")


def _require_whole(count: int, limit: int) -> None:
    """See that a bare body of so many bytes is all of it, and not too much.

    Raises:
        Refused: 400, the connection broke off; 413, it was sent in chunks and is too long.
    """
    if count > limit:
        raise _too_long(limit)
    if request.content_length not in (None, count):
        raise Refused(400, "The file broke off on its way here.")


def _too_long(limit: int) -> Refused:
    return Refused(413, f"The file may have at most {limit >> 20} MB.")


def _part(field: str) -> IO[bytes]:
    """The file in a form's field; parsing the form reads the whole body."""
    files = request.files
    if request.form:  # which would be left out without a word
        name = str(next(iter(request.form)) or "")[:40]  # a broken form's field may have no name
        raise Refused(
            400, f"{name!r} belongs in the address, as in ?max_people=1, not in the form."
        )
    if field not in files:
        raise Refused(400, f"The form has no file called {field!r}.")
    if len(list(files.items(multi=True))) > 1:
        raise Refused(400, "Send one file at a time.")
    return files[field].stream


def require_picture(
    data: bytes, most: int, *, kinds: Sequence[str] = PICTURES, side: int | None = None
) -> None:
    """See by its header that this is a picture of no more than `most` pixels; none is decoded.

    Args:
        data: the whole file.
        most: pixels in all.
        kinds: of `PICTURES`, those that will do.
        side: the most pixels a side; any number without it.

    Raises:
        Refused: 413 above these pixels, 415 for another kind, 422 for a broken header.
    """
    if picture_kind(data) not in kinds:
        named = "JPEG, PNG or WebP" if kinds == PICTURES else ", ".join(kinds)
        raise Refused(415, f"This is no {named} picture.")
    too_large = Refused(413, f"The picture has more than {most / 1e6:g} million pixels.")
    try:
        with PIL.Image.open(io.BytesIO(data), formats=PICTURES) as opened:
            width, height = opened.size
    except _BOMBS as fault:
        raise too_large from fault
    except _DAMAGE as fault:
        raise Refused(422, "The picture is damaged or cut off.") from fault
    if width * height > most:
        raise too_large
    if side is not None and max(width, height) > side:
        raise Refused(413, f"A live frame has at most {side} pixels a side, not {width}x{height}.")


def picture_kind(data: bytes) -> str | None:
    """JPEG, PNG or WEBP by a file's first bytes; None for anything else."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    return "WEBP" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def clip_kind(path: Path) -> str:
    """The suffix of a clip's family of containers, by its first bytes.

    Raises:
        Refused: 415, it is none that is taken; playlists are not.
    """
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return ".mp4"  # and .mov
    if start[:4] == b"\x1aE\xdf\xa3":
        return ".webm"  # and .mkv
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return ".avi"
    raise Refused(415, "This is no MP4, MOV, WebM, MKV or AVI video.")


def decoded(data: bytes) -> Image:
    """The picture in a body, upright; see `posegram.image.read`.

    Raises:
        Refused: 422, it is damaged or cut off.
    """
    try:
        return pictures.read(data)
    except (ValueError, MemoryError) as fault:
        raise Refused(422, "The picture is damaged or cut off.") from fault
