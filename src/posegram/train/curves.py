"""How a run goes: a line an epoch in metrics.csv, a picture of the curves, a progress bar."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import callbacks

from posegram.data.stream import save_bytes
from posegram.train import ranks
from posegram.train.plots import plot

__all__ = ["Progress", "Record", "draw_curves", "read_metrics"]

_PANELS = {  # number of a validation -> its panel, its words in the caption
    "valid_mae": ("MAE, crop pixels a coordinate", "MAE {:.2f} px"),
    "valid_pck": ("PCK@0.2 torso, %", "PCK {:.1f} %"),
    "valid_recall": ("recall at IoU 0.5, %", "recall {:.1f} %"),
    "valid_ap50": ("AP at IoU 0.5, %", "AP {:.1f} %"),
    "valid_ap": ("OKS AP, %", "AP {:.1f} %"),
    "valid_joints": ("joints right of all people, %", "joints {:.1f} %"),
}


class Progress(callbacks.TQDMProgressBar):
    """Lightning's bar with images a second; time left is in the bar itself."""

    def __init__(self, batch: int) -> None:
        super().__init__(refresh_rate=5)
        self.batch = batch
        self.begun = 0.0

    def on_train_epoch_start(self, trainer: Any, *args: Any) -> None:
        """Start the clock."""
        super().on_train_epoch_start(trainer, *args)
        self.begun = time.perf_counter()

    def get_metrics(self, trainer: Any, pl_module: Any) -> dict[str, Any]:
        """What stands behind the bar."""
        shown = super().get_metrics(trainer, pl_module)
        shown.pop("v_num", None)
        spent = max(time.perf_counter() - self.begun, 1e-9)
        steps = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        return {**shown, "images/s": f"{steps * self.batch / spent:.0f}"}


class Record(callbacks.Callback):
    """Writes metrics.csv and curves.png after every epoch; a resumed run goes on in both."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.begun = 0.0

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock and forget the last epoch's losses."""
        self.begun = time.perf_counter()
        pl_module.train_loss.clear()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Add the epoch's line, dropping lines that a killed run wrote beyond its checkpoint."""
        if ranks.rank():
            return
        now, epoch = trainer.callback_metrics, trainer.current_epoch + 1
        loss = sum(pl_module.train_loss) / max(1, len(pl_module.train_loss))
        line = {
            "epoch": epoch,
            "loss": loss,
            **{key: float(now[key]) for key in now if key.startswith("valid_")},
            **pl_module.extras(),
            "rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": time.perf_counter() - self.begun,
        }
        path = self.run / "metrics.csv"
        lines = [r for r in read_metrics(path) if r["epoch"] < epoch]
        _write_metrics(path, [*lines, line])
        draw_curves([*lines, line], self.run / "curves.png")


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The epochs of a metrics.csv, counted from 1; none where there is no file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        lines = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    if lines and lines[0]["epoch"] == 0:  # a run begun by an older posegram counts from 0
        return [line | {"epoch": line["epoch"] + 1} for line in lines]
    return lines


def _write_metrics(path: Path, lines: list[dict[str, float]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[-1]))
    writer.writeheader()
    for line in lines:
        writer.writerow({k: f"{v:.6g}" for k, v in line.items()})
    save_bytes(path, text.getvalue().encode(), surely=True)


def _badness(line: dict[str, float]) -> float:
    """What the best epoch has the least of: a detector is judged by AP, others by their loss."""
    judged = [key for key in ("valid_ap50", "valid_ap") if key in line]
    return -line[judged[0]] if judged else line["valid_loss"]


def draw_curves(lines: list[dict[str, float]], out: Path) -> None:
    """A picture of losses, two validation numbers and learning rate; the best epoch is marked."""
    epochs = [line["epoch"] for line in lines]
    best = min(range(len(lines)), key=lambda n: _badness(lines[n]))
    shown = [key for key in _PANELS if key in lines[best]]
    panels = (
        (("loss", "valid_loss"), "loss", ("training", "validation")),
        *(((key,), _PANELS[key][0], ("validation",)) for key in shown),
        (("rate",), "learning rate", ("at the epoch's end",)),
    )
    with plot(out, (10, 7), nrows=2, ncols=2) as (figure, axes):
        for axis, (keys, title, names) in zip(axes.flat, panels, strict=True):
            for key, name in zip(keys, names, strict=True):
                axis.plot(epochs, [line[key] for line in lines], marker=".", label=name)
                axis.plot(epochs[best], lines[best][keys[-1]], "o", color="black", fillstyle="none")
            axis.axvline(epochs[best], color="grey", linewidth=0.8, linestyle=":")
            axis.set(title=title, xlabel="epoch")
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.grid(alpha=0.3)
            axis.legend()
        value = lines[best]
        figure.suptitle(
            f"best epoch {epochs[best]:.0f} (circle): validation loss {value['valid_loss']:.4g}, "
            + ", ".join(_PANELS[key][1].format(value[key]) for key in shown)
        )
