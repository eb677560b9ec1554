"""Requests made to hurt a server, each as the bytes that go over the wire."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import tempfile
import zlib
from pathlib import Path

import av
import numpy as np
import PIL.Image

import serving

PICTURE, CLIP = "/v1/pose/image", "/v1/jobs"
PNG = b"\x89PNG\r\n\x1a\n"


def requests() -> dict[str, bytes]:
    """Every hostile request by its name."""
    return {**_pictures(), **_clips(), **_forms(), **_headers()}


def answer(address: str, message: bytes) -> int:
    """Status of the answer to a request; what the server closes early is no matter."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=serving.PATIENCE) as line:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            line.sendall(message)
        start = b""
        while b"\r\n" not in start:
            more = line.recv(4096)
            if not more:
                break
            start += more
    return int(start.split(b" ", 2)[1]) if start else 0


def _post(path: str, kind: str, body: bytes) -> bytes:
    return _head("POST", path, f"Content-Type: {kind}", f"Content-Length: {len(body)}") + body


def _head(method: str, path: str, *lines: str) -> bytes:
    whole = [f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *lines]
    return ("\r\n".join(whole) + "\r\n\r\n").encode("latin-1")


def _form(path: str, field: str, name: str, body: bytes) -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    whole = head.encode("latin-1") + body + b"\r\n--x--\r\n"
    return _post(path, "multipart/form-data; boundary=x", whole)


