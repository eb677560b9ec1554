from dataclasses import replace

import pytest

from posegram.data.joints import skeleton_of
from posegram.metrics.falloffs import falloffs, with_areas
from posegram.pose import COCO17, LSP14

SIDES = ("left", "right")
PAIRED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
CROWDPOSE = skeleton_of("person14", [*(f"{s}_{p}" for p in PAIRED for s in SIDES), "head", "neck"])
AIC = skeleton_of(
    "person14",
    [f"{s} {p}" for parts in (PAIRED[:3], PAIRED[3:]) for s in ("Right", "Left") for p in parts]
    + ["Head top", "Neck"],
)


def test_a_skeleton_that_states_sigmas_keeps_them():
    known = falloffs(COCO17)
    assert known.sigmas == COCO17.sigmas
    assert known.notes(3) == ()


@pytest.mark.parametrize(
    ("skeleton", "joint", "sigma"),
    [
        (CROWDPOSE, "left_hip", 0.107),
        (CROWDPOSE, "neck", 0.079),
        (AIC, "right_hip", 0.03909642),
        (AIC, "neck", 0.01236173),
    ],
)
def test_a_data_set_is_known_by_its_joints(skeleton, joint, sigma):
    assert falloffs(skeleton).sigmas[skeleton.index(joint)] == sigma


@pytest.mark.parametrize("skeleton", [CROWDPOSE, AIC])
def test_left_and_right_scatter_alike(skeleton):
    sigmas = falloffs(skeleton).sigmas
    for left, right in skeleton.mirror:
        one, other = (sigmas[skeleton.index(joint)] for joint in (left, right))
        assert one == pytest.approx(other, rel=0.35)


def test_lsp_is_not_taken_for_the_set_with_its_joints_in_another_order():
    assert set(LSP14.joints) == set(AIC.joints)
    with pytest.raises(ValueError, match="none are known here for lsp14: state them in a skeleton"):
        falloffs(LSP14)


def test_sigmas_of_a_file_come_first():
    assert falloffs(replace(AIC, sigmas=(0.1,) * 14)).sigmas == (0.1,) * 14


def people(**changes):
    return {"annotations": [{"bbox": [5, 5, 10, 20], "keypoints": [1, 1, 2] * 14} | changes]}


def test_somebody_without_an_area_has_a_share_of_the_box():
    truth, count = with_areas(people(), falloffs(CROWDPOSE))
    assert (truth["annotations"][0]["area"], count) == (pytest.approx(0.53 * 200), 1)


def test_an_area_in_the_file_stays():
    truth = people(area=50)
    assert with_areas(truth, falloffs(CROWDPOSE)) == (truth, 0)


def test_people_without_labels_are_not_counted():
    assert with_areas(people(keypoints=[0] * 42), falloffs(AIC))[1] == 0


@pytest.mark.parametrize("box", [None, 5, [1, 2], ["a", 1, 2, 3]])
def test_without_a_box_there_is_no_area(box):
    truth = people(bbox=box)
    assert with_areas(truth, falloffs(AIC)) == (truth, 0)


def test_a_skeleton_of_ones_own_needs_the_files_areas():
    truth = people()
    assert with_areas(truth, falloffs(COCO17)) == (truth, 0)


def test_notes_say_whose_sigmas_they_are_and_how_many_areas_are_the_boxs():
    known = falloffs(CROWDPOSE)
    assert known.notes(0) == ("AP: sigmas of CrowdPose's own evaluation",)
    assert known.notes(2)[0].endswith("; 2 people have no area in the labels, so 0.53 x their box")
