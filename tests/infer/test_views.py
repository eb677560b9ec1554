from dataclasses import replace

import numpy as np
import pytest

import tiny
from posegram.infer.load import load
from posegram.infer.topdown import TopDown
from posegram.infer.views import FOUR, Views, views
from posegram.pose import COCO17, Card, Skeleton

HANDS = Skeleton("hands", ("left_hand", "right_hand"), mirror=(("left_hand", "right_hand"),))
BOX = np.array([[0, 0, 63, 63]], dtype=np.float32)


def fixed(share, logit, skeleton=HANDS, size=(64, 64)):
    """A model that answers the same for every crop."""

    def network(crops):
        answer = np.array(share, np.float32), np.array(logit, np.float32)
        return tuple(np.repeat(a[None], len(crops), axis=0) for a in answer)

    return TopDown(Card("fixed", "regression", skeleton, size, margin=1.0), network)


def compass(low, high, size=(64, 64)):
    """A model that sees a joint at the crop's top, surely where the crop's top is red."""
    calls = []

    def network(crops):
        calls.append(len(crops))
        red = crops[:, 2:6, size[1] // 2, 0].mean(axis=1) > 128
        logit = np.where(red, high, low).astype(np.float32)[:, None]
        return np.repeat(np.array([[[0.5, 0.0625]]], np.float32), len(crops), axis=0), logit

    skeleton = Skeleton("top", ("head_top",))
    return TopDown(Card("compass", "regression", skeleton, size, margin=1.0), network), calls


def red_side(side):
    """A grey picture (64, 64, 3) with one red edge."""
    image = np.full((64, 64, 3), 90, dtype=np.uint8)
    rows = {"top": np.s_[:8], "bottom": np.s_[-8:], "left": np.s_[:, :8], "right": np.s_[:, -8:]}
    image[rows[side]] = (255, 0, 0)
    return image


# the mirrored crop


def test_the_flip_averages_a_joint_with_its_mirrored_twin():
    flipped = views(fixed([[0.2, 0.5], [0.6, 0.5]], [1, 1]), flip=True)
    people = flipped(red_side("top"), BOX)
    # the mirrored right hand lies at 1 - 0.6, so the left one at the mean of 0.2 and 0.4
    np.testing.assert_allclose(people.joint("left_hand")[0, 0], 63 * 0.3, atol=0.6)


def test_a_doubtful_twin_moves_a_joint_less():
    flipped = views(fixed([[0.2, 0.5], [0.6, 0.5]], [3, -3]), flip=True)
    people = flipped(red_side("top"), BOX)
    np.testing.assert_allclose(people.joint("left_hand")[0, 0], 63 * 0.2, atol=0.6)


def test_the_looks_weigh_by_the_square_of_their_scores():
    logit = [0, -np.log(3)]  # scores 1/2 and 1/4, so weights 4 to 1
    people = views(fixed([[0.2, 0.5], [0.6, 0.5]], logit), flip=True)(red_side("top"), BOX)
    np.testing.assert_allclose(people.joint("left_hand")[0, 0], 63 * 0.24, atol=0.6)


def test_the_larger_score_of_the_flips_stays():
    people = views(fixed([[0.2, 0.5], [0.6, 0.5]], [2, -2]), flip=True)(red_side("top"), BOX)
    np.testing.assert_allclose(people.score, 1 / (1 + np.exp(-2)), atol=1e-5)


def test_where_heatmaps_of_the_flips_disagree_the_higher_peak_wins():
    maps = np.full((2, 16, 16), -9, dtype=np.float32)
    maps[0, 8, 2], maps[1, 8, 5] = 9, 6  # mirrored, the right hand's peak is at 15 - 5

    def network(crops):
        return (np.repeat(maps[None], len(crops), axis=0),)

    estimate = TopDown(Card("fixed", "heatmap", HANDS, (64, 64), margin=1.0), network)
    people = views(estimate, flip=True)(red_side("top"), BOX)
    np.testing.assert_allclose(
        people.joint("left_hand")[0, 0], (2 + 0.5) * 4 * 63 / 64 - 0.5, atol=0.6
    )


def test_heatmaps_of_flips_that_agree_keep_their_scores():
    maps = np.zeros((2, 16, 16), dtype=np.float32)
    maps[0, 8, 2] = maps[1, 8, 13] = 4

    def network(crops):
        return (np.repeat(maps[None], len(crops), axis=0),)

    once = TopDown(Card("fixed", "heatmap", HANDS, (64, 64), margin=1.0), network)
    twice = views(once, flip=True)
    np.testing.assert_allclose(
        twice(red_side("top"), BOX).score, once(red_side("top"), BOX).score, atol=1e-5
    )


def test_the_flip_finds_spots_where_one_look_finds_them(tmp_path):
    # red, green and blue have no twins, so both looks see the same
    estimate = load(tiny.colours(tmp_path / "m.onnx"))
    truth = np.array([[20, 30], [70, 55], [40, 80]], dtype=np.float32)
    image = tiny.spots(truth, (128, 128))
    once, twice = estimate(image), views(estimate, flip=True)(image)
    np.testing.assert_allclose(twice.xy, once.xy, atol=0.3)


# the four turns


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_the_turn_with_the_best_score_wins(side):
    model, _ = compass(-2, 2)
    people = views(model, rotations=True)(red_side(side), BOX)
    x, y = people.xy[0, 0]
    assert red_side(side)[round(float(y)), round(float(x))].tolist() == [255, 0, 0]


def test_a_tie_leaves_the_photo_as_it_stands():
    model, _ = compass(0, 0)
    people = views(model, rotations=True)(red_side("bottom"), BOX)
    np.testing.assert_allclose(people.xy, model(red_side("bottom"), BOX).xy, atol=0.1)


def test_a_turn_that_gains_less_than_the_bonus_loses():
    model, _ = compass(0, 0.1)  # scores 0.500 and 0.525
    people = views(model, rotations=True)(red_side("bottom"), BOX)
    np.testing.assert_allclose(people.xy, model(red_side("bottom"), BOX).xy, atol=0.1)


def test_a_turn_that_gains_more_than_the_bonus_wins():
    model, _ = compass(0, 0.16)  # scores 0.500 and 0.540
    people = views(model, rotations=True)(red_side("bottom"), BOX)
    assert people.xy[0, 0, 1] > 50


def test_somebody_sure_as_the_photo_stands_costs_one_look():
    model, calls = compass(-2, 2)
    views(model, rotations=True)(red_side("top"), BOX)
    assert calls == [1]


def test_somebody_doubtful_costs_four_looks_and_the_others_one():
    model, calls = compass(-2, 2)
    image = np.concatenate([red_side("top"), red_side("bottom")], axis=1)
    boxes = np.array([[0, 0, 63, 63], [64, 0, 127, 63]], dtype=np.float32)
    views(model, rotations=True)(image, boxes)
    assert calls == [2, 1, 1, 1]


def test_a_crop_on_its_side_still_holds_a_tall_person():
    model, _ = compass(-2, 2, size=(64, 48))
    seen = []

    def network(crops):
        seen.append(crops)
        return model.network(crops)

    image = np.zeros((200, 200, 3), dtype=np.uint8)
    image[20:24, 80:120] = image[176:180, 80:120] = (0, 255, 0)  # the box's two ends
    box = np.array([[80, 20, 120, 180]], dtype=np.float32)
    views(replace(model, network=network), rotations=True)(image, box)
    ends = seen[1][0, :, :, 1].max(axis=0)  # by column: a quarter turn lays the box across
    assert min(ends[:2].max(), ends[-2:].max()) > 100


# what is wrapped


def test_without_options_an_estimate_stays_itself():
    model = fixed([[0.2, 0.5], [0.6, 0.5]], [1, 1])
    assert views(model) is model


def test_a_foreign_networks_centre_is_kept():
    model = Views(**vars(fixed([[0.2, 0.5], [0.6, 0.5]], [1, 1])), centre=0.5)
    assert views(model, flip=True, rotations=True).centre == 0.5


def test_rotations_are_four_quarters():
    assert sorted(turn % 360 for turn in FOUR) == [0, 90, 180, 270]


def test_what_takes_no_crops_is_refused():
    with pytest.raises(ValueError, match="one person's crop"):
        views(lambda image, boxes: None, flip=True)


def test_only_the_body_decides_which_way_is_up():
    # nose, eyes and ears sure, the body not: its mean is below what is enough
    logit = np.where([j in COCO17.joints[:5] for j in COCO17.joints], 9.0, -1.0)
    model = Views(**vars(fixed(np.full((17, 2), 0.5), logit, COCO17)))
    assert model._merit(logit[None].astype(np.float32))[0] == pytest.approx(1 / (1 + np.e))


def test_confidences_of_a_plain_network_are_scores_already():
    model = Views(**vars(fixed([[0.2, 0.5], [0.6, 0.5]], [1, 1])), plain=True)
    found = model._merit(np.float32([[0.7, 0.9], [-1, 2]]))
    np.testing.assert_allclose(found, [0.8, 0.5])
