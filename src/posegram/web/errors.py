"""One shape for everything that went wrong: `{"error": {"code", "message"}}`."""

from __future__ import annotations

import errno
import logging
import sqlite3
from typing import Any

from apiflask import APIFlask, HTTPError
from flask import Response, jsonify, render_template, request
from jinja2 import TemplateNotFound

from posegram.web.service import Busy

__all__ = ["CODES", "Refused", "install", "sentence"]

CODES = {  # status -> code of the error object, and what it means
    400: ("bad_request", "The request cannot be understood."),
    403: ("forbidden", "Pages of other sites may not use this server."),
    404: ("not_found", "There is nothing here, or no longer."),
    405: ("method_not_allowed", "This address does not take this method."),
    406: ("not_acceptable", "None of the formats asked for can be given."),
    411: ("length_required", "The request must say how long its body is."),
    413: ("too_large", "The file has too many bytes, pixels or seconds."),
    415: ("unsupported_type", "The file is of a kind that is not taken."),
    416: ("bad_range", "The file has no such bytes."),
    422: ("unprocessable", "The file or a parameter is of the right kind but cannot be used."),
    429: ("too_many_requests", "Too many requests from one address; come back later."),
    500: ("internal", "The server made a mistake; its log says which."),
    503: ("unavailable", "All cores work, the queue is full or the disk is; come back later."),
}
_RETRY = {429: "10", 503: "1"}  # seconds
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EMFILE)

_log = logging.getLogger("posegram.web")


class Refused(HTTPError):
    """An answer that is an error: its status, and one sentence for a person."""

    def __init__(self, status: int, message: str, *, retry: int | None = None) -> None:
        headers = {} if retry is None else {"Retry-After": str(retry)}
        super().__init__(status, message, headers=headers)


def sentence(fault: object) -> str:
    """What an error of our own says, as a sentence for a person.

    >>> sentence(ValueError("no such model; there is small"))
    'No such model; there is small.'
    """
    said = str(fault)
    return f"{said[:1].upper()}{said[1:].rstrip('.')}."


def install(app: APIFlask) -> None:
    """Give every error of an app the one shape."""
    app.error_processor(_answer)
    app.register_error_handler(Busy, _busy)
    app.register_error_handler(sqlite3.Error, _storage)
    app.register_error_handler(OSError, _disk)
    app.register_error_handler(Exception, _mistake)


def _answer(error: HTTPError) -> Response:
    """The error as JSON; as a page for a browser outside the API."""
    status = error.status_code
    code, meaning = CODES.get(status, ("error", error.message or ""))
    message = _reason(error) or meaning
    response = _page(status, code, message) or jsonify(error={"code": code, "message": message})
    response.status_code = status
    for name, value in dict(error.headers or {}).items():
        if name.lower() in ("retry-after", "allow", "content-range"):
            response.headers[name] = value
    if status in _RETRY:
        response.headers.setdefault("Retry-After", _RETRY[status])
    return response


def _reason(error: HTTPError) -> str:
    """What our own code said, or which parameter was refused; nothing of the libraries' prose."""
    if isinstance(error, Refused):
        return error.message or ""
    if not error.detail:
        return ""
    wrong = []
    for fields in dict(error.detail).values():
        for name, said in _items(fields):
            why = str(said[0])
            wrong.append(f"the parameter {name} cannot be used: {why[:1].lower()}{why[1:]}")
    return sentence("; ".join(each.rstrip(".") for each in wrong)[:300])


def _items(fields: Any) -> list[tuple[str, list[Any]]]:
    if not isinstance(fields, dict):
        return [("", [fields])]
    return [(name, said if isinstance(said, list) else [said]) for name, said in fields.items()]


def _page(status: int, code: str, message: str) -> Response | None:
    """The error as a page where one is wanted and the template is there."""
    best = request.accept_mimetypes.best_match(["application/json", "text/html"])
    if request.path.startswith("/v1/") or best != "text/html":
        return None
    try:
        page = render_template("error.html", status=status, code=code, message=message)
    except TemplateNotFound:
        return None
    return Response(page, mimetype="text/html")


def _busy(_: Exception) -> Response:
    return _answer(Refused(503, "All cores work just now; come back in a second.", retry=1))


def _storage(fault: Exception) -> Response:
    _log.error("the jobs' file fails: %s", fault)
    return _answer(Refused(503, "The list of jobs cannot be used just now.", retry=2))


def _disk(fault: Exception) -> Response:
    if not _is_full(fault):
        return _mistake(fault)
    _log.error("cannot store: %s", fault)
    return _answer(Refused(503, "The server has no room to keep results just now.", retry=30))


def _is_full(fault: BaseException | None) -> bool:
    """Whether an error, or the one behind it, says that nothing more can be written."""
    while fault is not None:
        if isinstance(fault, OSError) and fault.errno in _FULL:
            return True
        fault = fault.__cause__
    return False


def _mistake(fault: Exception) -> Response:
    _log.error("a mistake of the server at %s", request.url_rule, exc_info=fault)
    return _answer(HTTPError(500))
