import numpy as np
import pytest
import torch

from posegram import models
from posegram.pose import LSP14, Card
from posegram.train.places import nearest, said

CARD = Card("a", "heatmap", LSP14, (64, 64), settings={"network": "lite", "head": 8})


def test_a_network_answers_in_crops_of_any_size():
    torch.manual_seed(0)
    weights = models.build(CARD).state_dict()
    crops = np.random.default_rng(0).integers(0, 256, (18, 64, 32, 3), dtype=np.uint8)
    found = said(weights, CARD, crops)
    assert found.shape == (18, 14, 2)
    assert found[..., 0].max() < 32 < found[..., 1].max() < 64


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
