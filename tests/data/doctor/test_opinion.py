import numpy as np
import pytest

from posegram.data.doctor.limbs import build
from posegram.data.doctor.opinion import Opinion, judge
from posegram.pose import LSP14


def _opinion(good, score=0.9, noise=1.0):
    """A model that is right, but for a pixel of noise."""
    xy = good.people.xy + np.random.default_rng(1).normal(0, noise, good.people.xy.shape)
    return Opinion(xy, np.full(good.people.flag.shape, score))


def test_a_model_that_agrees_finds_nothing(good):
    assert judge(good.people, _opinion(good)) == []


@pytest.mark.parametrize(("score", "level"), [(0.9, "likely"), (0.5, "look")])
def test_a_mirrored_person_is_as_certain_as_the_model(good, score, level):
    xy = good.people.xy.copy()
    xy[5] = xy[5][LSP14.flipped]
    (one,) = judge(good.changed(xy=xy), _opinion(good, score=score))
    assert (one.kind, one.level, one.person) == ("mirrored", level, 5)


def test_legs_exchanged_are_told_as_a_whole(good):
    pairs = [(f"left_{part}", f"right_{part}") for part in ("hip", "knee", "ankle")]
    people = good.people
    for part in ("knee", "ankle"):  # so wide apart that no doubt remains
        for side, step in (("left", 40), ("right", -40)):
            people.xy[5, LSP14.index(f"{side}_{part}")] += (step, 0)
    (one,) = judge(good.exchanged(5, *pairs), _opinion(good))
    assert (one.kind, one.level) == ("swapped-joints", "likely")
    assert {"left_knee", "right_ankle"} <= set(one.joints)


def test_a_joint_elsewhere_is_likely_misplaced_when_the_model_is_sure(good):
    people = good.moved(5, "head_top", (5, 235))
    (one,) = judge(people, _opinion(good, score=0.97))
    assert (one.kind, one.level, one.joints) == ("misplaced", "likely", ("head_top",))


def test_the_same_is_worth_a_look_when_the_model_is_less_sure(good):
    people = good.moved(5, "head_top", (5, 235))
    (one,) = judge(people, _opinion(good, score=0.85))
    assert (one.kind, one.level) == ("misplaced", "look")


def test_a_limb_too_long_turns_the_doubt_into_a_fault(good):
    people = good.moved(5, "head_top", (5, 235))
    (one,) = judge(people, _opinion(good, score=0.85), build(people))
    assert (one.kind, one.level) == ("misplaced", "likely")


def test_a_model_that_is_not_sure_is_not_heard(good):
    people = good.moved(5, "head_top", (5, 235))
    assert judge(people, _opinion(good, score=0.5)) == []


def test_a_person_elsewhere_is_likely_wrong(good):
    xy = good.people.xy.copy()
    xy[5] += 500
    (one,) = judge(good.changed(xy=xy), _opinion(good))
    assert (one.kind, one.level, one.person) == ("elsewhere", "likely", 5)


def test_joints_that_the_model_lacks_are_not_judged(good):
    opinion = _opinion(good, score=0.97)
    opinion.xy[:, LSP14.index("head_top")] = np.nan
    opinion.score[:, LSP14.index("head_top")] = 0
    assert judge(good.moved(5, "head_top", (5, 235)), opinion) == []


def test_labels_beside_the_model_all_over_are_worth_a_look(good):
    (one,) = judge(good.changed(xy=good.people.xy + np.array([1.5, 0])), _opinion(good, noise=0.1))
    assert (one.kind, one.level, one.person) == ("offset", "look", None)
    assert "+1.5, -0.0" in one.sentence or "+1.5, +0.0" in one.sentence


def test_an_opinion_on_other_people_is_refused(good):
    with pytest.raises(ValueError, match="opinion"):
        judge(good.people, Opinion(np.zeros((3, 14, 2)), np.zeros((3, 14))))
