"""Whether a run trains with our own kernels, and why not."""

from __future__ import annotations

import logging
from functools import cache

import torch
from torch import nn

from posegram.models import kernels
from posegram.models.lite import Body
from posegram.train.config import Config

__all__ = ["quicken"]

_log = logging.getLogger("posegram.train")


def quicken(network: nn.Module, config: Config) -> str:
    """Let a network train with our own kernels where they fit; returns "own" or why torch's do it.

    A reason that the run's owner may mend is told once in a process. Comes before
    `start.precision`, which then times what will run.
    """
    if config.kernels == "off":
        return "kernels = 'off'"
    if not isinstance(network, Body):
        return f"they are for lite and detector, not {config.network}"
    why = _unfit(config) or kernels.missing()
    if why:
        _tell(why)
        return why
    kernels.quicken(network)
    return "own"


def _unfit(config: Config) -> str:
    """What in the settings or the machine leaves the kernels nothing to do; empty: nothing."""
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return "they are for CPUs, and there is a GPU"
    return "they compute in bf16, and precision = 'fp32'" if config.precision == "fp32" else ""


@cache
def _tell(why: str) -> None:
    _log.warning("posegram's own training kernels are not used: %s", why)
