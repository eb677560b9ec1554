"""What goes with a run: who tells the data its epoch, who keeps weights and who stops early."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from lightning.pytorch import callbacks

from posegram.train import start
from posegram.train.batches import Shuffle
from posegram.train.config import Config

__all__ = ["Epochs", "keepers", "kept"]


class Epochs(callbacks.Callback):
    """Tell data, sampler and body which epoch it is: chance depends on it and nothing earlier."""

    def __init__(self, batches: Any) -> None:
        self.batches = batches

    def on_load_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        """Tell the epoch that a resumed run begins with."""
        # a resumed run starts its workers before the hook of its first epoch
        self._tell(checkpoint["epoch"] + 1)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Tell the epoch that begins."""
        self._tell(trainer.current_epoch)
        epoch = trainer.current_epoch
        start.hold(pl_module.network, pl_module.config, epoch, pl_module.fresh)

    def _tell(self, epoch: int) -> None:
        self.batches.dataset.epoch = epoch
        if isinstance(self.batches.sampler, Shuffle):
            self.batches.sampler.epoch = epoch


class _Ended(callbacks.Callback):
    """Ends a resumed run at once when early stopping had ended it before."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        stopping = trainer.early_stopping_callback
        if stopping is not None and stopping.wait_count >= stopping.patience:
            trainer.should_stop = True


class _Average(callbacks.EMAWeightAveraging):
    """Averaged weights; until the warm-up ends, the network's own.

    Untrained weights would stay in a mean for long, and one that waits for the warm-up would be
    judged and saved as if those weights were the epoch's.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(decay=config.ema)
        self._warmup = config.warmup

    def on_train_batch_end(self, trainer: Any, *rest: Any) -> None:
        if trainer.global_step <= self._warmup:
            assert self._average_model is not None
            self._average_model.n_averaged.zero_()  # whose first mean is a copy
        super().on_train_batch_end(trainer, *rest)


def keepers(config: Config, watched: str) -> list[Any]:
    """What keeps the best and the last weights, stops early and averages."""
    folder: dict[str, Any] = {"dirpath": config.run, "enable_version_counter": False}
    mode = "min" if watched == "valid_loss" else "max"
    best = callbacks.ModelCheckpoint(filename="best", monitor=watched, mode=mode, **folder)
    # `save_last` of the best one's keeper would write only in epochs that are the best so far
    found: list[Any] = [best, callbacks.ModelCheckpoint(filename="last", **folder)]
    if config.patience:
        stopping = callbacks.EarlyStopping(watched, mode=mode, patience=config.patience)
        found += [stopping, _Ended()]
    if config.ema:
        found.append(_Average(config))
    return found


def kept(run: Path) -> Path | None:
    """The checkpoint that a run goes on from: the last, or the best where the last is damaged.

    Lightning copies it into its place, and a kill or a full disk may cut that short.

    Raises:
        ValueError: both are damaged.
    """
    last, best = run / "last.ckpt", run / "best.ckpt"
    if not last.exists():
        return None
    for path in (last, best):
        if zipfile.is_zipfile(path):
            return path
    raise ValueError(f"{last} is damaged, as after a full disk; remove {run} to begin anew")
