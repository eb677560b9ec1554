"""`posegram export`: a trained checkpoint as one self-describing ONNX file."""

from __future__ import annotations

from pathlib import Path

import typer

from posegram import data

__all__ = ["export"]


def export(
    checkpoint: Path = typer.Argument(..., help="A .ckpt file of posegram train."),
    out: Path = typer.Option(..., "--out", "-o", help="The .onnx file to write."),
    people: str = typer.Option(
        "", help="Annotated people to compare on, reader:path; else valid.json beside it."
    ),
    half: bool = typer.Option(False, "--half", help="Store weights as float16: half the size."),
) -> None:
    """Export a network and compare both on real crops; joints that move stop it."""
    from posegram.train.export import from_checkpoint

    beside = checkpoint.parent / "valid.json"
    if not people and not beside.exists():
        raise ValueError(f"{beside} is not there; give annotated people with --people reader:path")
    samples = data.read(people or str(beside))
    from_checkpoint(checkpoint, out, samples, half=half)
    typer.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB, joints as in {checkpoint}")
