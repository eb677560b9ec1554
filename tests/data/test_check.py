from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram.data import mpii
from posegram.data.check import check
from posegram.pose import COCO17


@pytest.fixture
def people(tmp_path):
    return figures.samples(tmp_path, 4)


def _faults(people):
    return check(people, copies=False).faults


def _moved(sample, joint, x, y):
    xy = sample.xy.copy()
    xy[sample.skeleton.index(joint)] = x, y
    return replace(sample, xy=xy)


def _flagged(sample, flag):
    return replace(sample, visible=np.full(len(sample.skeleton), flag, dtype=np.uint8))


def test_a_good_set_has_no_faults_and_no_notes(people):
    report = check(people)
    assert (report.faults, report.notes) == ((), ())


def test_people_images_and_pictures_at_hand_are_counted(people):
    people[0].image.unlink()
    report = check([*people, _moved(people[1], "neck", 9, 9)])
    assert (report.people, report.images, report.present) == (5, 4, 3)


def test_labels_are_counted_joint_by_joint(people):
    people[0] = _flagged(people[0], 0)
    people[1] = _flagged(people[1], 1)
    counts = {(j.labelled, j.hidden, j.outside) for j in check(people).joints}
    assert counts == {(3, 1, 0)}


def test_joints_of_two_skeletons_are_counted_by_name(people, tmp_path):
    more = figures.samples(tmp_path / "coco", 2, skeleton=COCO17)
    counts = {j.joint: j.labelled for j in check([*people, *more]).joints}
    assert (counts["neck"], counts["left_knee"], counts["nose"]) == (4, 6, 2)


def test_people_who_face_the_camera_have_their_left_on_the_right(people):
    facing = {pair.pair[0]: pair.facing for pair in check(people).pairs}
    assert facing["left_shoulder"] == 1.0


def test_a_joint_outside_its_picture_is_a_fault(people):
    people[2] = _moved(people[2], "left_wrist", 500, 5)
    assert _faults(people) == (
        "1 people have labelled joints outside their picture (figure0002.png)",
    )


def test_an_unlabelled_joint_outside_its_picture_is_no_fault(people):
    people[2] = _flagged(_moved(people[2], "left_wrist", 500, 5), 0)
    assert _faults(people) == ()


def test_some_missing_pictures_are_a_fault(people):
    people[0].image.unlink()
    assert _faults(people) == ("1 images are missing (figure0000.png)",)


def test_no_picture_at_all_is_only_a_note(people):
    for sample in people:
        sample.image.unlink()
    report = check(people)
    assert report.faults == ()
    assert report.notes == ("no image is at hand, so nothing was checked against the pictures",)


def test_an_unreadable_picture_is_a_fault(people):
    people[0].image.write_text("no picture")
    assert _faults(people) == ("1 images cannot be read (figure0000.png)",)


def test_an_empty_box_is_a_fault(people):
    people[1] = replace(people[1], box=np.array([5, 5, 5, 50], dtype=np.float32))
    assert _faults(people) == ("1 people have an empty box (figure0001.png)",)


def test_a_box_outside_its_picture_is_a_fault(people):
    people[1] = replace(people[1], box=np.array([500, 5, 600, 99], dtype=np.float32))
    assert _faults(people) == ("1 people have a box outside their picture (figure0001.png)",)


def test_the_same_person_twice_is_a_fault(people):
    assert _faults([*people, people[3]]) == ("1 people stand in the set twice (figure0003.png)",)


def test_tiny_people_are_noted(people):
    people[1] = replace(people[1], box=np.array([50, 50, 70, 81], dtype=np.float32))
    assert check(people).notes == ("1 people have a box below 32 pixels (figure0001.png)",)


def test_people_without_joints_are_noted(people):
    people[1] = _flagged(people[1], 0)
    assert check(people).notes == ("1 people have no labelled joint (figure0001.png)",)


def test_swapped_hips_are_noted(people):
    box = np.array([60, 60, 100, 110], dtype=np.float32)
    left, right = people[0].xy[[3, 2]]
    swapped = _moved(_moved(people[0], "left_hip", *right), "right_hip", *left)
    notes = check([replace(swapped, box=box)]).notes
    assert "1 people have shoulders and hips on opposite sides" in notes[0]


def test_near_duplicate_pictures_are_noted(people, tmp_path):
    (tmp_path / "copy.png").write_bytes(people[0].image.read_bytes())
    notes = check([*people, replace(people[0], image=tmp_path / "copy.png")]).notes
    assert notes == ("1 groups of images are near duplicates (figure0000.png=copy.png)",)


def test_more_than_three_examples_are_not_named(people):
    faults = _faults([_moved(s, "neck", 500, 5) for s in people])
    assert faults[0].endswith("(figure0000.png, figure0001.png, figure0002.png, ...)")


def test_nobody_at_all_is_checked_without_fault():
    assert check([]).people == 0


def test_the_mpii_list_is_checked_without_its_pictures(shared):
    report = check(mpii.read(shared / "references" / "mpii" / "valid.json"))
    assert (report.people, report.present, report.faults) == (2958, 0, ())
