"""The API for pictures: find people, fetch and delete results, list models."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from apiflask import APIBlueprint, APIFlask, Schema
from apiflask.fields import Float, Integer, String
from apiflask.validators import Length, OneOf, Range
from flask import Response, current_app, jsonify, send_file, url_for
from marshmallow import RAISE
from werkzeug.routing import BaseConverter

from posegram.pose import SKELETONS, People
from posegram.track import foremost
from posegram.web import answers, live, uploads
from posegram.web.errors import Refused, sentence
from posegram.web.results import new_key
from posegram.web.service import Service
from posegram.web.settings import Settings

__all__ = [
    "Frame",
    "Key",
    "Picture",
    "Which",
    "forget",
    "frame",
    "install",
    "models",
    "offered",
    "picture",
    "rates",
    "result",
    "service",
]

PICTURE_TYPES = ("image/", "application/octet-stream")
_GONE = "There is no such result, or no longer."

bp = APIBlueprint("api", __name__, url_prefix="/v1")


class Key(BaseConverter):
    """In an address: the id of a result or a job."""

    regex = "[0-9a-f]{32}"


def _one_of(names: Iterable[str]) -> OneOf:
    """Refuses what is none of these names; an empty one stands for the usual."""
    known = list(names)
    return OneOf(["", *known], error=f"must be one of {', '.join(known)}")


class Which(Schema):
    """Query: which model, which joints, and of how many people, the foremost ones (0: of all)."""

    model = String(load_default="", validate=Length(max=100))
    skeleton = String(load_default="", validate=_one_of(sorted(SKELETONS)))
    max_people = Integer(load_default=0, validate=Range(0, answers.MOST))

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # a misspelt parameter that passed would change nothing, and nobody would know
        self.error_messages["unknown"] = "this address knows none of that name"


class Picture(Which):
    """Query: also how to answer."""

    threshold = Float(load_default=0.3, validate=Range(0, 1))
    format = String(load_default="", validate=_one_of(answers.FORMS))


class Frame(Which):
    """Query: also what to send back, so that a client can sort answers."""

    sequence = Integer(load_default=0, validate=Range(0, 2**32 - 1))
    time = Float(load_default=0.0, validate=Range(0, 1e15))


def install(app: APIFlask, service: Service) -> None:
    """Add the routes to an app, whose `Key` converter they need."""
    app.url_map.converters["key"] = Key
    app.register_blueprint(bp)


def rates(settings: Settings) -> dict[str, str]:
    """How often an address may call single endpoints."""
    return {"api.picture": settings.picture_rate, "api.frame": settings.frame_rate}


def service() -> Service:
    """The shared parts of the app that answers."""
    found: Service = current_app.extensions["posegram"]
    return found


def offered(name: str) -> str:
    """A model's name, once it is loaded.

    Raises:
        Refused: 422, there is none or it cannot run here.
    """
    try:
        known = service().shelf.known(name)
        service().estimate(known)
    except (ValueError, ImportError) as fault:
        raise Refused(422, sentence(fault)) from fault
    return known


@bp.post("/pose/image")
@bp.input(Picture, location="query", arg_name="query", unknown=RAISE)
@bp.doc(tags=["Pictures"], responses=[400, 406, 413, 415, 422, 429, 503])
def picture(query: dict[str, Any]) -> Response:
    """Find the people in a picture.

    Send a JPEG, PNG or WebP file as the form's field `image` or as the whole body. The answer is
    JSON, COCO, CSV or the picture with the joints drawn in, as `Accept` or `format` says;
    `csv-wide`, a row per person with the joints' angles in degrees, is had by `format`. The other
    formats are under `links`, until `expires`.
    """
    here = service()
    form = answers.chosen(query["format"])
    data = uploads.read("image", here.settings.picture_bytes, PICTURE_TYPES)
    uploads.require_picture(data, here.settings.pixels)
    model = offered(query["model"])
    key = new_key()
    with here.slot(), here.store.saving(key) as folder:
        image = uploads.decoded(data)
        started = time.perf_counter()
        people = _wanted(here.look(model, image), query)
        record = {
            "id": key,
            "model": model,
            "seconds": round(time.perf_counter() - started, 4),
            "expires": int(time.time() + here.store.picture_seconds),
            "links": {s: url_for(".result", key=key, suffix=s) for s in answers.FORMS},
        }
        whole = answers.write(folder, record, image, people, query["threshold"])
    if form.suffix == "json":
        return jsonify(whole)
    return result(key, form.suffix)


def _wanted(people: People, query: dict[str, Any]) -> People:
    """Those of the people, with those joints, that a query asks for."""
    return answers.usual(foremost(people, query["max_people"]), query["skeleton"])


@bp.get(f"/results/<key:key>.<any({', '.join(map(repr, answers.FORMS))}):suffix>")
@bp.doc(tags=["Pictures"], responses={304: "Not changed", 404: _GONE, 416: "No such bytes"})
def result(key: str, suffix: str) -> Response:
    """Fetch what was found in a picture: the joints in a format, or the picture drawn."""
    form = answers.FORMS[suffix]
    path = service().store.picture(key, form.file)
    if path is None:
        raise Refused(404, _GONE)
    try:
        return answers.unnamed(send_file(path, form.mimetype, max_age=0))
    except FileNotFoundError as fault:  # deleted this moment
        raise Refused(404, _GONE) from fault


@bp.delete("/results/<key:key>")
@bp.doc(tags=["Pictures"], responses={204: "Gone", 404: "There is none", 503: "Come back later"})
def forget(key: str) -> Response:
    """Delete what was found in a picture; a video's job is deleted under its own address."""
    here = service()
    # a job's files lie beside the pictures' and may be written to just now
    if here.queue.get(key) is not None or not here.store.delete(key):
        raise Refused(404, _GONE)
    return Response(status=204)


@bp.post("/pose/frame")
@bp.input(Frame, location="query", arg_name="query", unknown=RAISE)
@bp.doc(tags=["Live"], responses=[400, 413, 415, 422, 429, 503])
def frame(query: dict[str, Any]) -> Response:
    """Find the people in one live frame, a JPEG of at most 1,920 pixels a side; nothing is kept.

    The answer is that of the WebSocket `/v1/live`, for networks that let no WebSocket through.
    """
    here = service()
    data = uploads.read("image", here.settings.frame_bytes, PICTURE_TYPES)
    uploads.require_picture(data, here.settings.pixels, kinds=("JPEG",), side=live.LARGEST)
    model = offered(query["model"])
    with here.slot():
        try:
            image = live.decode(data)
        except ValueError as fault:
            raise Refused(422, sentence(fault)) from fault
        people = _wanted(here.look(model, image), query)
    echo = {"sequence": query["sequence"], "time": query["time"]}
    return jsonify(echo | live.answer(people))


@bp.get("/models")
@bp.doc(tags=["Models"])
def models() -> Response:
    """List the models with their cards."""
    return jsonify(models=service().models())
