import importlib

import numpy as np
import pytest

import runs
from posegram.train import curves
from posegram.train.compare import Judged, save
from posegram.train.labels import Point, counts, curve, write

module = importlib.import_module("posegram.train.labels")


@pytest.fixture
def data(tmp_path):
    return runs.labels(tmp_path, 12)


@pytest.fixture
def fitted(monkeypatch):
    """Stands in for training: the settings of every run it was asked for."""
    asked = []

    def fit(config, *, progress):
        asked.append(config)
        config.run.mkdir(parents=True, exist_ok=True)
        (config.run / "config.toml").write_text(config.to_toml())
        right = np.arange(40)[:, None] < config.people
        save(config.run / "judged.npz", Judged(right, np.ones_like(right), np.arange(40)))

    monkeypatch.setattr(module, "fit", fit)
    return asked


def test_numbers_are_read():
    assert counts("25, 50,all") == (25, 50, 0)


@pytest.mark.parametrize("text", ["", "25,", "some", "0", "-5", "2.5"])
def test_what_is_no_number_of_people_is_refused(text):
    with pytest.raises(ValueError, match="write 25,50,100,all"):
        counts(text)


def test_there_is_a_run_for_every_number(tmp_path, data, fitted):
    points = curve(runs.settings(tmp_path, data), (4, 0), progress=False)
    assert [p.people for p in points] == [4, 9]
    assert [p.value for p in points] == [10.0, 22.5]
    assert [c.people for c in fitted] == [4, 9]


def test_all_runs_take_the_same_number_of_steps(tmp_path, data, fitted):
    curve(runs.settings(tmp_path, data), (4, 0), progress=False)
    assert {(c.epoch_people, c.batch, c.epochs) for c in fitted} == {(9, 5, 2)}


def test_numbers_beyond_the_set_are_left_out(tmp_path, data, fitted):
    assert len(curve(runs.settings(tmp_path, data), (4, 999), progress=False)) == 1


def test_what_is_left_out_is_told(tmp_path, data, fitted, caplog):
    curve(runs.settings(tmp_path, data), (4, 99, 999), progress=False)
    assert "left out: 99, 999; there are 9 people to train on" in caplog.text


def test_nothing_is_told_where_all_numbers_fit(tmp_path, data, fitted, caplog):
    curve(runs.settings(tmp_path, data), (4, 0), progress=False)
    assert not caplog.text


def test_a_set_smaller_than_every_number_is_refused(tmp_path, data):
    with pytest.raises(ValueError, match="there are 9 people to train on, fewer than 50"):
        curve(runs.settings(tmp_path, data), (50, 100))


def test_a_network_that_learns_from_photos_is_refused(tmp_path, data):
    with pytest.raises(ValueError, match="by people, and 'detector' learns from photos"):
        curve(runs.settings(tmp_path, data, network="detector"), (5,))


def test_a_run_that_is_there_is_not_repeated(tmp_path, data, fitted):
    config = runs.settings(tmp_path, data)
    curve(config, (4,), progress=False)
    curve(config, (4, 0), progress=False)
    assert [c.people for c in fitted] == [4, 9]


def test_a_run_of_other_settings_is_not_taken_for_this_one(tmp_path, data, fitted):
    for epochs in (2, 3):
        curve(runs.settings(tmp_path, data, epochs=epochs), (4,), progress=False)
    assert [c.epochs for c in fitted] == [2, 3]


def test_a_real_run_fits_in(tmp_path, data, monkeypatch):
    monkeypatch.setattr(curves, "draw_curves", lambda lines, out: None)
    (point,) = curve(runs.settings(tmp_path, data, epochs=1), (4,), progress=False)
    assert point.low <= point.value <= point.high


POINTS = [Point("small", 50, 60.0, 55.0, 65.0), Point("scratch", 50, 9.0, 7.0, 11.0)]


def test_table_and_picture_are_written(tmp_path):
    write(tmp_path, POINTS, title="t")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.csv", "labels.md", "labels.png"]


def test_the_table_has_a_row_for_each_number_and_a_column_for_each_curve(tmp_path):
    write(tmp_path, [*POINTS, Point("small", 100, 70.0, 66.0, 74.0)], title="t")
    text = (tmp_path / "labels.md").read_text()
    assert "| 50 | 60.0 [55.0, 65.0] | 9.0 [7.0, 11.0] |" in text
    assert "| 100 | 70.0 [66.0, 74.0] | - |" in text
