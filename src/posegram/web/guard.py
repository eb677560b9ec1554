"""What every request passes and every answer carries: origin, host, rates, headers, a log line."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from apiflask import APIFlask
from flask import Request, Response, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.middleware.proxy_fix import ProxyFix

from posegram.web.errors import Refused
from posegram.web.meters import Meters
from posegram.web.settings import Settings

__all__ = ["HEADERS", "LOCAL", "install", "limit", "same_site"]

LOCAL = ("127.0.0.1", "localhost", "[::1]")

_POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'wasm-unsafe-eval'",
    "worker-src": "'self' blob:",
    "img-src": "'self' blob: data:",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{what} {where}" for what, where in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE = ("GET", "HEAD", "OPTIONS")
_API = "/v1/"  # begins the addresses that pages of named origins may use
_PREFLIGHT = {  # what those pages may send: methods of the API, and headers that it reads
    "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
    "Access-Control-Allow-Headers": (
        "Accept, Content-Type, If-Modified-Since, If-None-Match, If-Range, Range"
    ),
    "Access-Control-Max-Age": "7200",  # seconds; Chromium cuts off more
}
_EXPOSED = "Accept-Ranges, Content-Range, ETag, Retry-After, X-Request-Id"
_QUIET = ("/healthz", "/readyz", "/metrics")  # asked every few seconds by machines

_METHODS = {"GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "PATCH"}
_log = logging.getLogger("posegram.access")


def install(app: APIFlask, settings: Settings, meters: Meters) -> None:
    """Put the guard around an app."""
    if settings.proxies:
        count = settings.proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=count
        )
    names = {name.lower() for name in settings.names}
    known = {*LOCAL, *names} if names or not settings.public else None

    @app.before_request
    def begin() -> Response | None:
        g.started, g.request_id = time.perf_counter(), uuid.uuid4().hex[:12]
        # a page elsewhere whose name suddenly points here (DNS rebinding) calls us by that name
        if known is not None and _name(request.host) not in known:
            raise Refused(400, "This server does not answer to that name.")
        if not same_site(request, settings.origins):
            raise Refused(403, "Pages of other sites may not use this server.")
        # here, so that a browser's question counts for no rate and needs no route
        asks = _asks_first(request, settings.origins)
        return Response(status=204, headers=_PREFLIGHT) if asks else None

    @app.after_request
    def end(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Request-Id"] = g.get("request_id", "")
        _share(response, settings.origins)
        _note(response, meters)
        return response


def limit(app: APIFlask, settings: Settings, rates: dict[str, str]) -> None:
    """Count requests per address; `rates` are those of single endpoints."""
    limiter = Limiter(
        get_remote_address,
        app=app,
        storage_uri="memory://",
        application_limits=[],
        default_limits=[settings.other_rate],
        headers_enabled=False,
    )
    for endpoint, rate in rates.items():
        view: Any = app.view_functions[endpoint]
        app.view_functions[endpoint] = limiter.limit(rate)(view)


def same_site(asked: Request, origins: Collection[str] = ()) -> bool:
    """Whether a request comes from our own pages, from no page at all, or from one that may.

    A browser says where a request comes from in `Sec-Fetch-Site`, and in `Origin` with every POST
    and every WebSocket; a program sends neither and is let in. Reading a page or a file from
    elsewhere is harmless, since the answer stays closed to other sites.

    Args:
        asked: the request.
        origins: other origins, whose pages may use the API, its WebSocket included.
    """
    socket = asked.headers.get("Upgrade", "").lower() == "websocket"
    if (asked.method in _SAFE and not socket) or _named(asked, origins):
        return True
    origin = asked.headers.get("Origin")
    if origin is not None and _place(origin) != asked.host.lower():
        return False
    return asked.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none")


def _named(asked: Request, origins: Collection[str]) -> bool:
    """Whether a request to the API comes from a page of these origins."""
    return asked.path.startswith(_API) and asked.headers.get("Origin") in origins


def _asks_first(asked: Request, origins: Collection[str]) -> bool:
    """Whether a browser asks what a page of these origins may send to the API."""
    preflight = asked.method == "OPTIONS" and "Access-Control-Request-Method" in asked.headers
    return preflight and _named(asked, origins)


def _share(response: Response, origins: Collection[str]) -> None:
    """Let pages of the named origins read an answer of the API, errors included."""
    if not origins or not request.path.startswith(_API):
        return
    response.vary.add("Origin")  # a cache must not hand one origin's answer to another
    if _named(request, origins):
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED


def _place(origin: str) -> str:
    """Name and port of an origin; empty where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    return re.sub(r":\d*$", "", host.lower())


def _note(response: Response, meters: Meters) -> None:
    """Count and log an answer by its route: an address may hold the key to a result."""
    route = request.url_rule.rule if request.url_rule else "none"
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    # any word may stand for a method, and each would be a row that is kept for ever
    method = request.method if request.method in _METHODS else "other"
    meters.requests.labels(route, method, str(response.status_code)).inc()
    meters.seconds.labels(route).observe(seconds)
    level = logging.DEBUG if request.path in _QUIET else logging.INFO
    fields = {
        "request": g.get("request_id", ""),
        "address": request.remote_addr,
        "method": request.method,
        "route": route,
        "status": response.status_code,
        "milliseconds": round(1000 * seconds, 1),
    }
    _log.log(level, "answered", extra={"fields": fields})
