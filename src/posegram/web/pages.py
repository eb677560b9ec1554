"""The pages that people see, and the files they need: styles, scripts, networks for the browser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import flask
from markdown_it import MarkdownIt

from posegram import __version__, heatmaps
from posegram.drawing import PEOPLE, SIDES
from posegram.infer.load import (
    DETECTOR,
    detector_file,
    detector_of,
    file_of,
    load_network,
    sized,
)
from posegram.infer.rcnn_load import NAME as RCNN
from posegram.pose import SKELETONS, Card
from posegram.web.service import Service

__all__ = ["FOREVER", "install"]

FOREVER = "public, max-age=31536000, immutable"  # for addresses that change with their content
_STATIC = Path(__file__).parent / "static"
_RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_TYPES = {  # a browser runs no module and streams no wasm under another name
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".css": "text/css",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".jpg": "image/jpeg",
}
_LONGEST = 200  # letters of a file's name; longer ones are an error to the system, not a file
_KINDS = ("heatmap", "regression")  # what coords.js can decode
_WEIGHTS = Path(__file__).parent.parent / "weights"


@dataclass(frozen=True)
class _Site:
    """What the routes of one app share."""

    service: Service
    stamp: str  # changes with any static file, so that browsers may keep the files for ever


def install(app: flask.Flask, service: Service) -> None:
    """Add the pages, their static files and the networks for the browser to an app."""
    site = _Site(service, _stamp(_STATIC))
    pages = flask.Blueprint("pages", __name__, template_folder="templates")
    for address, name in (("/", "index"), ("/video", "video")):
        pages.add_url_rule(address, name, _page(site, f"{name}.html"))
    pages.add_url_rule("/live", "live", lambda: _live(site))
    pages.add_url_rule("/models", "models", lambda: _models(site))
    pages.add_url_rule("/jobs/<key:name>", "job", lambda name: _job(site, name))
    pages.add_url_rule("/assets/<stamp>/<path:name>", "asset", _asset_of(site))
    pages.add_url_rule("/weights/<stamp>/<name>.onnx", "weights", _weights_of(site))
    app.register_blueprint(pages)
    app.context_processor(lambda: _context(site))


def _context(site: _Site) -> dict[str, Any]:
    """What every template may use, error.html included."""
    return {
        "asset": lambda name: f"/assets/{site.stamp}/{name}",
        "version": __version__,
        "faces": (_STATIC / "fonts").is_dir(),
        "settings": site.service.settings,
        "hours": _hours,
        "megabytes": lambda count: f"{count / 2**20:.0f} MB",
    }


def _hours(count: float) -> str:
    """A number of hours in words.

    >>> _hours(1), _hours(24), _hours(0.5)
    ('one hour', '24 hours', '30 minutes')
    """
    if count < 1:
        return f"{count * 60:.0f} minutes"
    return "one hour" if count == 1 else f"{count:g} hours"


def _stamp(folder: Path) -> str:
    """A short name for the content of all files in a folder."""
    found = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found.update(path.relative_to(folder).as_posix().encode())
        # the runtime's 14 MB need not be read at every start: its name and size will do
        big = path.stat().st_size > 1 << 20
        found.update(str(path.stat().st_size).encode() if big else path.read_bytes())
    return found.hexdigest()[:12]


def _page(site: _Site, template: str) -> Callable[[], str]:
    return lambda: flask.render_template(template, site=_config(site))


def _live(site: _Site) -> str:
    """The live page; the server makes ready for its frames."""
    import_module("posegram.infer.follow")  # scipy takes a while: the first frame should not wait
    return _page(site, "live.html")()


def _job(site: _Site, name: str) -> str:
    """The page of one job; whether there is one, its script asks."""
    return flask.render_template("job.html", job=name, site=_config(site))


def _config(site: _Site) -> dict[str, Any]:
    """What the pages' scripts need to know."""
    settings = site.service.settings
    models = site.service.models()
    return {
        "models": models,
        "device": _device(site, [entry["name"] for entry in models if entry["available"]]),
        "skeletons": {
            name: {"joints": skeleton.joints, "bones": skeleton.bones}
            for name, skeleton in SKELETONS.items()
        },
        "colours": {
            "sides": {side: _hex(colour) for side, colour in SIDES.items()},
            "people": [_hex(colour) for colour in PEOPLE],
        },
        "limits": {"picture": settings.picture_bytes, "clip": settings.clip_bytes},
    }


