"""`posegram train`: one experiment, from its settings to a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from posegram import data

__all__ = ["train"]


def train(
    config: str = typer.Argument(
        ..., help="A settings file (.toml), or 'quickstart': stick figures, under two minutes."
    ),
    changes: list[str] = typer.Argument(None, help="Settings to change: key=value ..."),
    labels: str = typer.Option(
        "",
        help="Train once on each of so many people and draw accuracy against labels: 25,50,100,all",
    ),
) -> None:
    """Train a network; everything it makes lands in the run's folder (default runs/NAME).

    A killed run goes on from its last epoch when the same command is given again.
    """
    from posegram.models import KINDS
    from posegram.train import Config, fit, quickstart, ranks, start
    from posegram.train.fit import card_for
    from posegram.train.semi import Collapsed

    base = quickstart.settings() if config == "quickstart" else Config.read(Path(config))
    settings = base.override(*(changes or []))
    if labels and ranks.count() > 1:
        raise ValueError(f"--labels is for one process, and torchrun started {ranks.count()}")
    if config == "quickstart":
        settings = quickstart.prepare(settings)
    _require(settings)
    if ranks.rank() == 0:
        typer.echo(start.summary(card_for(settings)))
    try:
        if labels:
            _curve(settings, labels)
            return
        out = fit(settings)
    except Collapsed as fault:
        typer.echo(f"posegram: {fault}", err=True)
        raise typer.Exit(1) from fault
    if ranks.rank():
        return
    typer.echo(f"\ntrained: {out}\npictures, curves, card: {out.parent}")
    if KINDS[settings.network] != "detector":
        _next(out)


def _require(settings: Any) -> None:
    """See that the data sets are there, before anything is said of the network."""
    for key in ("train", "valid"):
        for told in map(data.pieces, getattr(settings, key)):
            unknown = not told.reader and ":" in str(told.path)  # of which reading says more
            if not told.path.exists() and not unknown:
                raise FileNotFoundError(f"{key}: {told.path}: no such file; give {key}=reader:path")


def _next(out: Path) -> None:
    """Say what a trained pose network is good for."""
    typer.echo(f"try it: posegram predict PHOTO --model {out} --out poses")
    apart = out.parent / "valid.json"
    if apart.is_file():  # people of several skeletons have none
        typer.echo(f"measure it, on people kept apart: posegram evaluate {apart} --model {out}")


def _curve(settings: Any, text: str) -> None:
    from posegram.train import labels

    points = labels.curve(settings, labels.counts(text))
    picture = labels.write(settings.run, points, title=settings.name)
    typer.echo((settings.run / "labels.md").read_text(encoding="utf-8"))
    typer.echo(f"picture: {picture}")
