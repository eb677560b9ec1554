"""What comes in."""

import contextlib
import io
import os
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import hostile
import serving
from posegram import image as pictures
from posegram.web import uploads
from posegram.web.errors import Refused

LIMIT = 25_000_000


def encoded(kind: str, size: tuple[int, int] = (8, 6), **options) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", size, "teal").save(out, kind, **options)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 9) + b"IDAT"


@pytest.mark.parametrize("kind", uploads.PICTURES)
def test_a_picture_is_known_by_its_first_bytes(kind):
    assert uploads.picture_kind(encoded(kind)) == kind


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO"])
def test_other_pictures_are_refused(kind):
    with pytest.raises(Refused, match="no JPEG, PNG or WebP") as refused:
        uploads.require_picture(encoded(kind), LIMIT)
    assert refused.value.status_code == 415


def test_a_picture_of_as_many_pixels_as_allowed_is_let_in():
    uploads.require_picture(png_header(5000, 5000), LIMIT)


@pytest.mark.parametrize("side", [5_001, 9_500, 16_000, 60_000])
def test_too_many_pixels_are_refused_by_the_header(side):
    with pytest.raises(Refused, match="more than 25 million pixels") as refused:
        uploads.require_picture(png_header(side, side), LIMIT)
    assert refused.value.status_code == 413


def test_a_broken_header_is_refused():
    with pytest.raises(Refused, match="damaged") as refused:
        uploads.require_picture(b"\x89PNG\r\n\x1a\n" + b"\0" * 30, LIMIT)
    assert refused.value.status_code == 422


@pytest.mark.parametrize("kind", uploads.PICTURES)
def test_a_truncated_picture_is_refused(kind):
    data = encoded(kind, (400, 300))
    with pytest.raises(Refused, match="damaged or cut off") as refused:
        uploads.decoded(data[: len(data) * 2 // 3])
    assert refused.value.status_code == 422


def test_a_photo_is_turned_upright():
    data = encoded("JPEG", (8, 6), exif=PIL.Image.Exif())
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    assert uploads.decoded(data).shape == (6, 8, 3)
    assert uploads.decoded(encoded("JPEG", (8, 6), exif=exif)).shape == (8, 6, 3)


@pytest.mark.parametrize(
    ("start", "suffix"),
    [
        (b"\0\0\0\x18ftypisom", ".mp4"),
        (b"\0\0\0\x08wide\0\0\0\0", ".mp4"),
        (b"\x1aE\xdf\xa3" + b"\0" * 8, ".webm"),
        (b"RIFF\0\0\0\0AVI ", ".avi"),
    ],
)
def test_a_clip_is_known_by_its_first_bytes(tmp_path, start, suffix):
    (tmp_path / "a").write_bytes(start)
    assert uploads.clip_kind(tmp_path / "a") == suffix


@pytest.mark.parametrize(
    "start", [b"#EXTM3U\nhttp://a/b.ts", b"ffconcat version 1.0", b"<MPD xmlns=", b"GIF89a", b""]
)
def test_playlists_and_other_files_are_no_clips(tmp_path, start):
    (tmp_path / "a").write_bytes(start)
    with pytest.raises(Refused, match="no MP4") as refused:
        uploads.clip_kind(tmp_path / "a")
    assert refused.value.status_code == 415


def send(client, data, name="image", path="/v1/pose/image"):
    return client.post(path, data={name: (io.BytesIO(data), "../../../etc/passwd")})


def test_a_form_and_the_bare_file_are_taken(client):
    data = encoded("PNG")
    assert send(client, data).status_code == 200
    assert client.post("/v1/pose/image", data=data, content_type="image/png").status_code == 200


def test_the_stated_type_of_a_file_does_not_matter(client):
    answer = client.post("/v1/pose/image", data=encoded("PNG"), content_type="image/jpeg")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"other": (io.BytesIO(b"x"), "a.jpg")}, 400),
        ({"image": "text and no file"}, 400),
        ({"image": (io.BytesIO(b""), "a.jpg")}, 400),
        ({"image": (io.BytesIO(b"x"), "a"), "second": (io.BytesIO(b"x"), "b")}, 400),
        ({"image": [(io.BytesIO(b"x"), "a"), (io.BytesIO(b"y"), "b")]}, 400),
        ({f"field{n}": "x" for n in range(30)}, 413),
    ],
)
def test_a_form_without_its_one_file_is_refused(client, form, status):
    answer = client.post("/v1/pose/image", data=form, content_type="multipart/form-data")
    assert answer.status_code == status


def test_a_parameter_in_the_form_is_refused_instead_of_left_out(client):
    form = {"image": (io.BytesIO(encoded("PNG")), "a.png"), "max_people": "1"}
    answer = client.post("/v1/pose/image", data=form)
    assert answer.status_code == 400
    assert "'max_people' belongs in the address" in answer.json["error"]["message"]


def test_a_field_without_a_name_is_refused(client):
    body = b"--x\r\nContent-Disposition: form-data\r\n\r\nsome\r\n--x--\r\n"
    answer = client.post(
        "/v1/pose/frame", data=body, content_type="multipart/form-data; boundary=x"
    )
    assert answer.status_code == 400


