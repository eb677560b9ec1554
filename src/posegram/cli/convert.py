"""`posegram data convert`: labels from one format into another, and what does not fit there."""

from __future__ import annotations

from pathlib import Path

import typer

from posegram import data
from posegram.cli.words import counted
from posegram.data.joints import in_skeleton
from posegram.data.losses import dropped, losses, unread
from posegram.pose import skeleton_named

__all__ = ["convert"]

_FILES = {"coco", "mpii"}  # formats that are one .json file; the others are folders


def convert(
    source: str = typer.Argument(
        ..., help="Labels: a path or READER:PATH; #FIRST-LAST behind it keeps a range."
    ),
    out: Path = typer.Argument(..., help="The .json file (coco, mpii) or folder (yolo, lsp)."),
    to: str = typer.Option(..., "--to", help=f"One of {', '.join(sorted(data.WRITERS))}."),
    reader: str = typer.Option(
        "", "--from", help=f"One of {', '.join(sorted(data.READERS))}; guessed without it."
    ),
    images: Path | None = typer.Option(
        None, "--images", help="The pictures' folder; default: beside the labels."
    ),
    skeleton: str = typer.Option(
        "", help="Joints to write: coco17, body19, lsp14 or mpii16; default: the source's."
    ),
    no_pictures: bool = typer.Option(
        False, "--no-pictures", help="Do not copy the pictures into a YOLO or LSP folder."
    ),
) -> None:
    """Convert labels between COCO, YOLO-pose, MPII lists and LSP.

    Prints how many people were written, and counts by kind what the new
    format cannot hold. The source stays as it is.
    """
    _refuse(out, to)
    if no_pictures and to in _FILES:
        raise ValueError(f"{to} is one file without pictures, so leave --no-pictures out")
    spec = source if not reader or source.startswith(f"{reader}:") else f"{reader}:{source}"
    name, path = data.reader_of(spec)
    if out.exists() and path.exists() and out.samefile(path):
        raise ValueError(f"{out} is the source itself, which is never changed")
    samples = data.read(spec, images)
    if not samples:
        raise ValueError(f"{source}: holds nobody with a labelled joint")
    left = unread(name, path, images)
    lost = []
    if skeleton:
        chosen = skeleton_named(skeleton)
        lost = dropped(samples, chosen)
        samples = [in_skeleton(sample, chosen) for sample in samples]
    lost += losses(samples, to)
    options = {} if to in _FILES else {"copy": not no_pictures}
    data.WRITERS[to](out, samples, **options)
    people = counted(len(samples), "person", "people")
    pictures = counted(len({sample.image for sample in samples}), "picture")
    typer.echo(f"{people} in {pictures} -> {out} ({to})")
    for title, some in ((f"left out by reading {name}", left), (f"does not fit {to}", lost)):
        for loss in some:
            typer.echo(f"  {title}: {loss}")


def _refuse(out: Path, to: str) -> None:
    if to not in data.WRITERS:
        raise ValueError(f"no format {to!r} to write; there are {', '.join(sorted(data.WRITERS))}")
    if to in _FILES and out.suffix.lower() != ".json":
        raise ValueError(f"{to} is one .json file, so {out} cannot be its name")
    if to not in _FILES and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists already; {to} is written into a new or empty folder")
