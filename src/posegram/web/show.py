"""Moving pictures shown live in the browser of the same computer, with their measured rate."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import cv2

from posegram.pose import Image

try:
    from flask import Flask, Response, abort, jsonify, request
    from werkzeug.serving import WSGIRequestHandler, make_server
except ModuleNotFoundError as fault:
    raise ImportError("showing a camera needs Flask: pip install 'posegram[web]'") from fault

__all__ = ["Screen", "create_app", "shown"]

_BETWEEN = secrets.token_hex(16)  # between two pictures of the stream
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]
_WIDEST = 1280  # pixels; more would only slow the browser down
_LATELY = 30  # frames over which the rate is measured

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>posegram</title>
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="/page.css"><script src="/page.js" defer></script></head>
<body><img src="/stream" alt="The camera's picture with people's joints drawn in">
<p id="told">waiting for the first picture</p></body></html>
"""
_STYLE = """body { margin: 0; background: #14161a; color: #e8e8e8; font: 16px system-ui, sans-serif;
  display: grid; grid-template-rows: 1fr auto; height: 100vh; }
img { width: 100%; height: 100%; object-fit: contain; min-height: 0; }
p { margin: 0; padding: 0.5em 1em; font-variant-numeric: tabular-nums; }
"""
_SCRIPT = """const told = document.getElementById("told");
setInterval(async () => {
  try {
    const now = await (await fetch("/now")).json();
    told.textContent = now.frames === 0 ? "waiting for the first picture"
      : `${now.fps.toFixed(1)} frames/s, ${now.people} ${now.people === 1 ? "person" : "people"}`;
  } catch { told.textContent = "stopped"; }
}, 500);
"""


class Screen:
    """The newest picture, for everybody who looks."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg = b""
        self._times: deque[float] = deque(maxlen=_LATELY)
        self._watchers = 0
        self.frames, self.people, self.closed = 0, 0, False

    def put(self, image: Image, people: int = 0) -> None:
        """Show a picture (H, W, 3) uint8 RGB with so many people in it."""
        with self._changed:
            wanted = self._watchers > 0 or not self._jpeg
        data = _jpeg(image) if wanted else self._jpeg  # without a watcher it is not worth the time
        with self._changed:
            self._jpeg, self.people = data, people
            self.frames += 1
            self._times.append(time.monotonic())
            self._changed.notify_all()

    @property
    def fps(self) -> float:
        """Pictures a second, of late; 0 before the second one."""
        gaps = [later - sooner for sooner, later in pairwise(list(self._times))]
        return len(gaps) / sum(gaps) if gaps and sum(gaps) > 0 else 0.0

    def pictures(self) -> Iterator[bytes]:
        """Each newest picture as a JPEG file, until the screen closes."""
        last = 0
        with self._changed:
            self._watchers += 1
        try:
            while (fresh := self._after(last)) is not None:
                last, data = fresh
                yield data
        finally:
            with self._changed:
                self._watchers -= 1

    def _after(self, last: int) -> tuple[int, bytes] | None:
        """Number and JPEG of a picture after that one, as soon as there is one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self.frames > last)
            return None if self.closed else (self.frames, self._jpeg)

    def close(self) -> None:
        """End every stream."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def _jpeg(image: Image) -> bytes:
    height, width = image.shape[:2]
    if width > _WIDEST:
        size = (_WIDEST, round(height * _WIDEST / width))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    return bytes(cv2.imencode(".jpg", image[..., ::-1], _QUALITY)[1])


def create_app(screen: Screen) -> Flask:
    """A page that shows a screen; only under a name of this computer itself."""
    app = Flask("posegram.web.show", static_folder=None)

    @app.before_request
    def guard() -> None:
        # a foreign page could otherwise reach the camera by a name of its own for 127.0.0.1
        if request.host.partition(":")[0] not in ("127.0.0.1", "localhost"):
            abort(403)

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
        response.headers["Cache-Control"] = "no-store"
        return response

    for rule, text, kind in (("/", _PAGE, "html"), ("/page.css", _STYLE, "css"),
                             ("/page.js", _SCRIPT, "javascript")):  # fmt: skip
        app.add_url_rule(
            rule, rule, lambda text=text, kind=kind: Response(text, mimetype=f"text/{kind}")
        )

    @app.get("/stream")
    def stream() -> Response:
        head = f"--{_BETWEEN}\r\nContent-Type: image/jpeg\r\nContent-Length: ".encode()
        parts = (
            head + f"{len(data)}\r\n\r\n".encode() + data + b"\r\n" for data in screen.pictures()
        )
        return Response(parts, mimetype=f"multipart/x-mixed-replace; boundary={_BETWEEN}")

    @app.get("/now")
    def now() -> Response:
        return jsonify(frames=screen.frames, fps=screen.fps, people=screen.people)

    return app


class _Quiet(WSGIRequestHandler):
    """Answers without telling the terminal of every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@contextmanager
def shown(port: int = 0) -> Iterator[tuple[Screen, str]]:
    """A screen and the address of its page, which lives as long as the block.

    Args:
        port: of 127.0.0.1; any free one without it.

    Raises:
        OSError: the port is taken.
    """
    screen = Screen()
    try:
        server = make_server(
            "127.0.0.1", port, create_app(screen), threaded=True, request_handler=_Quiet
        )
    except (OSError, SystemExit) as fault:  # werkzeug leaves the process when a port is taken
        raise OSError(f"cannot show at port {port}: is it taken by another program?") from fault
    server.daemon_threads = True  # type: ignore[attr-defined]
    serving = threading.Thread(target=server.serve_forever, daemon=True, name="posegram-screen")
    serving.start()
    try:
        yield screen, f"http://127.0.0.1:{server.server_port}/"
    finally:
        screen.close()
        server.shutdown()
        serving.join()
        server.server_close()
