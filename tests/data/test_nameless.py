from dataclasses import replace

import pytest

import figures
from posegram.data import nameless
from posegram.pose import COCO17, LSP14, Skeleton

BARE = Skeleton("yolo14", nameless.names(14))
MINE = Skeleton("mine", LSP14.joints)


@pytest.fixture
def people(tmp_path):
    """Two people whose joints have no names."""
    return [replace(s, skeleton=BARE) for s in figures.samples(tmp_path, 2)]


def test_as_many_names_are_theirs_in_their_order(people):
    found = nameless.called(people, MINE)
    assert [one.skeleton for one in found] == [MINE, MINE]
    assert found[0].xy is people[0].xy


@pytest.mark.parametrize("other", [None, LSP14, Skeleton("few", ("a", "b"))])
def test_neither_a_built_in_skeleton_nor_another_number_names_them(people, other):
    assert nameless.called(people, other) == people


def test_joints_with_names_keep_them(tmp_path):
    people = figures.samples(tmp_path, 1)
    assert nameless.called(people, MINE)[0] is people[0]


@pytest.mark.parametrize(("skeleton", "bare"), [(BARE, True), (COCO17, False)])
def test_joints_without_names_are_known(skeleton, bare):
    assert nameless.bare(skeleton) == bare
    assert not nameless.bare(Skeleton("none", ()))