def _hex(colour: tuple[int, int, int]) -> str:
    """Red, green and blue as a page writes them.

    >>> _hex((255, 140, 20))
    '#ff8c14'
    """
    return "#" + bytes(colour).hex()


def _device(site: _Site, names: list[str]) -> dict[str, Any] | None:
    """Networks that a browser can run, by name; None where the runtime was not installed."""
    if not all((_STATIC / "ort" / name).is_file() for name in _RUNTIME):
        return None
    found = {name: _network(site, name) for name in names}
    poses = {name: entry for name, entry in found.items() if entry and _decodable(entry)}
    finders = {DETECTOR: _network(site, DETECTOR)}  # none for a skeleton of no people
    usual = {name: detector_of(site.service.shelf.card(name).skeleton) for name in poses}
    pairs = {name: entry | {"detector": finders.get(usual[name])} for name, entry in poses.items()}
    return {"poses": pairs}


def _decodable(network: dict[str, Any]) -> bool:
    return network["card"]["kind"] in _KINDS


def _network(site: _Site, name: str) -> dict[str, Any] | None:
    """Address, card and joints' falloffs of a network in an ONNX file; None where there is none.

    Of a detector also whether it looks closer where people are small.
    """
    path = _onnx(site, name)
    if path is None:
        return None
    about = path.stat()
    stamp = f"{about.st_size:x}-{int(about.st_mtime):x}"
    shelf = site.service.shelf
    side = sized(site.service.settings.detector)[1]
    card = shelf.card(name) if name in shelf.sources else _finder(path, side)
    spread = heatmaps.spreads(card.skeleton).tolist()
    file = f"/weights/{stamp}/{name}.onnx"
    known = {"file": file, "card": json.loads(card.to_json()), "spread": spread}
    return known if card.kind != "detector" else known | {"closer": not side}


@cache
def _finder(path: Path, side: int) -> Card:
    """The card of a detector with an input of that side, 0: of its own."""
    card = load_network(path, threads=1)[0]
    return replace(card, size=(side, side)) if side else card


def _onnx(site: _Site, name: str) -> Path | None:
    """The ONNX file of a model on offer, or of the detector that all of them share."""
    source = site.service.shelf.sources.get(name)
    if name == DETECTOR and source is None:
        own = site.service.settings.detector  # "none" is no file
        path = detector_file(own)
    elif source in (None, RCNN):  # whose weights are none for a browser
        return None
    else:
        path = file_of(source)
    return path if path.suffix.lower() == ".onnx" and path.is_file() else None


def _weights_of(site: _Site) -> Callable[[str, str], flask.Response]:
    def weights(stamp: str, name: str) -> flask.Response:
        """One network's file, for the live page on the visitor's own device."""
        path = _onnx(site, name)
        if path is None:
            flask.abort(404)
        answer = flask.send_file(path, mimetype="application/octet-stream", conditional=True)
        answer.headers["Cache-Control"] = FOREVER
        return answer

    return weights


def _asset_of(site: _Site) -> Callable[[str, str], flask.Response]:
    def asset(stamp: str, name: str) -> flask.Response:
        """One static file; its packed twin where there is one and the browser takes it."""
        kind = _TYPES.get(Path(name).suffix, "application/octet-stream")
        takes = flask.request.accept_encodings.quality("gzip") > 0
        takes &= len(name) <= _LONGEST
        twin = takes and (_STATIC / f"{name}.gz").is_file()
        sent = f"{name}.gz" if twin else name
        answer = flask.send_from_directory(_STATIC, sent, mimetype=kind, conditional=True)
        if twin:
            answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
        answer.headers["Cache-Control"] = FOREVER if stamp == site.stamp else "no-cache"
        return answer

    return asset


def _models(site: _Site) -> str:
    """What every model says of itself, with the card's text where one is bundled."""
    entries, sources = site.service.models(), site.service.shelf.sources
    for entry in entries:  # a file of the user's own may be called as a bundled one
        own = sources[entry["name"]] not in ("", entry["name"])
        entry["text"] = "" if own else _text(entry["name"])
    finder = _text(DETECTOR) if sized(site.service.settings.detector)[0] in ("", DETECTOR) else ""
    return flask.render_template("models.html", models=entries, finder=finder, site=_config(site))


@cache
def _text(name: str) -> str:
    """The text of one of our models' card as HTML, no headline; "" where there is none."""
    path = _WEIGHTS / f"{name}.md"
    if not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8").splitlines()
    body = "\n".join(line for line in lines if not line.startswith("# "))
    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(body))
