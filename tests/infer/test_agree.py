import numpy as np
import pytest

from posegram.infer.agree import agree
from posegram.pose import COCO17, LSP14, People

BOX = np.array([[0.0, 0.0, 100.0, 100.0 / 0.53]], dtype=np.float32)  # area 100 x 100


def one(x, score, skeleton=COCO17):
    """A person all of whose joints lie at (x, 50), with that score."""
    k = len(skeleton)
    xy = np.tile(np.array([x, 50.0], dtype=np.float32), (1, k, 1))
    return People(xy, np.full((1, k), score, dtype=np.float32), BOX, skeleton)


def test_places_that_agree_become_their_mean_by_score():
    assert agree(one(40, 0.9), one(46, 0.45)).xy[0, 0] == pytest.approx([42, 50])


def test_the_score_of_places_that_agree_is_the_larger():
    assert agree(one(40, 0.6), one(46, 0.9)).score[0, 0] == pytest.approx(0.9)


def test_places_that_agree_less_closely_lose_a_little():
    assert agree(one(40, 0.6), one(55, 0.9)).score[0, 0] == pytest.approx(0.855)


def test_of_places_that_disagree_the_surer_stays():
    assert agree(one(40, 0.6), one(70, 0.8)).xy[0, 0] == pytest.approx([70, 50])


def test_places_that_disagree_are_less_sure():
    assert agree(one(40, 0.6), one(70, 0.8)).score[0, 0] == pytest.approx(0.44)


def test_a_joint_that_only_the_first_knows_stays_as_it_is():
    nose = agree(one(40, 0.6), one(42, 0.9, LSP14))
    assert (nose.xy[0, 0, 0], nose.score[0, 0]) == pytest.approx((40, 0.6))


def test_a_joint_that_nobody_knows_stays_unknown():
    first = one(40, 0.6)
    first.xy[0, 3] = np.nan
    first.score[0, 3] = 0
    second = one(40, 0.6, LSP14)
    mixed = agree(first, second)
    assert np.isnan(mixed.xy[0, 3]).all()
    assert mixed.score[0, 3] == 0


def test_other_numbers_of_people_are_refused():
    with pytest.raises(ValueError, match="1 and 0 people"):
        agree(one(40, 0.6), People.none(COCO17))
