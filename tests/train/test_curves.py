from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from posegram import image
from posegram.train import curves
from posegram.train.curves import Progress, Record, draw_curves, read_metrics


def line(epoch, valid_loss=0.5, **others):
    numbers = {"loss": 0.6, "valid_mae": 4.0, "valid_pck": 30.0, "rate": 1e-3, "seconds": 2.0}
    return {"epoch": float(epoch), "valid_loss": valid_loss, **numbers, **others}


class Trainer:
    """As much of Lightning's trainer as is looked at."""

    def __init__(self, epoch=0, **numbers):
        self.current_epoch = epoch
        shown = {"valid_loss": 0.5, "valid_mae": 4.0, "valid_pck": 30.0}
        self.callback_metrics = shown | numbers
        self.optimizers = [SimpleNamespace(param_groups=[{"lr": 1e-3}, {"lr": 1e-4}])]


def recorded(folder, epochs, losses=(1.0, 2.0)):
    """The lines of metrics.csv after these epochs."""
    record, network = Record(folder), SimpleNamespace(train_loss=[], extras=dict)
    for epoch in epochs:
        record.on_train_epoch_start(Trainer(epoch), network)
        network.train_loss += losses
        record.on_train_epoch_end(Trainer(epoch), network)
    return read_metrics(folder / "metrics.csv")


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(curves, "draw_curves", lambda lines, out: None)


# the table


def test_every_epoch_adds_a_line(tmp_path, undrawn):
    assert [row["epoch"] for row in recorded(tmp_path, range(3))] == [1, 2, 3]


def test_a_line_holds_the_numbers_of_its_epoch(tmp_path, undrawn):
    (row,) = recorded(tmp_path, [0])
    assert row.pop("seconds") >= 0
    assert row == {
        "epoch": 1,
        "loss": 1.5,
        "valid_loss": 0.5,
        "valid_mae": 4.0,
        "valid_pck": 30.0,
        "rate": 1e-3,
    }


def test_the_training_loss_is_the_mean_of_one_epoch_alone(tmp_path, undrawn):
    record, network = Record(tmp_path), SimpleNamespace(train_loss=[], extras=dict)
    for epoch, losses in enumerate([[9.0, 8.0], [2.0, 1.0]]):
        record.on_train_epoch_start(Trainer(epoch), network)
        network.train_loss += losses
        record.on_train_epoch_end(Trainer(epoch), network)
    assert [row["loss"] for row in read_metrics(tmp_path / "metrics.csv")] == [8.5, 1.5]


def test_lines_beyond_the_checkpoint_of_a_killed_run_are_dropped(tmp_path, undrawn):
    recorded(tmp_path, range(4))
    assert [row["epoch"] for row in recorded(tmp_path, [2])] == [1, 2, 3]


def test_a_run_of_an_older_posegram_that_counted_from_0_goes_on_from_1(tmp_path, undrawn):
    recorded(tmp_path, range(4))
    path = tmp_path / "metrics.csv"
    head, *rows = path.read_text().splitlines()
    older = [f"{n},{row.partition(',')[2]}" for n, row in enumerate(rows)]
    path.write_text("\n".join([head, *older]) + "\n")
    assert [row["epoch"] for row in read_metrics(path)] == [1, 2, 3, 4]
    assert [row["epoch"] for row in recorded(tmp_path, [2])] == [1, 2, 3]


def test_a_file_that_is_not_there_has_no_lines(tmp_path):
    assert read_metrics(tmp_path / "metrics.csv") == []


def test_small_numbers_keep_six_digits(tmp_path, undrawn):
    (row,) = recorded(tmp_path, [0], losses=[1.2345678e-7])
    assert row["loss"] == pytest.approx(1.2345678e-7, rel=1e-5)


def test_no_half_written_table_is_left(tmp_path, undrawn):
    recorded(tmp_path, range(2))
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.csv"]


