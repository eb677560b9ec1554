"""Live people: frames of a visitor's camera in over a WebSocket, joints out; no frame is kept.

A client sends binary messages: `HEADER`, then a JPEG. The header holds a number that the answer
repeats, the time of capture in seconds by any clock of the client, and the width and height of the
picture in whose pixels the answer is meant; the JPEG itself may be smaller. Every answer is JSON.
A client keeps at most two frames under way; of frames that wait here, only the newest is looked at.
Who sends nothing for a minute makes room: a page that nobody looks at holds no place for ever.
"""

from __future__ import annotations

import json
import math
import struct
import time as clock
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import flask
import numpy as np
from flask_sock import Sock
from simple_websocket import ConnectionClosed, Server

from posegram import image as pictures
from posegram.data.stream import person_scores
from posegram.pose import Floats, Image, People
from posegram.web import answers
from posegram.web.errors import sentence
from posegram.web.service import Busy, Service

__all__ = ["HEADER", "LARGEST", "answer", "decode", "install", "unpack"]

HEADER = struct.Struct("<IdHH")  # sequence, time of capture in seconds, width, height
LARGEST = 1920  # pixels a side of a live frame
_FULL, _LEAVING, _REFUSED = 1013, 1001, 1008  # how a WebSocket ends, RFC 6455 and IANA's registry
_IDLE = 4001  # of our own: no frame came for `_QUIET`
_QUIET = 60.0  # seconds without a frame after which a connection ends
_BAD = 20  # unreadable messages after which a connection ends
_LATE = 1.0  # seconds for a place: who changes the model comes back before the old one is free
_PING = 25  # seconds between pings, so that proxies keep a quiet connection


@dataclass
class _Connection:
    """One visitor's live view."""

    socket: Server
    service: Service
    follow: Callable[[Image, float], People]
    last: float = -math.inf  # time of the newest frame, seconds
    bad: int = 0  # messages that were no frames


def install(app: flask.Flask, service: Service) -> None:
    """Add the WebSocket `/v1/live` to an app."""
    app.config.setdefault(
        "SOCK_SERVER_OPTIONS",
        {"ping_interval": _PING, "max_message_size": service.settings.frame_bytes},
    )
    Sock(app).route("/v1/live")(lambda socket: _serve(socket, service))


def unpack(message: bytes | str) -> tuple[int, float, tuple[int, int], bytes]:
    """A message's sequence, time in seconds, (height, width) for the answer, and JPEG.

    Raises:
        ValueError: it is none.
    """
    if isinstance(message, str) or len(message) <= HEADER.size:
        raise ValueError(f"a frame is {HEADER.size} bytes of header, then a JPEG")
    sequence, time, width, height = HEADER.unpack_from(message)
    if not math.isfinite(time) or not 0 < width <= 8192 or not 0 < height <= 8192:
        raise ValueError("a frame's header has no possible time or size")
    return sequence, time, (height, width), message[HEADER.size :]


def decode(body: bytes) -> Image:
    """The picture in a JPEG, (H, W, 3) uint8 RGB; its header is judged before it is decoded.

    Raises:
        ValueError: it is no JPEG, too large or damaged.
    """
    if not body.startswith(b"\xff\xd8\xff"):
        raise ValueError("a live frame must be a JPEG")
    height, width = pictures.probe(body)
    if max(height, width) > LARGEST:
        raise ValueError(f"a live frame has at most {LARGEST} pixels a side, not {width}x{height}")
    found = cv2.imdecode(np.frombuffer(body, dtype=np.uint8), cv2.IMREAD_COLOR)
    if found is None:
        raise ValueError("the live frame is damaged")
    return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def answer(people: People) -> dict[str, Any]:
    """What a client is told of one frame, for JSON: `skeleton` by name, and `people`.

    A person has `track` (None without one), `box` (x0, y0, x1, y1), `score` (`person_scores`),
    and in the skeleton's order `xy` ([x, y], or None for a joint that does not exist) and `scores`.
    """
    scores = person_scores(people)
    rows = [
        {
            "track": None if people.track is None else int(people.track[n]),
            "box": [round(float(v), 2) for v in people.box[n]],
            "score": round(float(scores[n]), 4),
            "xy": [_point(at) for at in people.xy[n]],
            "scores": [round(float(v), 4) for v in people.score[n]],
        }
        for n in range(len(people))
    ]
    return {"skeleton": people.skeleton.name, "people": rows}


def _point(at: Floats) -> list[float] | None:
    return [round(float(v), 2) for v in at] if np.isfinite(at).all() else None


