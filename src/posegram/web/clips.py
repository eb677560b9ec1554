"""The API for clips: a job each, with progress and files to fetch."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from apiflask import APIBlueprint, APIFlask
from apiflask.fields import Boolean
from flask import Response, jsonify, request, send_from_directory, url_for
from marshmallow import RAISE

from posegram.web import answers, peek, uploads
from posegram.web.api import Which, offered, service
from posegram.web.errors import Refused, sentence
from posegram.web.jobs import ACTIVE, Job
from posegram.web.render import FILES
from posegram.web.results import new_key
from posegram.web.service import Busy, Service
from posegram.web.settings import Settings

__all__ = ["Clip", "add", "cancel", "file", "install", "rates", "state"]

_KINDS = {".mp4": "video/mp4", ".csv": "text/csv", ".json": "application/json"}
_TYPES = ("video/", "application/octet-stream")
_WAIT = 10.0  # seconds for a core to look at a clip; its sender has waited longer for the upload
_GONE = "There is no such job, or no longer."

bp = APIBlueprint("clips", __name__, url_prefix="/v1")


class Clip(Which):
    """Query: also whether to smooth."""

    smooth = Boolean(load_default=True)


def install(app: APIFlask, service: Service) -> None:
    """Add the routes to an app."""
    app.register_blueprint(bp)


def rates(settings: Settings) -> dict[str, str]:
    """How often an address may call single endpoints."""
    return {"clips.add": settings.clip_rate}


@bp.post("/jobs")
@bp.input(Clip, location="query", arg_name="query", unknown=RAISE)
@bp.doc(tags=["Clips"], responses=[400, 413, 415, 422, 429, 503])
def add(query: dict[str, Any]) -> tuple[Response, int]:
    """Queue a video.

    Send an MP4, MOV, WebM, MKV or AVI file as the form's field `video` or as the whole body; then
    ask for the job once a second. The file is deleted when its job ends.
    """
    here = service()
    if here.queue.full():
        raise Refused(503, "The queue of videos is full; come back in a minute.", retry=60)
    model = offered(query["model"])
    key = new_key()
    part = here.settings.uploads / f"{key}.part"
    try:
        here.store.room(request.content_length or 0)
        uploads.store("video", here.settings.clip_bytes, _TYPES, part)
        suffix = uploads.clip_kind(part)
        whole = part.with_suffix(suffix)
        part.rename(whole)
        total, pixels = _admitted(whole, here)
        args = {"file": whole.name, "model": model, "pixels": pixels}
        args |= {name: query[name] for name in ("skeleton", "smooth", "max_people")}
        if not here.queue.put(key, "film", args, total=total):
            raise Refused(503, "The queue of videos is full; come back in a minute.", retry=60)
    except BaseException:
        _drop_upload(here, key)
        raise
    return jsonify(id=key, links={"self": url_for(".state", key=key)}), 202


@bp.get("/jobs/<key:key>")
@bp.doc(tags=["Clips"], responses=[404, 503])
def state(key: str) -> Response:
    """Tell how far a job is; its files are listed once it is done."""
    return jsonify(_told(_job(key)))


@bp.delete("/jobs/<key:key>")
@bp.doc(tags=["Clips"], responses={204: "Gone", 404: _GONE, 503: "Come back later"})
def cancel(key: str) -> Response:
    """Cancel a job and delete its files; a job that had ended is forgotten."""
    here = service()
    _job(key)
    if not here.queue.cancel(key):
        here.queue.forget(key)
    _drop_upload(here, key)
    here.store.delete(key)
    return Response(status=204)


@bp.get(f"/jobs/<key:key>/files/<any({', '.join(map(repr, FILES))}):name>")
@bp.doc(tags=["Clips"], responses={304: "Not changed", 404: _GONE, 416: "No such bytes", 503: ""})
def file(key: str, name: str) -> Response:
    """Fetch a file of a finished job; ranges are honoured, so that a player can seek.

    `poses.csv` has a row per joint, `poses_wide.csv` one per frame and person, with the joints'
    angles in degrees.
    """
    job = _job(key)
    folder = service().store.clip(key, job.tries)
    if job.state != "done" or not (folder / name).is_file():
        raise Refused(404, "There is no such file, or not yet.")
    kind = _KINDS[Path(name).suffix]
    sent = send_from_directory(folder, name, mimetype=kind, conditional=True, max_age=0)
    return answers.unnamed(sent)


def _admitted(path: Path, here: Service) -> tuple[int, int]:
    """Frames of a clip that may be worked on, 0 where it does not say; and pixels of each.

    Raises:
        Busy: no core is free to look.
        Refused: 413, it is too large or too long; 422, it cannot be decoded.
    """
    settings = here.settings
    with here.slot(_WAIT):
        try:
            found = peek.facts(path)
        except TimeoutError as fault:
            raise Busy from fault
        except ValueError as fault:
            raise Refused(422, sentence(fault)) from fault
    pixels, count = found["width"] * found["height"], found["count"] or 0
    if pixels > settings.pixels:
        most = settings.pixels / 1e6
        raise Refused(413, f"A frame of the video has more than {most:g} million pixels.")
    if (found["seconds"] or 0) > settings.clip_seconds:
        raise Refused(413, f"The video is longer than {settings.clip_seconds:g} seconds.")
    if pixels * count > settings.clip_pixels:
        raise Refused(413, "The video has too many pixels in all: make it shorter or smaller.")
    return int(count), int(pixels)


def _job(key: str) -> Job:
    here = service()
    job = here.queue.get(key)
    if job is None:
        raise Refused(404, _GONE)
    # the worker sweeps now and then only
    if job.ended is not None and time.time() > job.ended + here.store.clip_seconds:
        raise Refused(404, _GONE)
    return job


def _told(job: Job) -> dict[str, Any]:
    """What a visitor learns of a job."""
    here = service()
    ended = job.created if job.ended is None else job.ended
    folder = here.store.clip(job.id, job.tries)
    listed = [name for name in FILES if job.state == "done" and (folder / name).is_file()]
    return {
        "id": job.id,
        "state": job.state,
        "done": job.done,
        "total": job.total,
        "tries": job.tries,
        "error": job.error,
        "files": [
            {"name": name, "url": url_for(".file", key=job.id, name=name)} for name in listed
        ],
        "created": int(job.created),
        "expires": None if job.state in ACTIVE else int(ended + here.store.clip_seconds),
    }


def _drop_upload(here: Service, key: str) -> None:
    for suffix in (".part", *uploads.CLIPS):
        with suppress(OSError):
            (here.settings.uploads / f"{key}{suffix}").unlink(missing_ok=True)