def _chunk(kind: bytes, body: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def _png(width: int, height: int, *chunks: bytes, data: bytes = b"") -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG + head + b"".join(chunks) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _zeros(size: int) -> bytes:
    """So many zeros, deflated."""
    press, out = zlib.compressobj(9), []
    for _ in range(size >> 20):
        out.append(press.compress(bytes(1 << 20)))
    return b"".join(out) + press.flush()


def _picture(kind: str) -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(3).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(out, kind)
    return out.getvalue()


def _jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose header promises another size."""
    data = bytearray(_picture("JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def _webp_of(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _pictures() -> dict[str, bytes]:
    jpeg, png, webp = (_picture(kind) for kind in ("JPEG", "PNG", "WEBP"))
    flipped = bytearray(png)
    flipped[20] ^= 0xFF  # in the header, whose checksum is then wrong
    bodies = {
        "png bomb of 16,000 pixels a side": _png(16_000, 16_000, data=_zeros(64 << 20)),
        "png that promises 60,000 pixels a side": _png(60_000, 60_000),
        "png a little too large": _png(5_001, 5_000),
        "png without pixels": _png(0, 0),
        "png with fewer rows than promised": _png(3_000, 3_000, data=_zeros(1 << 20)),
        "png with a text of 300 MB": _png(9, 9, _chunk(b"zTXt", b"a\0\0" + _zeros(300 << 20))),
        "png with a profile of 300 MB": _png(9, 9, _chunk(b"iCCP", b"a\0\0" + _zeros(300 << 20))),
        "png with a wrong checksum": bytes(flipped),
        "jpeg that promises 65,500 pixels a side": _jpeg_of(65_500, 65_500),
        "jpeg that promises 20,000 pixels a side": _jpeg_of(20_000, 20_000),
        "webp that promises 16,383 pixels a side": _webp_of(16_383, 16_383),
        "webp animation without a frame": _webp_of(64, 64),
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "truncated png": png[: len(png) // 2],
        "truncated webp": webp[: len(webp) // 2],
        "jpeg of a start and an end": b"\xff\xd8\xff\xd9",
        "script behind a jpeg's first bytes": b"\xff\xd8\xff<script>alert(1)</script>" * 50,
        "php behind a gif's first bytes": b"GIF89a<?php system($_GET['c']); ?>",
        "page": b"<html><script>alert(1)</script></html>",
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
        "tiff": _picture("TIFF"),
        "bmp": _picture("BMP"),
        "program": b"\x7fELF" + bytes(500),
        "archive": b"PK\x03\x04" + bytes(500),
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file",
        "pdf with a jpeg inside": b"%PDF-1.7\n" + jpeg,
        "one byte": b"\xff",
        "nothing": b"",
        "21 MB": b"\xff\xd8\xff" + bytes(21 << 20),
    }
    return {name: _post(PICTURE, "image/png", body) for name, body in bodies.items()}


def _mp4(sound: bool = False) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        if not sound:
            return serving.clip(path, 60).read_bytes()
        with av.open(str(path), "w") as out:
            stream = out.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
            frame.sample_rate = 8000
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                out.mux(packet)
        return path.read_bytes()


def _clips() -> dict[str, bytes]:
    whole, playlist = _mp4(), b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    manifest = b'<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="dash"><Period/></MPD>'
    ebml = b"\x1aE\xdf\xa3"
    at = whole.index(b"tkhd") + 4 + 76
    vast = whole[:at] + struct.pack(">II", 60_000 << 16, 60_000 << 16) + whole[at + 8 :]
    bodies = {
        "playlist": playlist,
        "playlist of another server": playlist.replace(b"file:///etc/passwd", b"http://[::1]/"),
        "concat script": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        "manifest": b'<?xml version="1.0"?>' + manifest,
        "playlist behind an mp4's first bytes": b"\0\0\0\x10ftypisom\0\0\0\0" + playlist,
        "manifest behind an mp4's first bytes": b"\0\0\0\x10ftypisom\0\0\0\0" + manifest,
        "playlist behind a webm's first bytes": ebml + playlist * 20,
        "truncated mp4": whole[: len(whole) // 4],
        "mp4 without an index": whole.replace(b"moov", b"xxxx"),
        "mp4 of boxes in boxes": (b"\0\0\0\x08moov" * 5_000),
        "mp4 with a box of 2^63 bytes": b"\0\0\0\x01ftyp\x7f" + b"\xff" * 7 + bytes(200),
        "mp4 with noise for frames": vast[:200] + bytes(len(vast) - 200),
        "mp4 with sound only": _mp4(sound=True),
        "webm header": ebml + b"\x9f" + bytes(100),
        "avi header": b"RIFF\xff\xff\xff\x7fAVI LIST" + bytes(100),
        "wav": b"RIFF\x24\0\0\0WAVEfmt " + bytes(100),
        "picture as a clip": _picture("JPEG"),
        "no clip": b"",
    }
    return {name: _post(CLIP, "video/mp4", body) for name, body in bodies.items()}


def _forms() -> dict[str, bytes]:
    text = b"root:x:0:0"
    part = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\na\r\n'
    kind = "multipart/form-data; boundary=x"
    return {
        "name with a path": _form(PICTURE, "image", "../../../../etc/passwd", text),
        "name with a zero": _form(PICTURE, "image", "a.jpg\0.php", text),
        "name of 10,000 letters": _form(PICTURE, "image", "a" * 10_000, text),
        "clip with a path for a name": _form(CLIP, "video", "/etc/cron.d/a", text),
        "form of 5,000 parts": _post(PICTURE, kind, part * 5_000 + b"--x--\r\n"),
        "form without a boundary": _post(PICTURE, "multipart/form-data", part),
        "form without an end": _post(PICTURE, kind, part[:-2]),
        "form with another field": _form(PICTURE, "file", "a.jpg", text),
        "form of headers without end": _post(PICTURE, kind, b"--x\r\n" + b"A: b\r\n" * 90_000),
        "urlencoded": _post(PICTURE, "application/x-www-form-urlencoded", b"image=x"),
        "xml": _post(PICTURE, "application/xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
    }


def _headers() -> dict[str, bytes]:
    jpeg = _picture("JPEG")
    result = "/v1/results/" + "a" * 32
    return {
        "header of 100 KB": _head("GET", "/v1/models", "X-Long: " + "a" * 100_000),
        "1,000 headers": _head("GET", "/v1/models", *[f"X-{n}: a" for n in range(1_000)]),
        "address of 20 KB": _head("GET", "/v1/models?model=" + "a" * 20_000),
        "length below 0": _head("POST", PICTURE, "Content-Type: image/png", "Content-Length: -5"),
        "length without end": _head(
            "POST", PICTURE, "Content-Type: image/png", "Content-Length: " + "9" * 30
        ),
        "length of 10 GB": _head(
            "POST", CLIP, "Content-Type: video/mp4", "Content-Length: 10737418240"
        ),
        "two lengths": _head(
            "POST", PICTURE, "Content-Length: 5", "Transfer-Encoding: chunked, identity"
        ),
        "model with a path": _post(PICTURE + "?model=../../../etc/passwd", "image/jpeg", jpeg),
        "threshold that is no number": _post(PICTURE + "?threshold=nan", "image/jpeg", jpeg),
        "result with a path": _head("GET", "/v1/results/../../../../etc/passwd.json"),
        "result with an escaped path": _head("GET", "/v1/results/%2e%2e%2f%2e%2e%2fetc.json"),
        "result with a zero": _head("GET", result + ".json%00.jpg"),
        "asset with a path": _head("GET", "/assets/x/../../../../../etc/passwd"),
        "file with a path": _head("GET", f"/v1/jobs/{'a' * 32}/files/..%2f..%2fjobs.sqlite"),
        "another site's form": _head("POST", PICTURE, "Origin: https://a.example"),
        "another site's live view": _head(
            "GET", "/v1/live", "Upgrade: websocket", "Origin: https://a.example"
        ),
        "another name for this computer": _head("GET", "/v1/models", "").replace(
            b"Host: localhost", b"Host: a.example"
        ),
        "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300) + b"\r\n\r\n",
    }
