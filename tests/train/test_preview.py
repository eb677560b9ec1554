from dataclasses import replace

import numpy as np
import pytest

import figures
import runs
from posegram import image
from posegram.train.preview import preview


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 10)


@pytest.fixture
def config(tmp_path):
    return runs.settings(tmp_path)


def shown(people, out, **options):
    return image.read(preview(people, out, **options))


def test_the_written_picture_comes_back(people, config, tmp_path):
    assert preview(people, tmp_path / "p.png", config=config) == tmp_path / "p.png"
    assert (tmp_path / "p.png").stat().st_size > 0


def test_four_plain_crops_come_before_the_changed_ones(people, config, tmp_path):
    picture = shown(people, tmp_path / "p.png", count=10, config=config)
    assert 2 * 64 <= picture.shape[0] < 3 * 64  # 4 + 10 crops in rows of 7
    assert 7 * 64 <= picture.shape[1] < 8 * 64


def test_fewer_people_than_asked_for_are_all_shown(people, config, tmp_path):
    picture = shown(people[:2], tmp_path / "p.png", count=24, config=config)
    assert picture.shape[0] < 2 * 64


def test_joints_are_drawn(people, config, tmp_path):
    hidden = [replace(s, visible=np.zeros_like(s.visible)) for s in people]
    one, two = (shown(p, tmp_path / "p.png", config=config) for p in (people, hidden))
    assert (one != two).any(axis=-1).mean() > 0.02


def test_the_same_seed_shows_the_same_picture(people, config, tmp_path):
    one, two = (shown(people, tmp_path / "p.png", seed=3, config=config) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_another_seed_shows_another_picture(people, config, tmp_path):
    one, two = (shown(people, tmp_path / "p.png", seed=s, config=config) for s in (0, 1))
    assert not np.array_equal(one, two)


def test_without_settings_the_default_ones_are_shown(people, tmp_path):
    assert shown(people[:1], tmp_path / "p.png").shape[0] >= 220


def test_nothing_but_the_picture_is_written(people, config, tmp_path):
    preview(people, tmp_path / "p.png", config=config.override("cache=disk"))
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


def test_nobody_to_show_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is nobody to show"):
        preview([], tmp_path / "p.png")
