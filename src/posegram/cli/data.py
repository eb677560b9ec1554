"""`posegram data`: look at a set of annotated people before training on it."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Column, Table

from posegram.cli.convert import convert as convert_labels
from posegram.data import READERS, read
from posegram.data.check import Report
from posegram.data.check import check as examine

__all__ = ["check", "data", "preview"]

data = typer.Typer(
    help="Check annotated people, or look at them as training sees them.", no_args_is_help=True
)

_SPEC = typer.Argument(
    ...,
    help=f"A file or folder, or READER:PATH ({', '.join(sorted(READERS))}); #FIRST-LAST keeps a "
    "range.",
)
_IMAGES = typer.Option(None, "--images", help="The pictures' folder; default: beside the file.")


data.command("convert")(convert_labels)


@data.command()
def check(
    spec: str = _SPEC,
    images: Path = _IMAGES,
    copies: bool = typer.Option(True, help="Look for near-duplicate photos too (slower)."),
) -> None:
    """Count what a set holds and name what is wrong with it.

    Exit code 0: fine; 1: there are faults in the data; 2: the file cannot be read.
    """
    report = examine(read(spec, images), copies=copies)
    _print(report, Console())
    if report.faults:
        raise typer.Exit(1)


@data.command()
def preview(
    spec: str = _SPEC,
    images: Path = _IMAGES,
    out: Path = typer.Option(Path("preview.png"), "--out", help="The picture to write."),
    count: int = typer.Option(24, "--count", min=1, help="How many people."),
    seed: int = typer.Option(0, "--seed", help="Another seed shows other people."),
) -> None:
    """Write one picture of augmented people with their joints drawn."""
    from posegram.train.preview import preview as draw_preview

    typer.echo(draw_preview(read(spec, images), out, count=count, seed=seed))


def _number(title: str) -> Column:
    return Column(title, justify="right")


def _print(report: Report, console: Console) -> None:
    console.print(
        f"{report.people:,} people in {report.images:,} images, {report.present:,} of them at hand"
    )
    joints = Table("joint", *(_number(n) for n in ("labelled", "share", "hidden", "outside")))
    for row in report.joints:
        share = f"{row.labelled / max(report.people, 1):.1%}"
        outside = f"{row.outside:,}" if report.present else "?"
        joints.add_row(row.joint, f"{row.labelled:,}", share, f"{row.hidden:,}", outside)
    console.print(joints)
    pairs = Table("left joint", _number("labelled with its twin"), _number("right of its twin"))
    for pair in report.pairs:
        pairs.add_row(pair.pair[0], f"{pair.both:,}", f"{pair.facing:.1%}")
    console.print(pairs)
    for title, sentences in (("note", report.notes), ("fault", report.faults)):
        for sentence in sentences:
            console.print(f"{title}: {sentence}", highlight=False, soft_wrap=True, markup=False)
    if not report.faults:
        console.print("no faults found")
