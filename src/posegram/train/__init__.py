"""From annotated people to a trained network and its exported file."""

from __future__ import annotations

from contextlib import suppress

from posegram.models.vision_ops import torchvision_ready

with suppress(ImportError):
    # what lightning brings imports torchvision where it is installed, even one that misses operators
    torchvision_ready()

from posegram.train import quickstart  # noqa: E402
from posegram.train.config import Config  # noqa: E402
from posegram.train.export import export  # noqa: E402
from posegram.train.fit import fit  # noqa: E402

__all__ = ["Config", "export", "fit", "quickstart"]
