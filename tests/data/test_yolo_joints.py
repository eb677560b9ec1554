import json

import pytest

from posegram.data import nameless, yolo_joints
from posegram.pose import COCO17, LSP14


@pytest.fixture
def root(tmp_path):
    """A folder of labels, and one of pictures."""
    for name in ("labels", "images"):
        (tmp_path / name / "train").mkdir(parents=True)
    return tmp_path


def _yaml(root, text):
    (root / "data.yaml").write_text(text)


def test_a_yaml_that_is_no_text_is_named(root):
    (root / "data.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"data\.yaml: is no YAML file"):
        yolo_joints.skeleton(root / "data.yaml")


@pytest.mark.parametrize("place", ["labels/train", "images/train", "data.yaml"])
def test_joints_are_those_of_the_data_yaml_above(root, place):
    _yaml(root, f"train: images/train\nkpt_names:\n  0: {list(LSP14.joints)}\n")
    assert yolo_joints.skeleton(root / place) is LSP14


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\n",
        "kpt_shape: [17, 3]  # number of joints, number of dims (2 for x,y)\n",
        f"kpt_shape: [17, 2]\nflip_idx: {COCO17.flipped.tolist()}  # a, b\n",
        f"flip_idx: {COCO17.flipped.tolist()}\n",
        "kpt_shape: [17, 3]\nflip_idx: []\n",
        "kpt_shape: [17, 3]\nflip_idx:  # none\nnames: [person]\n",
        "kpt_shape:\nflip_idx: null\n",
        "kpt_shape: null\n",
        "kpt_shape: ~\n",
    ],
)
def test_joints_without_names_are_cocos_where_nothing_speaks_against_it(root, text):
    _yaml(root, text)
    assert yolo_joints.skeleton(root / "labels" / "train") is COCO17


def test_a_set_without_a_data_yaml_has_cocos_joints(root):
    assert yolo_joints.skeleton(root / "labels" / "train") is COCO17


@pytest.mark.parametrize("flip", [list(range(17)), [1, 0, *range(2, 17)], [0, 1], "gone"])
def test_joints_whose_flips_are_not_cocos_have_no_names(root, flip):
    _yaml(root, f"kpt_shape: [17, 3]\nflip_idx: {flip}\n")
    found = yolo_joints.skeleton(root / "data.yaml")
    assert found.joints == nameless.names(17)
    assert found.mirror == ((("joint_0", "joint_1"),) if flip[:2] == [1, 0] else ())


@pytest.mark.parametrize(
    "text",
    [
        "kpt_shape: [4, 3]\nflip_idx: [0, 2, 1, 3]",
        "kpt_shape:\n  - 4\n  - 2\nflip_idx:\n- 0\n- 2  # right\n- 1\n- 3",
        "kpt_shape: [4, 3]\nflip_idx: [0, 2,\n  1, 3]\nnames: [tiger]",
        "flip_idx: [0, 2, 1, 3]",
    ],
)
def test_joints_that_are_only_counted_are_numbered_from_0(root, text):
    _yaml(root, text)
    found = yolo_joints.skeleton(root / "data.yaml")
    assert (found.name, found.joints) == ("yolo4", ("joint_0", "joint_1", "joint_2", "joint_3"))
    assert found.mirror == (("joint_1", "joint_2"),)


def test_names_count_more_than_a_shape(root):
    _yaml(root, "kpt_shape: [3, 3]\n")
    (root / "labels" / "data.yaml").write_text("kpt_shape: [4, 3]\n")
    assert len(yolo_joints.skeleton(root / "labels")) == 4  # the nearest
    _yaml(root, "kpt_names: {0: [a, b, c]}\n")
    assert yolo_joints.skeleton(root / "labels").joints == ("a", "b", "c")


@pytest.mark.parametrize("shape", ["[0, 3]", "K", "[99999999999999999999, 3]", "[-1, 3]"])
def test_a_shape_that_counts_no_joints_is_refused(root, shape):
    _yaml(root, f"kpt_shape: {shape}\n")
    with pytest.raises(ValueError, match=r"data\.yaml: `kpt_shape` is wrong: wanted \[K, 2\] or"):
        yolo_joints.skeleton(root / "data.yaml")


# names and bones


@pytest.mark.parametrize(
    "bones",
    [
        '[["Hip L", "Hip R"], ["Hip R", "tail"]]',
        "[[hip_l, hip_r], ['hip_r', tail]]  # a comment",
        "\n- - Hip L\n  - Hip R\n- - Hip R\n  - tail",
        "\n  - [Hip L, Hip R]\n  - [Hip R, tail]",
    ],
)
def test_bones_are_those_of_the_data_yaml(root, bones):
    _yaml(root, f"kpt_names: {{0: [Hip L, Hip R, tail]}}\nskeleton: {bones}\nnames: [person]\n")
    found = yolo_joints.skeleton(root / "data.yaml")
    assert found.bones == (("hip_l", "hip_r"), ("hip_r", "tail"))


def test_no_bones_are_none(root):
    _yaml(root, "kpt_names: {0: [left_hip, left_knee, tail]}\nskeleton: []\n")
    assert yolo_joints.skeleton(root / "data.yaml").bones == ()


@pytest.mark.parametrize("bones", ["", "[[0, 1]]", "[0, 1]", "[[left_hip, left_knee], [tail]]"])
def test_bones_that_are_no_pairs_of_names_are_those_that_the_names_tell(root, bones):
    _yaml(root, f"kpt_names: {{0: [left_hip, left_knee, tail]}}\nskeleton: {bones}\n")
    assert yolo_joints.skeleton(root / "data.yaml").bones == (("left_hip", "left_knee"),)


def test_built_in_joints_with_their_own_bones_stay_built_in(root):
    bones = [[b, a] for a, b in COCO17.bones[::-1]]
    _yaml(root, f"kpt_names: {{0: {list(COCO17.joints)}}}\nskeleton: {json.dumps(bones)}\n")
    assert yolo_joints.skeleton(root / "data.yaml") is COCO17


def test_a_bone_of_an_unknown_joint_is_refused(root):
    _yaml(root, "kpt_names: {0: [hip, tail]}\nskeleton: [[hip, toe]]\n")
    with pytest.raises(ValueError, match=r"data\.yaml: `skeleton` is wrong: .* no joint 'toe'"):
        yolo_joints.skeleton(root / "data.yaml")
