"""Plots by matplotlib: drawn without a screen, saved whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posegram.files import replacing

__all__ = ["plot"]


@contextmanager
def plot(path: Path, size: tuple[float, float], **settings: Any) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes, to be drawn on in `with`; then they are saved as a PNG file.

    An error in between leaves an older file of that name as it was.

    Args:
        path: of the file.
        size: width and height in inches, of 100 pixels each.
        settings: of `matplotlib.pyplot.subplots`, such as `nrows`.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=size, constrained_layout=True, **settings)
    try:
        with replacing(path) as part:
            yield figure, axes
            figure.savefig(part, format="png", dpi=100)
    finally:
        plt.close(figure)