def _serve(socket: Server, service: Service) -> None:
    """One connection from its first to its last message."""
    if not service.live.acquire(timeout=_LATE):
        socket.close(_FULL, "as many people are live as this server allows; come back later")
        return
    service.meters.live.inc()
    try:
        connection = _opened(socket, service)
        if connection is not None:
            _listen(connection)
    except ConnectionClosed:
        pass  # the visitor left, which is how every connection ends
    finally:
        service.meters.live.dec()
        service.live.release()


def _opened(socket: Server, service: Service) -> _Connection | None:
    """A connection to what its address asks for; None where that cannot be had."""
    asked = flask.request.args
    try:
        most = _most(asked.get("max_people", "0"))
    except ValueError as fault:
        _refuse(socket, "bad_request", fault)
        return None
    try:
        model = service.shelf.known(asked.get("model", ""))
        estimate = service.estimate(model)
    except (ValueError, ImportError) as fault:
        _refuse(socket, "no_model", fault)
        return None
    from posegram.infer.follow import Follower  # brings scipy, which takes a while to load

    return _Connection(socket, service, _counted(service, model, Follower(estimate, most=most)))


def _counted(
    service: Service, model: str, follow: Callable[[Image, float], People]
) -> Callable[[Image, float], People]:
    """A follower whose time and people the server's meters count."""
    seconds = service.meters.following.labels(model)

    def counted(image: Image, time: float) -> People:
        with seconds.time():
            people = follow(image, time)
        service.meters.people.inc(len(people))
        return people

    return counted


def _refuse(socket: Server, code: str, fault: Exception) -> None:
    """End a connection, saying why."""
    _tell(socket, {"sequence": None, "error": {"code": code, "message": sentence(fault)}})
    socket.close(_REFUSED, code)


def _most(text: str) -> int:
    """How many people at most an address asks for; 0: all.

    Raises:
        ValueError: it is no such number.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) <= answers.MOST):
        raise ValueError(f"the parameter max_people is a whole number from 0 to {answers.MOST}")
    return int(text)


def _listen(connection: _Connection) -> None:
    socket, stopping = connection.socket, connection.service.stopping
    heard = clock.monotonic()
    while not stopping.is_set():
        message = socket.receive(timeout=1)
        if message is None:
            if clock.monotonic() - heard > _QUIET:
                socket.close(_IDLE, "no frame came for a minute")
                return
            continue
        heard = clock.monotonic()
        if not _handle(connection, message):
            socket.close(_REFUSED, "too many messages that are no frames")
            return
    socket.close(_LEAVING, "the server stops")


def _handle(connection: _Connection, message: bytes | str) -> bool:
    """Answer one message, or the newest that came meanwhile; False when enough were no frames."""
    meters, socket = connection.service.meters, connection.socket
    try:
        with connection.service.slot():
            # a core is free only now: what came while this frame waited is newer, so better
            while (newer := socket.receive(timeout=0)) is not None:
                message = newer
                meters.frames.labels("dropped").inc()
            told = _look(connection, message)
    except Busy:
        meters.frames.labels("busy").inc()
        _tell(socket, {"sequence": _sequence(message), "busy": True})
        return True
    except ValueError as fault:
        meters.frames.labels("bad").inc()
        connection.bad += 1
        error = {"code": "bad_frame", "message": sentence(fault)}
        _tell(socket, {"sequence": _sequence(message), "error": error})
        return connection.bad < _BAD
    meters.frames.labels("done").inc()
    _tell(socket, told)
    return True


def _look(connection: _Connection, message: bytes | str) -> dict[str, Any]:
    """The people in one frame; the caller holds a core.

    Raises:
        ValueError: the message is no frame.
    """
    sequence, time, size, jpeg = unpack(message)
    image = decode(jpeg)
    # a clock that stands or runs backwards must not stop the smoothing
    connection.last = max(time, connection.last + 1e-3)
    people = answers.usual(connection.follow(image, connection.last))
    return {"sequence": sequence, "time": time, **answer(_scaled(people, image.shape[:2], size))}


def _scaled(people: People, of: tuple[int, ...], to: tuple[int, int]) -> People:
    """People found in a picture of one (height, width), in the pixels of another."""
    if tuple(of) == to:
        return people
    share = np.array([to[1] / of[1], to[0] / of[0]], dtype=np.float32)
    half = np.float32(0.5)  # pixel centres: the outer edges meet, not the centres
    xy = (people.xy + half) * share - half
    box = (people.box + half) * np.tile(share, 2) - half
    return People(xy, people.score, box, people.skeleton, people.track)


def _sequence(message: bytes | str) -> int | None:
    """The number that a message claims; None where it is too short to have one."""
    if isinstance(message, str) or len(message) < HEADER.size:
        return None
    return int(HEADER.unpack_from(message)[0])


def _tell(socket: Server, told: dict[str, Any]) -> None:
    socket.send(json.dumps(told, separators=(",", ":")))
