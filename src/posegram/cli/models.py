"""`posegram models`: what is bundled, and what a model file says of itself."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from posegram import image
from posegram.infer.load import BUNDLED, DEFAULT, DETECTOR, bundled, file_of, load, load_network
from posegram.infer.rcnn_load import NAME as RCNN
from posegram.infer.rcnn_load import is_rcnn
from posegram.infer.verify import verify as same_people
from posegram.pose import Card

__all__ = ["info", "list_models", "models", "verify"]

models = typer.Typer(no_args_is_help=True, help="List the bundled models; read a model's card.")


@models.command("list")
def list_models() -> None:
    """List the bundled models with their size, kind, joints and licence."""
    table = Table(box=box.SIMPLE)
    for title in ("model", "file", "kind", "input", "skeleton", "licence"):
        table.add_column(title)
    for name in BUNDLED:
        try:
            path = bundled(name)
        except FileNotFoundError:
            table.add_row(name, "not in this installation")
            continue
        card, _ = load_network(path, threads=1)
        mark = f"{name} (default)" if name == DEFAULT else name
        size = f"{path.stat().st_size / 1e6:.1f} MB"
        table.add_row(mark, size, card.kind, _pixels(card), card.skeleton.name, card.licence)
    Console(width=None if Console().is_terminal else 120).print(table)
    typer.echo(f"behind them: {DETECTOR}, which finds the people; not bundled: {RCNN}")
    typer.echo("more of each: posegram models info NAME")


@models.command()
def info(
    model: str = typer.Argument(
        ..., help="A bundled name, detector, keypoint-rcnn, or an .onnx or .ckpt file."
    ),
) -> None:
    """Show a model's card: what it takes and gives, its training data and its scores."""
    whole = is_rcnn(model)
    if model.partition(":")[0] in (RCNN, DETECTOR):
        typer.echo(_text(model.partition(":")[0]))
        return
    card = load(model, threads=1).card if whole else load_network(model, threads=1)[0]
    path = file_of(model)
    unsaid = "see below" if model in BUNDLED else "not stated"
    crop = f"crop {card.margin:g} x the person's box"
    rows = {
        "name": card.name,
        "file": f"{path} ({path.stat().st_size / 1e6:.1f} MB)",
        "kind": card.kind,
        "input": f"{_pixels(card)} pixels, {'a whole photo' if whole else crop}",
        "skeleton": f"{card.skeleton.name}: {', '.join(card.skeleton.joints)}",
        "calibration": "slope {:g}, offset {:g}".format(*card.calibration),
        "licence": card.licence,
        "data": ", ".join(card.data) or unsaid,
        "scores": ", ".join(f"{k} {v:g}" for k, v in card.scores.items()) or unsaid,
        "settings": ", ".join(f"{k} {v}" for k, v in card.settings.items()) or "none",
    }
    for key, value in rows.items():
        typer.echo(f"{key:<12} {value}")
    if model in BUNDLED:
        typer.echo(f"\n{_text(model)}")


@models.command()
def verify(
    photos: list[Path] = typer.Argument(..., help="Photos of people to compare on."),
    model: str = typer.Option("", help="A bundled model or an .onnx file."),
    threads: int = typer.Option(0, min=0, help="Cores to use; 0 means all."),
) -> None:
    """Compare ONNX Runtime and OpenVINO: the same people, and how fast each is.

    Exit code 1: the two disagree.
    """
    engines = {e: load(model, threads=threads, engine=e) for e in ("onnxruntime", "openvino")}
    found = same_people(engines, [image.read(photo) for photo in photos])
    if not found.people:
        raise ValueError("neither engine is sure of anybody there: give photos of people")
    for name, spent in found.milliseconds.items():
        typer.echo(f"{name:<12} {spent:6.1f} ms a photo (median)")
    typer.echo(f"{found.same} of {found.people} people the same, joints {found.away:.2f} px apart")
    if found.agrees:
        typer.echo("the engines agree: joints are the same within 2 % of a person's height")
    else:
        typer.echo("posegram: the two engines do not find the same people", err=True)
        raise typer.Exit(1)


def _text(name: str) -> str:
    """The model card that lies beside the bundled models."""
    return (files("posegram") / "weights" / f"{name}.md").read_text(encoding="utf-8").rstrip()


def _pixels(card: Card) -> str:
    """Height and width of the input, in the order of `size` in settings and of the documents."""
    height, width = card.size
    return f"{height}x{width}"
