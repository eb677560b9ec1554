"""`posegram train`: one experiment, from its settings to a folder of results."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["train"]


def train(
    config: str = typer.Argument(
        ..., help="A settings file (.toml), or 'quickstart': stick figures, under two minutes."
    ),
    changes: list[str] = typer.Argument(None, help="Settings to change: key=value ..."),
) -> None:
    """Train a network; everything it makes lands in the run's folder (default runs/NAME).

    A killed run goes on from its last epoch when the same command is given again.
    """
    from posegram.models import KINDS
    from posegram.train import Config, fit, quickstart, start
    from posegram.train.fit import card_for

    base = quickstart.settings() if config == "quickstart" else Config.read(Path(config))
    settings = base.override(*(changes or []))
    if config == "quickstart":
        settings = quickstart.prepare(settings)
    typer.echo(start.summary(card_for(settings)))
    out = fit(settings)
    typer.echo(f"\ntrained: {out}\npictures, curves, card: {out.parent}")
    if KINDS[settings.network] != "detector":
        typer.echo(f"try it: posegram predict PHOTO --model {out} --out poses")
