from dataclasses import replace

import numpy as np
import pytest

from posegram.coords import Change
from posegram.train import Config
from posegram.train.augment import (
    beside,
    black_outside,
    colours,
    cut_out,
    framed,
    half_body,
    random_change,
    spoil,
)

STILL = Config(
    turn=0.0,
    turn_share=0.0,
    scale=(1.0, 1.0),
    shift=0.0,
    flip=0.0,
    brightness=0.0,
    contrast=0.0,
    colour=0.0,
    blur=0.0,
    cutout=0.0,
)


@pytest.fixture
def crop():
    return np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def chance(seed=0):
    return np.random.default_rng(seed)


def many(config, count=400):
    rng = chance()
    return [random_change(config, rng) for _ in range(count)]


# geometry


def test_settings_of_nothing_change_nothing():
    assert all(change == Change() for change in many(STILL, 20))


def test_the_same_chance_gives_the_same_change():
    assert random_change(Config(), chance(3)) == random_change(Config(), chance(3))


def test_the_share_of_flips_is_the_setting():
    flips = [c.flip for c in many(replace(STILL, flip=0.3))]
    assert np.mean(flips) == pytest.approx(0.3, abs=0.06)


def test_the_share_of_turned_crops_is_the_setting():
    turned = [c.turn != 0 for c in many(replace(STILL, turn=20.0, turn_share=0.4))]
    assert np.mean(turned) == pytest.approx(0.4, abs=0.06)


def test_a_turn_is_at_most_two_deviations():
    turns = [abs(c.turn) for c in many(replace(STILL, turn=20.0, turn_share=1.0))]
    assert 35 < max(turns) <= 40


def test_any_turn_reaches_upside_down():
    turns = [abs(c.turn) for c in many(replace(STILL, any_turn=1.0))]
    assert 170 < max(turns) <= 180


def test_the_zoom_fills_its_range():
    scales = [c.scale for c in many(replace(STILL, scale=(0.5, 2.0)))]
    assert (min(scales), max(scales)) == (pytest.approx(0.5, abs=0.02), pytest.approx(2, abs=0.03))


def test_zooming_in_is_as_likely_as_zooming_out():
    scales = [c.scale for c in many(replace(STILL, scale=(0.5, 2.0)))]
    assert np.mean(np.array(scales) > 1) == pytest.approx(0.5, abs=0.06)


def test_shifts_are_at_most_two_deviations_in_both_directions():
    shifts = np.array([c.shift for c in many(replace(STILL, shift=0.1))])
    assert shifts.min(axis=0) == pytest.approx([-0.2, -0.2], abs=0.03)
    assert shifts.max(axis=0) == pytest.approx([0.2, 0.2], abs=0.03)
    assert np.abs(shifts).max() <= 0.2 + 1e-9


# light


def test_settings_of_nothing_keep_the_pixels(crop):
    np.testing.assert_array_equal(colours(crop, STILL, chance()), crop)


def test_brightness_moves_all_pixels_by_the_same_amount():
    grey = np.full((8, 8, 3), 128, dtype=np.uint8)
    out = colours(grey, replace(STILL, brightness=0.2), chance())
    assert len(np.unique(out)) == 1
    assert 0 < abs(int(out[0, 0, 0]) - 128) <= 0.2 * 255 + 1


def test_contrast_keeps_the_middle_grey():
    picture = np.array([[[28] * 3, [128] * 3, [228] * 3]], dtype=np.uint8)
    out = colours(picture, replace(STILL, contrast=0.5), chance()).astype(int)
    assert out[0, 1].tolist() == [128] * 3
    assert out[0, 2, 0] - out[0, 0, 0] != 200


def test_a_tint_changes_the_channels_apart():
    grey = np.full((4, 4, 3), 100, dtype=np.uint8)
    out = colours(grey, replace(STILL, colour=0.3), chance())
    assert len(set(out[0, 0].tolist())) == 3


def test_too_bright_pixels_stay_white():
    white = np.full((4, 4, 3), 250, dtype=np.uint8)
    outs = [colours(white, replace(STILL, brightness=0.5), chance(n)) for n in range(10)]
    assert max(out.max() for out in outs) == 255
    assert all((out == out[0, 0]).all() for out in outs)


def test_blur_makes_some_crops_grey_and_blurs_the_others(crop):
    outs = [colours(crop, replace(STILL, blur=1.0), chance(n)) for n in range(20)]
    grey = [bool((out[..., 0] == out[..., 1]).all()) for out in outs]
    smooth = [float(out.std()) < 0.7 * float(crop.std()) for out in outs]
    assert any(grey)
    assert any(smooth)
    assert all(a or b for a, b in zip(grey, smooth, strict=True))


def test_new_light_leaves_the_given_crop_alone(crop):
    before = crop.copy()
    colours(crop, Config(blur=1.0, colour=0.2), chance())
    np.testing.assert_array_equal(crop, before)


# patches


def test_without_its_setting_no_patch_is_painted(crop):
    assert cut_out(crop, np.zeros((0, 2), np.float32), STILL, chance()) is crop


@pytest.mark.parametrize("joints", [0, 3])
def test_a_patch_covers_a_part_of_the_crop(joints):
    black = np.zeros((60, 60, 3), dtype=np.uint8)
    xy = np.full((joints, 2), 30, dtype=np.float32)
    covered = [
        (cut_out(black, xy, replace(STILL, cutout=1.0), chance(n)) > 0).any(axis=-1).mean()
        for n in range(20)
    ]
    assert 0.01 < np.mean(covered) < 0.3


