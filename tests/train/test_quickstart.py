import pytest

from posegram import data
from posegram.pose import LSP14
from posegram.train import Config, quickstart


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setattr(quickstart, "COUNT", 3)
    return quickstart.settings().override({"folder": str(tmp_path)})


def people(config):
    return [s for spec in config.train for s in data.read(spec)]


def test_the_settings_are_those_of_a_small_run():
    settings = quickstart.settings()
    assert (settings.name, settings.network) == ("quickstart", "cnn")
    assert max(settings.size) < max(Config().size)


def test_the_figures_are_drawn_into_the_runs_folder(config):
    prepared = quickstart.prepare(config)
    assert len(people(prepared)) == 3
    assert all(s.image.is_relative_to(config.run) for s in people(prepared))


def test_every_joint_of_a_figure_is_labelled(config):
    (first, *_) = people(quickstart.prepare(config))
    assert (first.skeleton, first.visible.all()) == (LSP14, True)


def test_figures_that_are_there_are_not_drawn_again(config):
    before = people(quickstart.prepare(config))[0].image
    time = before.stat().st_mtime_ns
    quickstart.prepare(config)
    assert before.stat().st_mtime_ns == time


def test_only_the_data_of_the_settings_is_changed(config):
    prepared = quickstart.prepare(config)
    assert prepared.override({"train": config.train}) == config
