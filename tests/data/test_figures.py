import numpy as np
import pytest

import figures
from posegram import image
from posegram.pose import BODY19, COCO17, LSP14, MPII16, Skeleton

SKELETONS = pytest.mark.parametrize(
    "skeleton", [COCO17, BODY19, LSP14, MPII16], ids=lambda s: s.name
)


def at(picture, xy):
    """The colours (K, 3) under joints (K, 2)."""
    x, y = xy.round().astype(int).T
    return picture[y, x].astype(int)


def middle(xy, skeleton, bone):
    return xy[[skeleton.index(joint) for joint in bone]].mean(axis=0, keepdims=True)


@SKELETONS
@pytest.mark.parametrize("seed", range(5))
def test_joints_lie_on_painted_pixels(skeleton, seed):
    picture, xy = figures.figure(skeleton, seed=seed)
    ends = sorted({joint for bone in skeleton.bones for joint in bone})
    painted = at(picture, xy[0][[skeleton.index(j) for j in ends]])
    assert (np.abs(painted - picture[0, 0]).max(axis=1) > 20).all()


@SKELETONS
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bone", [("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle")])
def test_left_limbs_are_blue_and_right_limbs_red(skeleton, seed, bone):
    picture, xy = figures.figure(skeleton, seed=seed)
    left, right = (
        at(picture, middle(xy[0], skeleton, [f"{side}_{part}" for part in bone]))[0]
        for side in ("left", "right")
    )
    assert (left.argmax(), right.argmax()) == (2, 0)


def test_a_bone_between_the_sides_is_white():
    picture, xy = figures.figure()
    colour = at(picture, middle(xy[0], LSP14, ("left_hip", "right_hip")))[0]
    assert colour.min() > 200


@SKELETONS
def test_a_figure_is_seen_from_the_front(skeleton):
    _, xy = figures.figure(skeleton)
    for left, right in skeleton.mirror:
        assert xy[0, skeleton.index(left), 0] > xy[0, skeleton.index(right), 0]


@pytest.mark.parametrize("people", [0, 1, 3])
def test_a_picture_holds_as_many_people_as_wanted(people):
    picture, xy = figures.figure(people=people, size=(240, 600))
    assert (picture.shape, xy.shape) == ((240, 600, 3), (people, 14, 2))


@pytest.mark.parametrize("seed", range(8))
def test_a_figure_stands_inside_its_picture(seed):
    picture, xy = figures.figure(seed=seed)
    assert (xy > 0).all()
    assert (xy < picture.shape[1::-1]).all()


def test_the_same_seed_draws_the_same_figure():
    (one, here), (two, there) = figures.figure(seed=3), figures.figure(seed=3)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(here, there)


def test_another_seed_draws_another_figure():
    assert not np.array_equal(figures.figure(seed=3)[1], figures.figure(seed=4)[1])


def bent(freedom):
    """How far left wrists stray from their mean place over many figures, shares of the height."""
    chance = np.random.default_rng(0)
    poses = [figures.pose(LSP14, chance, height=1.0, freedom=freedom) for _ in range(100)]
    return float(np.std([p[LSP14.index("left_wrist")] for p in poses], axis=0).max())


def test_more_freedom_bends_the_limbs_more():
    assert bent(0.6) > 2 * bent(0.1)


def test_the_limbs_keep_their_lengths_when_bent():
    stiff, free = (
        figures.pose(LSP14, np.random.default_rng(0), height=1000, freedom=f) for f in (0.0, 0.8)
    )
    elbow, wrist = LSP14.index("left_elbow"), LSP14.index("left_wrist")
    long = [np.linalg.norm(xy[wrist] - xy[elbow]) for xy in (stiff, free)]
    assert long[0] == pytest.approx(long[1], abs=30)  # each joint trembles by 4 of 1000


def test_a_joint_that_no_stick_figure_has_is_named():
    with pytest.raises(ValueError, match="a stick figure has no tail"):
        figures.pose(Skeleton("cat", ("nose", "tail")), np.random.default_rng(0))


def test_samples_are_pictures_with_their_annotations(tmp_path):
    made = figures.samples(tmp_path / "new", 3)
    assert [s.image.name for s in made] == [f"figure000{n}.png" for n in range(3)]
    for sample in made:
        picture = image.read(sample.image)
        painted = at(picture, sample.xy)
        assert (np.abs(painted - picture[0, 0]).max(axis=1) > 20).all()


def test_the_box_of_a_sample_holds_all_its_joints(tmp_path):
    (sample,) = figures.samples(tmp_path, 1)
    assert (sample.xy >= sample.box[:2]).all()
    assert (sample.xy <= sample.box[2:]).all()


def test_every_joint_of_a_sample_is_seen(tmp_path):
    (sample,) = figures.samples(tmp_path, 1, skeleton=COCO17)
    assert sample.visible.tolist() == [2] * 17


def test_the_figures_of_a_set_differ(tmp_path):
    one, two = figures.samples(tmp_path, 2)
    assert not np.array_equal(one.xy, two.xy)