def test_patches_lie_over_joints_more_often_than_elsewhere():
    black = np.zeros((60, 60, 3), dtype=np.uint8)
    xy = np.array([[12, 45]], dtype=np.float32)
    config = replace(STILL, cutout=1.0)
    hit = np.mean(
        [(cut_out(black, xy, config, chance(n)) > 0).any(axis=-1) for n in range(60)], axis=0
    )
    assert hit[45, 12] > 2 * hit.mean()


def test_patching_leaves_the_given_crop_alone(crop):
    before = crop.copy()
    cut_out(crop, np.zeros((0, 2), np.float32), replace(STILL, cutout=1.0), chance())
    np.testing.assert_array_equal(crop, before)


def test_a_joint_at_the_edge_may_be_covered(crop):
    xy = np.array([[29, 39], [-5, -5]], dtype=np.float32)
    for n in range(20):
        out = cut_out(crop, xy, replace(STILL, cutout=1.0), chance(n))
        assert out.shape == crop.shape


# strength


def strong(**changes):
    return replace(STILL, strength=1.0, **changes)


def line(count=14):
    """Joints of somebody upright in a photo, and his box."""
    xy = np.stack([np.full(count, 50.0), np.linspace(10, 190, count)], axis=-1)
    return xy.astype(np.float32), np.array([20, 0, 80, 200], np.float32)


def test_without_strength_nothing_is_spoilt(crop):
    assert spoil(crop, np.zeros((0, 2), np.float32), STILL, chance()) is crop
    xy, box = line()
    assert half_body(box, xy, STILL, chance()) is box
    assert beside(crop, crop, STILL, chance()) is crop


def test_strength_spoils_some_crops_and_leaves_others(crop):
    rng = chance()
    same = [
        (
            spoil(crop, np.array([[15.0, 20.0], [9.0, 30.0]], np.float32), strong(), rng) == crop
        ).all()
        for _ in range(60)
    ]
    assert 0 < sum(same) < 40


def test_less_strength_spoils_less(crop):
    def off(strength):
        rng, config = chance(), replace(STILL, strength=strength)
        spoilt = [spoil(crop, np.zeros((0, 2), np.float32), config, rng) for _ in range(80)]
        return np.mean([np.abs(one.astype(float) - crop).mean() for one in spoilt])

    assert off(0.2) < 0.5 * off(1.0)


def test_ever_so_little_strength_will_do(crop):
    rng, config = chance(), replace(STILL, strength=0.01)
    xy = np.array([[15.0, 20.0], [9.0, 30.0]], np.float32)
    spoilt = [spoil(crop, xy, config, rng) for _ in range(400)]
    assert any((one != crop).any() for one in spoilt)


def test_the_same_chance_spoils_alike(crop):
    xy = np.array([[15.0, 20.0]], np.float32)
    one, two = (spoil(crop, xy, strong(), chance(5)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_half_a_body_is_a_part_of_it():
    xy, box = line()
    rng = chance()
    found = [half_body(box, xy, strong(), rng) for _ in range(100)]
    halves = np.array([one for one in found if one is not box])
    assert 15 < len(halves) < 45
    heights = halves[:, 3] - halves[:, 1]
    assert heights.min() >= 99
    assert heights.max() < 160


def test_halves_are_upper_and_lower_ones():
    xy, box = line()
    rng = chance()
    found = [half_body(box, xy, strong(), rng) for _ in range(100)]
    middles = [(one[1] + one[3]) / 2 for one in found if one is not box]
    assert min(middles) < 75
    assert max(middles) > 125


def test_few_joints_have_no_half():
    xy, box = line(7)
    rng = chance()
    assert all(half_body(box, xy, strong(), rng) is box for _ in range(50))


def test_somebody_else_stands_at_a_side_of_the_crop():
    crop, other = np.zeros((80, 60, 3), np.uint8), np.full((80, 60, 3), 255, np.uint8)
    rng = chance()
    made = [beside(crop, other, strong(), rng) for _ in range(100)]
    shares = np.array([(one > 0).mean() for one in made])
    assert 15 < (shares > 0).sum() < 45
    assert shares.max() < 0.35


# photos that end within the person


def ended(**changes):
    return replace(STILL, framed=1.0, **changes)


def test_without_the_setting_everybody_stays_whole():
    xy, box = line()
    assert framed(box, xy, STILL, chance()) is None


def test_few_joints_stay_whole():
    xy, box = line(7)
    assert framed(box, xy, ended(), chance()) is None


def parts(count=200):
    xy, box = line()
    rng = chance()
    found = [framed(box, xy, ended(), rng) for _ in range(count)]
    return xy, box, [one for one in found if one]


def test_what_is_left_lies_within_the_box_and_the_photo():
    _, box, found = parts()
    assert len(found) > 100
    for left, photo in found:
        assert (left[:2] >= np.maximum(box[:2], photo[:2]) - 1e-3).all()
        assert (left[2:] <= np.minimum(box[2:], photo[2:]) + 1e-3).all()
        assert (left[2:] > left[:2]).all()


def test_what_is_left_has_joints():
    xy, _, found = parts()
    kept = [((xy >= photo[:2]) & (xy <= photo[2:])).all(axis=1).sum() for _, photo in found]
    assert 4 <= min(kept) < 8


def test_most_photos_end_below():
    _, box, found = parts()
    below = [photo[3] < box[3] for _, photo in found]
    above = [photo[1] > box[1] for _, photo in found]
    assert sum(below) > 3 * sum(above) > 0


def test_outside_the_photo_a_crop_is_black():
    crop = np.full((40, 30, 3), 200, np.uint8)
    matrix = np.array([[0.5, 0, 0], [0, 0.5, 0]], np.float32)
    out = black_outside(crop, np.array([20, -500, 900, 40], np.float32), matrix)
    assert (out[:20, 10:] == 200).all()
    assert (out[:, :9] == 0).all()
    assert (out[22:] == 0).all()
