from dataclasses import replace

import numpy as np
import pytest

import figures
import runs
from posegram import data
from posegram.data import yolo
from posegram.data.joints import pairs_by_name
from posegram.pose import COCO17, LSP14, Skeleton
from posegram.train.batches import relabel
from posegram.train.skeletons import agreement, check, named, require
from posegram.train.skeletons import people as people_of


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 12)


def written(folder, text):
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


# settings


def test_a_built_in_name_is_taken(tmp_path):
    assert named(runs.settings(tmp_path, skeleton="coco17")) == COCO17


def test_a_file_is_read(tmp_path):
    path = written(tmp_path, 'joints = ["a", "b"]')
    assert named(runs.settings(tmp_path, skeleton=str(path))).joints == ("a", "b")


def test_the_joints_of_the_data_are_taken(tmp_path):
    config = runs.settings(tmp_path, runs.labels(tmp_path, 2, skeleton=COCO17), skeleton="data")
    assert named(config) == COCO17


def test_joints_of_the_data_need_data(tmp_path):
    with pytest.raises(ValueError, match="takes the joints of the first data set; name one"):
        named(runs.settings(tmp_path, skeleton="data"))


# joints that the data spells otherwise


LIMBS = Skeleton("limbs", ("left_wrist", "right_wrist", "left_hip", "right_hip"), (),
                 (("left_wrist", "right_wrist"), ("left_hip", "right_hip")))  # fmt: skip
SPELT = 'joints = ["Wrist L", "Wrist R", "left_hip", "right_hip"]'


def test_joints_that_the_data_spells_otherwise_are_learnt(tmp_path, capsys):
    path = written(tmp_path, SPELT)
    labels = runs.labels(tmp_path, 3, skeleton=LIMBS)
    config = runs.settings(tmp_path, labels, skeleton=str(path))
    found = people_of(config, config.train)
    assert found[0].skeleton.joints == named(config).joints
    assert found[0].skeleton.mirror == named(config).mirror
    before, _, _ = relabel(data.read(labels)[0], LIMBS)
    after, labelled, _ = relabel(found[0], named(config))
    assert labelled.all()
    np.testing.assert_array_equal(after, before)
    require(named(config), found, "train on")
    assert capsys.readouterr().err == ""


def test_people_whose_joints_are_spelt_as_ours_stay_as_they_are(tmp_path):
    labels = runs.labels(tmp_path, 2, skeleton=COCO17)
    config = runs.settings(tmp_path, labels, skeleton="lsp14")
    assert {sample.skeleton for sample in people_of(config, config.train)} == {COCO17}


def test_joints_that_nobody_has_a_label_for_are_told_in_one_sentence(tmp_path, capsys):
    path = written(tmp_path, 'joints = ["left_paw", "right_paw", "left_hip", "right_hip"]')
    config = runs.settings(tmp_path, runs.labels(tmp_path, 3, skeleton=LIMBS), skeleton=str(path))
    require(named(config), people_of(config, config.train), "train on")
    assert capsys.readouterr().err == (
        "posegram: nobody to train on has a label for left_paw, right_paw of skeleton 'mine', so "
        "they are not learnt; the data's joints are left_wrist, right_wrist, left_hip, right_hip\n"
    )


def test_joints_that_the_people_to_validate_on_lack_are_not_told(people, capsys):
    require(COCO17, people, "validate on")
    assert capsys.readouterr().err == ""


def test_of_several_processes_the_first_one_tells(people, capsys, monkeypatch):
    for key, value in {"WORLD_SIZE": "2", "RANK": "1"}.items():
        monkeypatch.setenv(key, value)
    require(COCO17, people, "train on")
    assert capsys.readouterr().err == ""


# the check against people


def mine(people, *names):
    """The people with only some joints, under other names: (theirs, ours) pairs."""
    joints = tuple(our for _, our in names)
    rows = [LSP14.index(their) for their, _ in names]
    skeleton = Skeleton("mine", joints, (), pairs_by_name(joints))
    found = [replace(s, xy=s.xy[rows], visible=s.visible[rows], skeleton=skeleton) for s in people]
    return skeleton, found


HIPS = (("left_hip", "left_seat"), ("right_hip", "right_seat"))
HANDS = (("left_wrist", "left_paw"), ("right_wrist", "right_paw"))
CROSSED = (("right_wrist", "left_paw"), ("left_wrist", "right_paw"))


def test_true_pairs_agree(people):
    skeleton, found = mine(people, *HIPS, *HANDS)
    assert min(agreement(found, skeleton).values()) > 0.9


