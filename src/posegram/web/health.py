"""For machines: alive, ready, counted."""

from __future__ import annotations

import sqlite3

from apiflask import APIBlueprint, APIFlask
from flask import Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from posegram.web.api import service
from posegram.web.jobs import ACTIVE
from posegram.web.service import Service

__all__ = ["alive", "install", "metrics", "ready"]

_STATES = (*ACTIVE, "done", "failed", "cancelled")
bp = APIBlueprint("health", __name__)


def install(app: APIFlask, service: Service) -> None:
    """Add the routes to an app."""
    app.register_blueprint(bp)


@bp.get("/healthz")
@bp.doc(tags=["Health"])
def alive() -> Response:
    """Say that the process answers; always 200."""
    return jsonify(alive=True)


@bp.get("/readyz")
@bp.doc(tags=["Health"])
def ready() -> Response:
    """Say whether pictures and clips can be taken: model loaded, disk free, queue below its cap."""
    here = service()
    checks = {"model": bool(here.shelf.loaded), "accepting": not here.stopping.is_set()}
    try:
        here.store.room()
        checks["disk"] = True
    except OSError:
        checks["disk"] = False
    try:
        checks["queue"] = not here.queue.full()
    except sqlite3.Error:
        checks["queue"] = False
    answer = jsonify(ready=all(checks.values()), checks=checks)
    answer.status_code = 200 if all(checks.values()) else 503
    return answer


@bp.get("/metrics")
@bp.doc(tags=["Health"], responses=[503])
def metrics() -> Response:
    """Print the counters in Prometheus' text format."""
    here = service()
    counts = here.queue.counts()
    for state in _STATES:
        here.meters.jobs.labels(state).set(counts.get(state, 0))
    return Response(generate_latest(here.meters.registry), content_type=CONTENT_TYPE_LATEST)
