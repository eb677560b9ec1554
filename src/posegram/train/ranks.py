"""One run by several processes, as torchrun starts them: who is who, and what they agree on.

Each process takes its share of every batch, and gradients are averaged over all (DDP), so a run
with the same settings learns nearly the same, whatever the number of processes: batch norms and
the weights of joints are each process's own means over its share. Every process validates on
everything, and process 0 alone writes.
"""

from __future__ import annotations

import atexit
import os
from typing import TypeVar

import torch
from torch import distributed

from posegram.train.config import Config

__all__ = ["agreed", "batch", "begin", "count", "devices", "rank"]

_Thing = TypeVar("_Thing")


def count() -> int:
    """How many processes there are, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is."""
    return int(os.environ.get("RANK", "0")) if count() > 1 else 0


def devices() -> int:
    """How many of them this machine has."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if count() > 1 else 1


def begin(config: Config) -> None:
    """Join the others, if there are any.

    Raises:
        ValueError: the settings are not for several processes.
    """
    if count() == 1:
        return
    if config.batch % count():
        raise ValueError(f"batch = {config.batch} does not divide by {count()} processes")
    if config.semi != "off" or config.release:
        key = "release" if config.release else "semi"
        value = getattr(config, key)
        raise ValueError(f"{key} = {value!r} is for one process, and torchrun started {count()}")
    if not distributed.is_initialized():
        distributed.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        )
        # gloo's threads may otherwise outlive Python and abort a process whose work is done
        atexit.register(_leave)


def batch(config: Config) -> int:
    """How much of a batch is this process's part."""
    return config.batch // count()


def agreed(value: _Thing) -> _Thing:
    """What process 0 thinks."""
    if count() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