def test_a_pair_with_its_sides_mixed_up_disagrees(people):
    skeleton, found = mine(people, *HIPS, *HANDS, ("left_knee", "l_k"), ("right_knee", "r_k"))
    crossed, swapped = mine(people, *HIPS, *CROSSED, ("left_knee", "l_k"), ("right_knee", "r_k"))
    pair = ("left_paw", "right_paw")
    assert agreement(swapped, crossed)[pair] < 0.1 < agreement(found, skeleton)[pair]


def test_few_people_judge_no_pair(people):
    skeleton, found = mine(people[:9], *HIPS, *HANDS)
    assert agreement(found, skeleton) == {}


def asked(tmp_path, skeleton, found, **changes):
    check(runs.settings(tmp_path, skeleton="data", **changes), skeleton, found)


def test_pairs_that_names_and_people_tell_are_trusted(people, tmp_path):
    asked(tmp_path, *mine(people, *HIPS, *HANDS))


def test_a_doubtful_pair_is_asked_about_in_one_sentence(people, tmp_path):
    knees = (("left_knee", "l_k"), ("right_knee", "r_k"))
    skeleton, found = mine(people, *HIPS, *knees, *CROSSED)
    with pytest.raises(ValueError, match=r"in doubt: left_paw/right_paw \(on the sides of .*0%"):
        asked(tmp_path, skeleton, found)


def test_a_joint_whose_twin_is_missing_is_asked_about(people, tmp_path):
    skeleton, found = mine(people, *HIPS, HANDS[0])
    with pytest.raises(ValueError, match=r"in doubt: left_paw \(without a twin\); write mirror"):
        asked(tmp_path, skeleton, found)


def test_a_skeleton_without_any_pair_is_asked_about(people, tmp_path):
    skeleton, found = mine(people, ("left_hip", "a"), ("right_hip", "b"))
    with pytest.raises(ValueError, match="in doubt: none is told by the names"):
        asked(tmp_path, skeleton, found)


def test_without_flips_nothing_is_asked(people, tmp_path):
    asked(tmp_path, *mine(people, ("left_hip", "a"), ("right_hip", "b")), flip=0.0)


def test_pairs_stated_in_a_file_are_not_asked_about(people, tmp_path):
    skeleton, found = mine(people, ("left_hip", "a"), ("right_hip", "b"))
    path = written(tmp_path, 'joints = ["a", "b"]\nmirror = []')
    check(runs.settings(tmp_path, skeleton=str(path)), skeleton, found)


def test_the_pairs_of_real_people_are_trusted(shared):
    people = data.read(f"lsp:{shared / 'data' / 'lsp'}#1-1000")
    found = agreement(people, LSP14)
    assert len(found) == 6
    assert min(found.values()) > 0.6, found


def test_arrays_of_a_pair_are_looked_at_by_name(people):
    skeleton, found = mine(people, *HANDS, *HIPS)
    np.testing.assert_array_equal(skeleton.flipped, [1, 0, 3, 2])
    assert set(agreement(found, skeleton)) == set(skeleton.mirror)


# joints without names


@pytest.fixture
def unnamed(tmp_path):
    """A YOLO set of 14 joints that are only counted, whose flip_idx makes pairs of some."""
    made = figures.samples(tmp_path / "t", 12)
    out = yolo.write(tmp_path / "set", made)
    flip = [5, 4, 3, 2, 1, 0, *range(6, 14)]
    (out / "data.yaml").write_text(f"train: images\nkpt_shape: [14, 3]\nflip_idx: {flip}\n")
    return f"yolo:{out}"


def test_pairs_that_flip_idx_states_are_learnt_where_names_tell_none(unnamed, tmp_path):
    config = runs.settings(tmp_path, unnamed, skeleton="data")
    skeleton = named(config)
    assert skeleton.mirror[0] == ("joint_0", "joint_5")
    check(config, skeleton, people_of(config, config.train))


def test_a_skeleton_file_of_as_many_names_them(unnamed, tmp_path):
    path = written(tmp_path, f"joints = {list(LSP14.joints)}")
    config = runs.settings(tmp_path, unnamed, skeleton=str(path))
    found = people_of(config, config.train)
    assert {sample.skeleton for sample in found} == {named(config)}
    require(named(config), found, "train on")


def test_a_built_in_skeleton_does_not_and_says_so(unnamed, tmp_path):
    config = runs.settings(tmp_path, unnamed, skeleton="lsp14")
    found = people_of(config, config.train)
    with pytest.raises(
        ValueError, match=r"of skeleton 'lsp14'; YOLO joints get names by kpt_names"
    ):
        require(named(config), found, "train on")
