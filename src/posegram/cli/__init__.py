"""The command `posegram`: one file per verb, and one way to tell a user what went wrong."""

from __future__ import annotations

import errno
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import typer

from posegram import __version__
from posegram.cli.angles import angles
from posegram.cli.batch import batch
from posegram.cli.data import data
from posegram.cli.evaluate import evaluate
from posegram.cli.export import export
from posegram.cli.label import label
from posegram.cli.models import models
from posegram.cli.predict import predict
from posegram.cli.serve import serve
from posegram.cli.train import train
from posegram.cli.webcam import webcam

__all__ = ["VERBS", "app", "main"]

VERBS: dict[str, Callable[..., Any] | typer.Typer] = {  # a Typer is a verb with verbs of its own
    "predict": predict,
    "batch": batch,
    "angles": angles,
    "webcam": webcam,
    "serve": serve,
    "train": train,
    "evaluate": evaluate,
    "export": export,
    "label": label,
    "models": models,
    "data": data,
}

_EXTRAS = {  # package -> the extra that brings it; all others come with [train]
    **dict.fromkeys(("av", "scipy"), "video"),
    **dict.fromkeys(("flask", "apiflask", "flask_sock", "flask_limiter"), "web"),
    **dict.fromkeys(("gunicorn", "prometheus_client", "simple_websocket"), "web"),
    **{"torchvision": "rcnn", "keras": "keras", "openvino": "openvino"},
}

_PATIENCE = 10.0  # seconds
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}  # no mistake in the command

app = typer.Typer(
    name="posegram",
    help="Find, train and measure 2D human joints.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},  # of every verb
)
for _name, _verb in VERBS.items():
    if isinstance(_verb, typer.Typer):
        app.add_typer(_verb, name=_name)
    else:
        app.command(_name)(_verb)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main(args: list[str] | None = None) -> None:
    """Run one verb; a user's mistake is one sentence and exit code 2, failed work is 1.

    `POSEGRAM_DEBUG=1` shows the traceback instead of the sentence.
    """
    # Pillow's warning of a picture that we refuse in a sentence of our own
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    try:
        app(args)
    except (ValueError, OSError, ImportError) as fault:
        if os.environ.get("POSEGRAM_DEBUG"):
            raise
        if int(os.environ.get("LOCAL_RANK", "0")):
            # most often all of torchrun's processes meet the same fault: the first one says it, and
            # torchrun ends the others; who is alive after a while met a fault of its own
            time.sleep(_PATIENCE)
        typer.echo(f"posegram: {_sentence(fault)}", err=True)
        numbers = {getattr(one, "errno", None) for one in (fault, fault.__cause__)}
        sys.exit(1 if numbers & _DISK else 2)


def _sentence(fault: Exception) -> str:
    if isinstance(fault, ModuleNotFoundError):  # of an extra; our own hints are plain ImportErrors
        extra = _EXTRAS.get((fault.name or "").split(".")[0], "train")
        return f"this needs {fault.name}, which is not installed: pip install 'posegram[{extra}]'"
    said = str(fault)
    if "\nOriginal Traceback (" in said:  # of a process that prepares batches, put into words
        said = said.rstrip().splitlines()[-1].partition(": ")[2]
    return said
