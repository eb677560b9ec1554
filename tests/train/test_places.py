import numpy as np
import pytest
import torch

from posegram import models
from posegram.pose import LSP14, Card
from posegram.train.places import called, nearest, said

CARD = Card("a", "heatmap", LSP14, (64, 64), settings={"network": "lite", "head": 8})


def test_a_network_answers_in_crops_of_any_size():
    torch.manual_seed(0)
    weights = models.build(CARD).state_dict()
    crops = np.random.default_rng(0).integers(0, 256, (18, 64, 32, 3), dtype=np.uint8)
    found = said(weights, CARD, crops)
    assert found.shape == (18, 14, 2)
    assert found[..., 0].max() < 32 < found[..., 1].max() < 64


# by name


def test_joints_of_the_same_name_meet():
    assert called(["neck", "tail"], ["head_top", "neck"]) == {"neck": "neck"}


@pytest.mark.parametrize("name", ["Knee L", "knee_l", "LKnee", "l_knee", "knee.left", "Left-Knee"])
def test_another_spelling_meets_our_name(name):
    assert called([name], ["right_knee", "left_knee"]) == {name: "left_knee"}


def test_two_spellings_of_one_joint_meet():
    assert called(["LKnee"], ["r knee", "knee.l"]) == {"LKnee": "knee.l"}


def test_the_same_name_goes_before_another_spelling():
    assert called(["LKnee", "left_knee"], ["left_knee"]) == {"left_knee": "left_knee"}


def test_a_joint_that_is_met_by_its_name_is_no_rival():
    found = called(["LKnee", "left_knee"], ["left_knee", "knee_l"])
    assert found == {"left_knee": "left_knee", "LKnee": "knee_l"}


def test_two_joints_never_meet_one():
    assert called(["LKnee", "knee.l"], ["left_knee"]) == {}


def test_a_joint_that_may_be_either_of_two_meets_none():
    assert called(["LKnee"], ["knee.l", "l_knee"]) == {}


# by place


def places(count=20):
    """Three joints of the start, the third far from the others."""
    rng = np.random.default_rng(0)
    found = np.array([[10, 10], [40, 60], [30, 90]]) + rng.normal(0, 2, (count, 3, 2))
    return found.astype(np.float32)


def test_a_new_joint_takes_the_joint_at_its_place():
    found = places()
    xy = found[:, [2, 0]] + np.float32(1)
    assert nearest(found, xy, np.ones((20, 2), bool), 100) == {0: 2, 1: 0}


def test_a_joint_far_from_all_takes_none():
    xy = np.full((20, 1, 2), 75.0, np.float32)
    assert nearest(places(), xy, np.ones((20, 1), bool), 100) == {}


@pytest.mark.parametrize(("count", "pairs"), [(4, {}), (5, {0: 1})])
def test_few_labels_tell_nothing(count, pairs):
    found = places()
    labelled = (np.arange(20) < count)[:, None]
    assert nearest(found, found[:, [1]], labelled, 100) == pairs


def test_labels_that_are_not_given_tell_nothing():
    found = places()
    xy = found[:, [1]].copy()
    xy[10:] = 0
    assert nearest(found, xy, (np.arange(20) < 10)[:, None], 100) == {0: 1}