# the picture


def test_the_picture_is_drawn_after_every_epoch(tmp_path):
    recorded(tmp_path, [0])
    assert image.read(tmp_path / "curves.png").std() > 10


def test_no_half_drawn_picture_is_left(tmp_path):
    draw_curves([line(1)], tmp_path / "curves.png")
    assert [p.name for p in tmp_path.iterdir()] == ["curves.png"]


def test_other_numbers_draw_another_picture(tmp_path):
    draw_curves([line(1), line(2, 0.4)], tmp_path / "a.png")
    draw_curves([line(1), line(2, 0.3)], tmp_path / "b.png")
    assert not np.array_equal(image.read(tmp_path / "a.png"), image.read(tmp_path / "b.png"))


def test_the_best_epoch_is_named_and_marked(tmp_path, monkeypatch):
    from matplotlib import axes, figure

    titles, marks = [], []
    monkeypatch.setattr(figure.Figure, "suptitle", lambda self, text: titles.append(text))
    monkeypatch.setattr(axes.Axes, "axvline", lambda self, x, **style: marks.append(x))
    draw_curves([line(1, 0.5), line(2, 0.3, valid_pck=55.5), line(3, 0.4)], tmp_path / "c.png")
    assert titles[0].startswith("best epoch 2 (circle): validation loss 0.3")
    assert titles[0].endswith("PCK 55.5 %")
    assert marks == [2] * 4


def test_epochs_are_marked_by_whole_numbers(tmp_path, monkeypatch):
    from matplotlib import figure

    shown = []
    monkeypatch.setattr(
        figure.Figure,
        "savefig",
        lambda self, *a, **k: shown.extend(t for axis in self.axes for t in axis.get_xticks()),
    )
    monkeypatch.setattr("posegram.train.plots.replacing", lambda path: nullcontext(path))
    draw_curves([line(1), line(2), line(3)], tmp_path / "c.png")
    assert shown
    assert all(float(tick).is_integer() for tick in shown)


def test_no_figure_stays_in_memory(tmp_path):
    from matplotlib import pyplot as plt

    draw_curves([line(1)], tmp_path / "a.png")
    assert plt.get_fignums() == []


# the bar


def test_the_bar_counts_images_a_second(monkeypatch):
    clock = iter([10.0, 14.0])
    monkeypatch.setattr(curves.time, "perf_counter", lambda: next(clock))
    bar = Progress(batch=8)
    monkeypatch.setattr(curves.callbacks.TQDMProgressBar, "on_train_epoch_start", lambda *a: None)
    monkeypatch.setattr(
        curves.callbacks.TQDMProgressBar, "get_metrics", lambda *a: {"loss": 0.5, "v_num": 3}
    )
    done = SimpleNamespace(current=SimpleNamespace(completed=10))
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(batch_progress=done))
    bar.on_train_epoch_start(None)
    shown = bar.get_metrics(SimpleNamespace(fit_loop=loop), None)
    assert shown == {"loss": 0.5, "images/s": "20"}


def test_a_detectors_best_epoch_is_that_of_the_highest_precision(tmp_path, monkeypatch):
    from matplotlib import axes, figure

    titles, marks = [], []
    monkeypatch.setattr(figure.Figure, "suptitle", lambda self, text: titles.append(text))
    monkeypatch.setattr(axes.Axes, "axvline", lambda self, x, **style: marks.append(x))
    rows = []
    for epoch, (loss, precision) in enumerate([(0.5, 40.0), (0.3, 30.0)], start=1):
        row = line(epoch, loss, valid_recall=70.0, valid_ap50=precision)
        rows.append({k: v for k, v in row.items() if k not in ("valid_mae", "valid_pck")})
    draw_curves(rows, tmp_path / "c.png")
    assert titles[0].endswith("validation loss 0.5, recall 70.0 %, AP 40.0 %")
    assert marks == [1] * 4
