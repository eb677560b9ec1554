"""From annotated people to a trained network and its exported file."""

from __future__ import annotations

from contextlib import suppress

from posegram.models.vision_ops import torchvision_ready

with suppress(ImportError):
    # what lightning brings imports torchvision where it is installed, whole or not
    torchvision_ready()

from posegram.train import quickstart
from posegram.train.config import Config
from posegram.train.export import export
from posegram.train.fit import fit

__all__ = ["Config", "export", "fit", "quickstart"]
