import numpy as np
import pytest

from posegram.data.angles import angle_names, angles
from posegram.pose import BODY19, COCO17, LSP14, MPII16, People, Skeleton

SIDES = [f"{side}_{part}" for part in ("shoulder", "elbow", "hip", "knee")
         for side in ("left", "right")]  # fmt: skip


def standing(skeleton=COCO17, **places):
    """One person, arms and legs straight down, trunk upright; `places` move joints."""
    known = {
        "shoulder": (20, 50),
        "elbow": (20, 80),
        "wrist": (20, 110),
        "hip": (20, 120),
        "knee": (20, 160),
        "ankle": (20, 200),
        "thorax": (0, 50),
        "pelvis": (0, 120),
        "neck": (0, 40),
        "upper_neck": (0, 40),
        "head_top": (0, 10),
    }
    xy = np.zeros((1, len(skeleton), 2), np.float32)
    for row, joint in enumerate(skeleton.joints):
        side, _, part = joint.partition("_")
        x, y = known.get(joint) or known.get(part) or (0, 20)
        xy[0, row] = places.get(joint, (-x if side == "right" else x, y))
    return People(xy, np.ones(xy.shape[:2], np.float32), np.zeros((1, 4), np.float32), skeleton)


def one(people, name, **options):
    return float(angles(people, **options)[0, angle_names(people.skeleton).index(name)])


@pytest.mark.parametrize(
    ("skeleton", "more"),
    [(COCO17, ["trunk"]), (BODY19, ["trunk", "head"]), (LSP14, ["trunk", "head"]),
     (MPII16, ["trunk", "head"])],
)  # fmt: skip
def test_a_skeleton_has_the_angles_that_its_joints_allow(skeleton, more):
    assert list(angle_names(skeleton)) == [*SIDES, *more]


def test_a_skeleton_without_limbs_has_no_angle():
    skeleton = Skeleton("pair", ("a", "b"))
    assert angles(People.none(skeleton)).shape == (0, 0)


def test_a_straight_limb_is_180():
    assert one(standing(), "left_knee") == pytest.approx(180)


@pytest.mark.parametrize(
    ("wrist", "bend"), [((50, 80), 90), ((-10, 80), 90), ((20, 50), 0), ((50, 50), 45)]
)
def test_a_bent_limb_is_less_to_either_side(wrist, bend):
    assert one(standing(left_wrist=wrist), "left_elbow") == pytest.approx(bend, abs=1e-3)


def test_an_arm_along_the_body_is_0_at_the_shoulder():
    assert one(standing(), "right_shoulder") == pytest.approx(0, abs=1e-3)


def test_every_angle_is_at_its_own_joints():
    bent = standing(right_ankle=(-60, 160))
    changed = angles(bent)[0] != angles(standing())[0]
    assert np.array(angle_names(COCO17))[changed].tolist() == ["right_knee"]


@pytest.mark.parametrize(("shift", "lean"), [(0, 0), (70, 45), (-70, -45)])
def test_the_trunk_leans_to_the_pictures_right_above_0(shift, lean):
    moved = standing(left_shoulder=(20 + shift, 50), right_shoulder=(-20 + shift, 50))
    assert one(moved, "trunk") == pytest.approx(lean, abs=1e-3)


def test_mpiis_own_thorax_and_pelvis_make_the_trunk():
    assert one(standing(MPII16, thorax=(70, 50)), "trunk") == pytest.approx(45, abs=1e-3)


def test_an_unsure_joint_makes_its_angles_not_numbers():
    people = standing()
    people.score[0, COCO17.index("left_wrist")] = 0.2
    lost = np.isnan(angles(people, threshold=0.3)[0])
    assert np.array(angle_names(COCO17))[lost].tolist() == ["left_elbow"]


def test_a_joint_at_the_threshold_counts():
    people = standing()
    people.score[:] = 0.5
    assert np.isfinite(angles(people, threshold=0.5)).all()


def test_joints_count_from_a_score_of_three_tenths_unless_said_otherwise():
    people = standing()
    people.score[:] = 0.3
    assert np.isfinite(angles(people)).all()


def test_an_absent_joint_makes_its_angles_not_numbers():
    assert np.isnan(one(standing(left_wrist=(np.nan, np.nan)), "left_elbow"))


@pytest.mark.parametrize("end", [{"left_wrist": (20, 80)}, {"left_shoulder": (20, 80)}])
def test_two_joints_in_one_place_have_no_angle(end):
    assert np.isnan(one(standing(**end), "left_elbow"))


def test_a_trunk_without_length_leans_to_no_side():
    assert np.isnan(one(standing(MPII16, thorax=(0, 120)), "trunk"))


@pytest.mark.parametrize(("x", "lean"), [(70, 90), (-70, -90)])
def test_who_lies_level_leans_by_90(x, lean):
    assert one(standing(MPII16, thorax=(x, 120)), "trunk") == pytest.approx(lean)


def test_turning_the_picture_leaves_bends_alone():
    people = standing(left_wrist=(61, 95), right_ankle=(-40, 170))
    turned = People(people.xy[..., ::-1] * np.float32([-1, 1]), people.score, people.box, COCO17)
    bends = [n for n, name in enumerate(angle_names(COCO17)) if name in SIDES]
    np.testing.assert_allclose(angles(turned)[:, bends], angles(people)[:, bends], atol=1e-3)
