import numpy as np
import pytest

import figures
from posegram.data.corrupt import KINDS, SEVERITIES, corrupt, patches

BOX = np.array([[40, 20, 160, 220]], np.float32)


@pytest.fixture(scope="module")
def photo():
    """A figure on a background with some texture and colour."""
    picture, _ = figures.figure(seed=3)
    rng = np.random.default_rng(0)
    tint = np.linspace(-40, 40, picture.shape[1])[:, None] * [1, -1, 0.5]
    return np.clip(picture + tint + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


def off(a, b):
    return np.abs(a.astype(float) - b).mean()


@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_photo_keeps_its_shape_and_type(photo, kind):
    spoilt = corrupt(photo, kind, 0.6, BOX)
    assert (spoilt.shape, spoilt.dtype) == (photo.shape, np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_severity_0_changes_nothing(photo, kind):
    np.testing.assert_array_equal(corrupt(photo, kind, 0, BOX), photo)


@pytest.mark.parametrize("kind", KINDS)
def test_more_severity_changes_more(photo, kind):
    changes = [np.mean([off(corrupt(photo, kind, v, BOX, seed=s), photo) for s in range(5)])
               for v in SEVERITIES]  # fmt: skip
    assert 0.2 < changes[0] < changes[2] < changes[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_given_photo_is_left_alone(photo, kind):
    before = photo.copy()
    corrupt(photo, kind, 1.0, BOX)
    np.testing.assert_array_equal(photo, before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_photo(photo, kind):
    one, two = (corrupt(photo, kind, 0.7, BOX, seed=4) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", ["dark", "shadow", "colour", "noise", "motion", "patches"])
def test_another_seed_gives_another_photo(photo, kind):
    assert len({corrupt(photo, kind, 0.7, BOX, seed=s).tobytes() for s in range(4)}) > 1


def test_patches_lie_on_the_people(photo):
    changed = (corrupt(photo, "patches", 1.0, BOX) != photo).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert 20 - 60 < rows.min() <= rows.max() < 220 + 60
    assert changed.mean() > 0.02
    assert 40 - 40 < columns.min() <= columns.max() < 160 + 40


def test_without_people_there_are_no_patches(photo):
    nobody = np.zeros((0, 4), np.float32)
    np.testing.assert_array_equal(patches(photo, 1.0, nobody, np.random.default_rng(0)), photo)


def test_the_blur_of_small_people_is_smaller(photo):
    small = np.array([[0, 0, 12, 30]], np.float32)
    assert off(corrupt(photo, "blur", 0.6, small), photo) < off(
        corrupt(photo, "blur", 0.6, BOX), photo
    )


def test_grey_at_its_worst_has_no_colour(photo):
    grey = corrupt(photo, "grey", 1.0, BOX)
    assert np.ptp(grey.astype(int), axis=-1).max() <= 1


def test_dark_is_darker_and_bright_is_brighter(photo):
    means = [corrupt(photo, kind, 0.6, BOX).mean() for kind in ("dark", "bright")]
    assert means[0] < photo.mean() - 20 < photo.mean() + 20 < means[1]


@pytest.mark.parametrize("severity", [-0.1, 1.1])
def test_a_severity_outside_its_range_is_refused(photo, severity):
    with pytest.raises(ValueError, match="a severity is a number from 0 to 1"):
        corrupt(photo, "blur", severity, BOX)


def test_an_unknown_kind_is_refused_with_the_known_ones(photo):
    with pytest.raises(ValueError, match=r"no corruption 'fog'; there are dark, .*patches"):
        corrupt(photo, "fog", 0.5, BOX)
