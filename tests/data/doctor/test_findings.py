import numpy as np
import pytest

from posegram.data.doctor.findings import KINDS, Finding, named, of_people


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="no finding 'boredom'"):
        Finding("boredom", "look", 0.5, "")


def test_an_unknown_level_is_refused():
    with pytest.raises(ValueError, match="level 'perhaps'"):
        Finding("mirrored", "perhaps", 0.5, "")


def test_what_is_worth_a_look_is_no_fault():
    faults = [Finding("mirrored", level, 0.5, "").fault for level in ("look", "likely", "certain")]
    assert faults == [False, True, True]


def test_a_certain_finding_outweighs_a_worse_likely_one():
    certain, likely = (
        Finding("mirrored", level, bad, "") for level, bad in (("certain", 0.1), ("likely", 0.9))
    )
    assert certain.weight > likely.weight


def test_kinds_are_explained_in_words():
    assert all(len(words) > 10 for words in KINDS.values())


@pytest.mark.parametrize(
    ("joints", "words"),
    [
        ([], ""),
        (["neck"], "neck"),
        (["neck", "nose"], "neck and nose"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_joints_are_named_in_a_sentence(joints, words):
    assert named(joints) == words


def test_one_finding_is_made_of_each_person_hit(good):
    hits = np.zeros(good.people.flag.shape, dtype=bool)
    hits[3, [0, 2]] = True
    (one,) = of_people(good.people, "collapsed", "look", hits, lambda row, j: f"{row} {named(j)}")
    assert (one.person, one.image, one.sentence) == (3, 3, "3 right_ankle and right_hip")


def test_people_are_hit_as_a_whole_without_joints(good):
    hits = np.arange(len(good.people)) == 7
    (one,) = of_people(good.people, "mirrored", "look", hits, lambda *_: "")
    assert (one.person, one.joints) == (7, ())
