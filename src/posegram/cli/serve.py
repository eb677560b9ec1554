"""`posegram serve`: the web app for a browser and for programs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from posegram.cli.words import tell_whole
from posegram.infer.load import DETECTOR, detector_of, load, load_detector

__all__ = ["serve"]

_NEEDED = ("flask", "apiflask", "flask_sock", "flask_limiter", "gunicorn", "prometheus_client")
_HERE = ("127.0.0.1", "localhost", "::1")


def serve(
    host: str = typer.Option("", help="Address to listen at; 127.0.0.1, with --public 0.0.0.0."),
    port: int = typer.Option(8000, min=0, max=65535, help="Port; 0 takes a free one."),
    model: list[str] = typer.Option(
        [], "--model", help="Models to offer beside the bundled ones; the first is the default."
    ),
    detector: str = typer.Option(
        "", help="Finds the people: detector:640 (its input's side), a file, or none."
    ),
    public: bool = typer.Option(False, "--public", help="Let other computers in."),
    name: list[str] = typer.Option(
        [], "--name", help="Host name it answers to, with --public; any without one."
    ),
    proxies: int = typer.Option(
        0, min=0, max=5, help="Reverse proxies in front, whose X-Forwarded headers count."
    ),
    origin: list[str] = typer.Option([], help="Other origins whose pages may use the API."),
    threads: int = typer.Option(0, min=0, max=256, help="Pictures at a time; 0: one per core."),
    live: int = typer.Option(8, min=1, max=256, help="Most live connections at a time."),
    folder: Path = typer.Option(
        Path("instance"), help="For uploads, results and the list of jobs; made where missing."
    ),
    keep: float = typer.Option(0.0, min=0.0, help="Hours to keep results; 0: 1, of videos 24."),
) -> None:
    """Serve the web app: pictures, videos and the live camera, in a browser and over HTTP.

    Prints the address once it is ready. Only this computer is let in, unless --public says
    otherwise. Ctrl+C or SIGTERM stops it within seconds; a video that was being worked on goes
    on at the next start.

    Exit code 1: the server ended by itself. Exit code 2: misuse.
    """
    host = host or ("0.0.0.0" if public else "127.0.0.1")
    if not public and host not in _HERE:
        raise ValueError(f"other computers could reach {host}: say --public if they may")
    if name and not public:
        raise ValueError("--name is for --public: this computer's own names work without")
    supervise, settings = _parts()
    hours = {"picture_hours": keep, "clip_hours": keep} if keep else {}
    chosen = settings.Settings(
        folder=folder,
        models=tuple(model) or ("",),
        detector=detector,
        cores=threads,
        max_live=live,
        public=public,
        names=tuple(name),
        proxies=proxies,
        origins=tuple(origin),
        **hours,
    )
    _check(model, detector)
    _make(folder)
    with supervise.listen(host, port) as door:
        server = supervise.Server(chosen, door, lambda line: typer.echo(line, err=True))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stopping.set())
        code = server.run()
    if code:
        raise typer.Exit(code)


def _check(models: Sequence[str], detector: str) -> None:
    """Load what is to be offered, before the server's processes would fail over it.

    Says which of the models take each picture whole, where nobody asked for that.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no model, or no detector; or two models have one name.
    """
    from posegram.web.shelf import named

    for model in models:
        estimate = load(model, threads=1, detector="none")
        if detector_of(estimate.card.skeleton) == "none":
            tell_whole(estimate, detector)
    named(tuple(models))
    load_detector(detector or DETECTOR, threads=1)


def _make(folder: Path) -> None:
    """Make the folder that everything is kept in.

    Raises:
        OSError: it cannot be made, or nothing can be written to it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise OSError(f"cannot make the folder {folder} (--folder): {fault.strerror}") from fault
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to the folder {folder} (--folder)")


def _parts() -> tuple[Any, Any]:
    """The modules that a server needs.

    Raises:
        ImportError: the extra is not installed, or the system has no gunicorn.
    """
    if sys.platform == "win32":
        raise ImportError("posegram serve needs Linux or macOS, since gunicorn does")
    for module in (*_NEEDED, "av"):
        if find_spec(module) is None:  # asked without importing: it is others who import them
            raise ImportError(f"the web app needs {module}: pip install 'posegram[web]'")
    return import_module("posegram.web.supervise"), import_module("posegram.web.settings")
