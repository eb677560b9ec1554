"""What goes in and out of the API, as JSON Schema for its OpenAPI description."""

from __future__ import annotations

from typing import Any

from posegram.web.answers import FORMS
from posegram.web.errors import CODES
from posegram.web.render import FILES

__all__ = ["ABOUT", "complete"]

ABOUT = (
    "Find 2D human joints in pictures, clips and live frames. Pixels: x right, y down, (0, 0) is"
    " the centre of the top-left pixel of the upright picture. Scores: 0 to 1, the probability"
    " that a joint is right. `max_people` keeps so many, the largest and surest; 0 keeps all. The"
    " id of a result is the only key to it. A 503 or 429 says in"
    " `Retry-After` when to come back."
)

_Spec = dict[str, Any]
_NUMBER, _WHOLE, _TEXT = {"type": "number"}, {"type": "integer"}, {"type": "string"}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_BINARY = {"type": "string", "format": "binary"}


def _object(**properties: Any) -> _Spec:
    """A JSON object that always has these keys."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(of: _Spec, count: int | None = None) -> _Spec:
    sizes = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": of, **sizes}


def _maybe(schema: _Spec) -> _Spec:
    return {"anyOf": [schema, {"type": "null"}]}


def _named(name: str) -> _Spec:
    return {"$ref": f"#/components/schemas/{name}"}


_JOINT = _object(x=_NUMBER, y=_NUMBER, score=_SHARE)
_SCHEMAS = {
    "Error": _object(error=_object(code=_TEXT, message=_TEXT)),
    "Person": _object(
        box=_list(_NUMBER, 4),
        score=_SHARE,
        joints={"type": "object", "additionalProperties": _maybe(_JOINT)},
    ),
    "Picture": _object(
        id=_TEXT,
        model=_TEXT,
        seconds=_NUMBER,
        expires=_WHOLE,
        links={"type": "object", "additionalProperties": _TEXT},
        width=_WHOLE,
        height=_WHOLE,
        skeleton=_TEXT,
        joints=_list(_TEXT),
        bones=_list(_list(_TEXT, 2)),
        people=_list(_named("Person")),
    ),
    "Frame": _object(
        sequence=_WHOLE, time=_NUMBER, skeleton=_TEXT, people=_list(_named("LivePerson"))
    ),
    "LivePerson": _object(
        track=_maybe(_WHOLE),
        box=_list(_NUMBER, 4),
        score=_SHARE,
        xy=_list(_maybe(_list(_NUMBER, 2))),
        scores=_list(_SHARE),
    ),
    "Model": _object(
        name=_TEXT,
        default={"type": "boolean"},
        available={"type": "boolean"},
        missing=_maybe({"type": "string", "enum": ["packages", "weights"]}),
        install=_maybe(_TEXT),
        milliseconds=_maybe(_NUMBER),
        kind=_TEXT,
    ),
    "Added": _object(id=_TEXT, links=_object(self=_TEXT)),
    "Job": _object(
        id=_TEXT,
        state={"type": "string", "enum": ["queued", "running", "done", "failed", "cancelled"]},
        done=_WHOLE,
        total=_WHOLE,
        tries=_WHOLE,
        error=_maybe(_TEXT),
        files=_list(_object(name=_TEXT, url=_TEXT)),
        created=_WHOLE,
        expires=_maybe(_WHOLE),
    ),
    "Ready": _object(
        ready={"type": "boolean"},
        checks={"type": "object", "additionalProperties": {"type": "boolean"}},
    ),
}

_PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
_CLIP_TYPES = ("video/mp4", "video/quicktime", "video/webm", "application/octet-stream")
_BODIES = {  # where a file goes in: the form's field, the types of a whole body
    ("/v1/pose/image", "post"): ("image", _PICTURE_TYPES),
    ("/v1/pose/frame", "post"): ("image", ("image/jpeg", "application/octet-stream")),
    ("/v1/jobs", "post"): ("video", _CLIP_TYPES),
}
_JSON = "application/json"
_FILE = {"text/csv": _TEXT, "image/jpeg": _BINARY, "application/vnd.coco+json": {"type": "object"}}
_ANSWERS: dict[tuple[str, str], tuple[str, _Spec]] = {  # statuses, schema by content type
    ("/v1/pose/image", "post"): ("200", {_JSON: _named("Picture"), **_FILE}),
    ("/v1/results/{key}.{suffix}", "get"): ("200 206", {_JSON: _named("Picture"), **_FILE}),
    ("/v1/pose/frame", "post"): ("200", {_JSON: _named("Frame")}),
    ("/v1/models", "get"): ("200", {_JSON: _object(models=_list(_named("Model")))}),
    ("/v1/jobs", "post"): ("202", {_JSON: _named("Added")}),
    ("/v1/jobs/{key}", "get"): ("200", {_JSON: _named("Job")}),
    ("/v1/jobs/{key}/files/{name}", "get"): (
        "200 206",
        {"video/mp4": _BINARY, "text/csv": _TEXT, _JSON: {}},
    ),
    ("/healthz", "get"): ("200", {_JSON: _object(alive={"type": "boolean"})}),
    ("/readyz", "get"): ("200 503", {_JSON: _named("Ready")}),
    ("/metrics", "get"): ("200", {"text/plain": _TEXT}),
}
_KEYS: dict[str, _Spec] = {  # parts of an address
    "key": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "suffix": {"type": "string", "enum": list(FORMS)},
    "name": {"type": "string", "enum": list(FILES)},
}


def complete(spec: _Spec) -> _Spec:
    """The description with schemas, bodies and answers that APIFlask cannot know of."""
    components = spec.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **_SCHEMAS}
    spec["paths"].pop("/v1/live", None)  # a WebSocket, which OpenAPI has no words for
    known = list(dict.fromkeys(path for path, _ in _ANSWERS))
    order = {path: n for n, path in enumerate(known)}
    order["/v1/results/{key}"] = order["/v1/results/{key}.{suffix}"]  # beside each other
    paths = sorted(spec["paths"].items(), key=lambda pair: order.get(pair[0], len(order)))
    spec["paths"] = dict(paths)
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if isinstance(operation, dict):
                _describe(operation, (path, method))
    return spec


def _describe(operation: _Spec, where: tuple[str, str]) -> None:
    """Complete one route."""
    if where in _BODIES:
        operation["requestBody"] = _body(*_BODIES[where])
    responses = operation.setdefault("responses", {})
    if where[0].startswith("/v1/"):
        for often in ("400", "429") if where[1] == "get" else ("400", "403", "429"):
            responses.setdefault(often, {})
    _errors(responses)
    if where in _ANSWERS:
        _answer(responses, *_ANSWERS[where])
    operation["responses"] = dict(sorted(responses.items()))
    for parameter in operation.get("parameters", []):
        if parameter["in"] == "path" and parameter["name"] in _KEYS:
            parameter["schema"] = _KEYS[parameter["name"]]


def _answer(responses: _Spec, statuses: str, content: _Spec) -> None:
    """Add what a route answers when all goes well; or as well, when not."""
    responses.pop("200", None)
    described = {kind: {"schema": schema} for kind, schema in content.items()}
    for status in statuses.split():
        said = "The part asked for" if status == "206" else "As asked for"
        responses[status] = {"description": said, "content": described}


def _body(field: str, types: tuple[str, ...]) -> _Spec:
    form = _object(**{field: _BINARY})
    content = {kind: {"schema": _BINARY} for kind in types}
    return {"required": True, "content": {"multipart/form-data": {"schema": form}, **content}}


def _errors(responses: _Spec) -> None:
    for status, response in responses.items():
        if int(status) >= 400:
            code, meaning = CODES[int(status)]
            response["description"] = f"`{code}`: {meaning}"
            response["content"] = {_JSON: {"schema": _named("Error")}}