def test_a_form_of_too_much_text_is_refused(client):
    note = b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\n' + b"x" * 1_000_000
    answer = client.post(
        "/v1/pose/image",
        data=note + b"\r\n--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    )
    assert answer.status_code == 413


def test_a_body_of_another_type_is_refused(client):
    answer = client.post("/v1/pose/image", data="{}", content_type="application/json")
    assert answer.status_code == 415


@pytest.mark.parametrize("kind", ["image/jpeg", "multipart/form-data; boundary=x"])
def test_too_many_bytes_are_refused_before_they_are_read(client, kind):
    class Never(io.BytesIO):
        def read(self, *_):
            raise AssertionError("was read")

        readinto = readline = read

    answer = client.post(
        "/v1/pose/image",
        input_stream=Never(),
        content_type=kind,
        environ_overrides={"CONTENT_LENGTH": str(30 << 20)},
    )
    assert (answer.status_code, answer.json["error"]["code"]) == (413, "too_large")


def chunked(app, count):
    """A request whose body of so many bytes came in chunks, without a length stated before."""
    return app.test_request_context(
        "/v1/pose/image",
        method="POST",
        input_stream=io.BytesIO(b"x" * count),
        content_type="image/jpeg",
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )


def test_too_many_bytes_in_chunks_are_refused_instead_of_cut_off(app):
    with chunked(app, 1001), pytest.raises(Refused, match="at most") as refused:
        uploads.read("image", 1000, ("image/",))
    assert refused.value.status_code == 413


def test_as_many_bytes_in_chunks_as_allowed_are_stored(app, tmp_path):
    with chunked(app, 1000):
        uploads.store("image", 1000, ("image/",), tmp_path / "a")
    assert (tmp_path / "a").stat().st_size == 1000


@pytest.mark.parametrize(
    ("path", "field"), [("/v1/pose/image", "image"), ("/v1/jobs", "video")], ids=["photo", "clip"]
)
def test_a_file_that_breaks_off_on_its_way_is_refused_and_not_kept(server, path, field):
    """Its sender is gone, and what came of it may pass for a whole file."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {field}/x\r\n"
    whole = encoded("JPEG") + b"x" * 100
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=serving.PATIENCE) as line:
        line.sendall(f"{head}Content-Length: {len(whole) + 900}\r\n\r\n".encode() + whole)
        line.shutdown(socket.SHUT_WR)
        answer = line.makefile("rb").read()
    assert (answer.split(b" ", 2)[1], b"broke off" in answer) == (b"400", True)


def test_an_uploaded_picture_is_never_written(app, monkeypatch):
    def never(*_, **__):
        raise AssertionError("a file was opened")

    noise = np.random.default_rng(1).integers(0, 255, (700, 700, 3), dtype=np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(noise).save(out, "PNG")
    assert len(out.getvalue()) > 1_000_000
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    stream = io.BytesIO(head + out.getvalue() + b"\r\n--x--\r\n")
    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile"):
        monkeypatch.setattr(f"tempfile.{name}", never)
    monkeypatch.setattr("pathlib.Path.open", never)
    with app.test_request_context(
        "/v1/pose/image",
        method="POST",
        input_stream=stream,
        content_type="multipart/form-data; boundary=x",
        content_length=len(stream.getvalue()),
    ):
        assert uploads.read("image", 20 << 20, ("image/",)) == out.getvalue()


def test_a_clip_is_stored_under_a_name_of_our_own(client, settings, tmp_path):
    data = serving.clip(tmp_path / "a.mp4").read_bytes()
    answer = send(client, data, "video", "/v1/jobs")
    key = answer.json["id"]
    assert [path.name for path in settings.uploads.iterdir()] == [f"{key}.mp4"]
    assert (settings.uploads / f"{key}.mp4").read_bytes() == data


def test_the_overlay_holds_nothing_of_the_photos_metadata(client):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"  # GPS
    exif[0x010E] = "a secret place"
    answer = send(client, encoded("JPEG", (80, 60), exif=exif))
    overlay = client.get(answer.json["links"]["jpg"]).data
    assert b"secret place" not in overlay
    opened = PIL.Image.open(io.BytesIO(overlay))
    assert (dict(opened.getexif()), opened.size) == ({}, (60, 80))
    assert pictures.probe(overlay) == (answer.json["height"], answer.json["width"]) == (80, 60)


HOSTILE = hostile.requests()


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):  # it may have just ended
            threads = Path(f"/proc/{one}/task").iterdir()
            found += [int(c) for t in threads for c in (t / "children").read_text().split()]
    return found


def peak(server) -> int:
    """The most memory that any of a server's processes ever took, bytes."""
    most = 0
    for pid in processes(server.process.pid):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+)", status)  # a process that ends has none
            most = max(most, int(found[1]) * 1024 if found else 0)
    return most


def worked(server) -> float:
    """Seconds of processor time that a server's processes took, ended ones included."""
    ticks = 0
    for pid in processes(server.process.pid):
        with contextlib.suppress(OSError):
            ticks += sum(
                map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[11:15])
            )
    return ticks / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def watched(server) -> Iterator[list[int]]:
    """A list of `peak`, again and again: the processes that look at clips live for a moment."""
    found, done = [0], threading.Event()

    def watch():
        while not done.wait(0.02):
            found.append(peak(server))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_refused_within_5_seconds(server, name):
    begun, before = time.monotonic(), worked(server)
    assert 400 <= hostile.answer(server.address, HOSTILE[name]) < 500
    # of a computer that does other work, too, only the processor's time tells anything
    busy = os.getloadavg()[0] > (os.cpu_count() or 1) / 2
    assert (worked(server) - before if busy else time.monotonic() - begun) < 5


def test_hostile_requests_take_little_memory_and_leave_nothing(server):
    with watched(server) as taken:
        for message in HOSTILE.values():
            hostile.answer(server.address, message)
    assert 20e6 < max(taken) < 500e6
    folder = server.log.parent / "instance"
    assert [p for name in ("uploads", "results") for p in (folder / name).iterdir()] == []


def test_there_are_at_least_40_hostile_requests():
    assert len(HOSTILE) >= 40
