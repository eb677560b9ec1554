import numpy as np
import pytest

from figures import figure
from posegram import drawing
from posegram.pose import COCO17, LSP14, People, Skeleton

ONE = Skeleton("one", ("dot",))
PAIR = Skeleton("pair", ("left_hip", "right_hip"), (("left_hip", "right_hip"),))


def dots(*places, score=1.0, skeleton=ONE):
    """One person per place, each with that place for all joints."""
    n, k = len(places), len(skeleton)
    xy = np.repeat(np.array(places, np.float32).reshape(n, 1, 2), k, axis=1)
    return People(xy, np.full((n, k), score, np.float32), np.zeros((n, 4), np.float32), skeleton)


def grey(height=100, width=120):
    return np.full((height, width, 3), 128, dtype=np.uint8)


def painted(canvas):
    return (canvas != 128).any(axis=2)


def test_drawing_leaves_the_picture_alone():
    image, _ = figure(LSP14)
    before = image.copy()
    drawing.draw(image, dots((40, 50)))
    np.testing.assert_array_equal(image, before)


def test_a_picture_may_lie_in_memory_in_any_order():
    image, _ = figure(LSP14)
    turned = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)  # as torch has them
    person = dots((40, 50))
    np.testing.assert_array_equal(drawing.draw(turned, person), drawing.draw(image, person))


def test_nobody_changes_nothing():
    np.testing.assert_array_equal(drawing.draw(grey(), People.none(COCO17), boxes=True), grey())


def test_a_joint_is_drawn_around_its_place():
    rows, columns = np.nonzero(painted(drawing.draw(grey(), dots((40, 60)), radius=4)))
    assert (columns.mean(), rows.mean()) == pytest.approx((40, 60), abs=0.3)


def test_the_radius_is_in_pixels():
    wide = painted(drawing.draw(grey(), dots((40, 60)), radius=10)).any(axis=0).sum()
    assert 21 <= wide <= 31  # the rim included


def test_joints_under_the_threshold_are_hidden():
    drawn = drawing.draw(grey(), dots((40, 60), score=0.49), threshold=0.5)
    np.testing.assert_array_equal(drawn, grey())


def test_joints_at_the_threshold_are_shown():
    assert painted(drawing.draw(grey(), dots((40, 60), score=0.5), threshold=0.5)).any()


def test_an_unsure_joint_is_fainter_than_a_sure_one():
    change = [
        np.abs(drawing.draw(grey(), dots((40, 60), score=s)).astype(int) - 128).sum()
        for s in (0.3, 0.6, 1.0)
    ]
    assert change[0] < 0.7 * change[1] < 0.7 * change[2]


def test_a_threshold_of_one_shows_what_is_certain():
    assert painted(drawing.draw(grey(), dots((40, 60), score=1.0), threshold=1.0)).any()


def test_a_joint_that_is_not_a_number_is_left_out():
    drawn = drawing.draw(grey(), dots((np.nan, np.nan), score=1.0), boxes=True)
    assert not painted(drawn)[10:, 10:].any()


def two(score=(1.0, 1.0), skeleton=PAIR):
    xy = np.array([[[20, 50], [100, 50]]], dtype=np.float32)
    return People(xy, np.array([score], np.float32), np.zeros((1, 4), np.float32), skeleton)


def test_a_bone_is_drawn_between_its_joints():
    assert painted(drawing.draw(grey(), two()))[50, 60]


def test_a_bone_with_a_hidden_end_is_hidden():
    assert not painted(drawing.draw(grey(), two(score=(1.0, 0.1))))[50, 60]


def test_left_and_right_have_different_colours():
    drawn = drawing.draw(grey(), two()).astype(int)
    left, right = drawn[50, 20], drawn[50, 100]
    assert (left[2] > left[0] + 100, right[0] > right[2] + 100) == (True, True)


def test_a_dark_rim_sets_a_joint_off_from_a_light_picture():
    white = np.full((100, 120, 3), 255, np.uint8)
    assert drawing.draw(white, dots((40, 60)), radius=5).max(axis=2).min() < 80


def test_a_large_person_gets_larger_joints_than_a_small_one():
    large, small = two(), two()
    small.xy[0, 1] = (30, 50)
    canvas = np.full((400, 500, 3), 128, np.uint8)
    large.xy[0, 1] = (480, 50)
    tall = [painted(drawing.draw(canvas, who))[:, 20].sum() for who in (small, large)]
    assert tall[0] < tall[1]


def test_boxes_are_drawn_on_request():
    person = dots((40, 60))
    person.box[0] = (10, 20, 90, 80)
    assert painted(drawing.draw(grey(), person, boxes=True))[50, 10]


def test_boxes_are_not_drawn_unasked():
    person = dots((40, 60))
    person.box[0] = (10, 20, 90, 80)
    assert not painted(drawing.draw(grey(), person))[50, 10]


def test_joints_far_outside_the_picture_do_no_harm():
    far = dots((1e9, -1e9), (-500, 60), (40, 1e6))
    np.testing.assert_array_equal(drawing.draw(grey(), far), grey())


def test_a_bone_leaving_the_picture_is_drawn_to_the_border():
    people = two()
    people.xy[0, 1] = (4000, 50)
    assert painted(drawing.draw(grey(), people))[50, -1]


# sides


def middles(people, **style):
    """Colours at the joints of one person on grey, (K, 3)."""
    drawn = drawing.draw(grey(), people, **style)
    return [tuple(drawn[int(y), int(x)].tolist()) for x, y in people.xy[0]]


def four(skeleton):
    """One person with four sure joints in a square."""
    xy = np.float32([[[20, 20], [80, 20], [20, 80], [80, 80]]])
    box = np.float32([[15, 15, 85, 85]])
    return People(xy, np.ones((1, 4), np.float32), box, skeleton)


FEET = Skeleton("feet", ("toe_a", "toe_b", "tail", "nose"), mirror=(("toe_a", "toe_b"),))


def test_the_mirror_pairs_of_any_skeleton_tell_left_from_right():
    named = Skeleton("n", ("left_a", "right_a", "b", "c"), mirror=(("left_a", "right_a"),))
    assert middles(four(FEET)) == middles(four(named))


def test_a_pair_that_stands_the_other_way_round_goes_by_its_names():
    turned = Skeleton("t", ("left_a", "right_a", "b", "c"), mirror=(("right_a", "left_a"),))
    assert middles(four(turned)) == middles(four(FEET))


def test_joints_without_a_twin_have_the_same_third_colour():
    left, right, tail, nose = middles(four(FEET))
    assert tail == nose
    assert len({left, right, tail}) == 3


@pytest.mark.parametrize(("ends", "like"), [((0, 2), 0), ((1, 2), 1), ((2, 3), 2), ((0, 1), 2)])
def test_a_bone_has_its_sides_colour(ends, like):
    names = [FEET.joints[end] for end in ends]
    people = four(Skeleton("bone", FEET.joints, (tuple(names),), FEET.mirror))
    x, y = people.xy[0, list(ends)].mean(axis=0).astype(int)
    drawn = drawing.draw(grey(), people, radius=6)
    assert tuple(drawn[y, x].tolist()) == middles(people)[like]


# other colours


def test_people_may_have_a_colour_each():
    first, second = (
        middles(People(p.xy, p.score, p.box, FEET, np.array([n])), colour="person")[3]
        for n, p in enumerate([four(FEET)] * 2)
    )
    assert (first, second) == (drawing.person_colour(0), drawing.person_colour(1))


def test_a_track_keeps_its_colour_wherever_it_stands():
    one, other = four(FEET), four(FEET)
    both = People(
        np.concatenate([other.xy + 200, one.xy]),
        np.concatenate([other.score, one.score]),
        np.concatenate([other.box, one.box]),
        FEET,
        np.array([3, 8]),
    )
    alone = drawing.draw(grey(), both[[1]], colour="person", tracks=False)
    np.testing.assert_array_equal(drawing.draw(grey(), both, colour="person", tracks=False), alone)


def test_left_and_right_differ_in_a_persons_colour_too():
    left, right, *_ = middles(four(FEET), colour="person")
    assert sum(left) > sum(right) + 100


def test_scores_go_from_red_to_blue():
    people = four(FEET)
    people.score[0] = (0.3, 0.65, 0.99, 1.0)
    low, middle, _, high = middles(people, colour="score")
    assert low[0] > low[2] + 100
    assert high[2] > high[0] + 100
    assert min(middle[:2]) > middle[2] + 50


def test_a_score_is_shown_by_colour_and_not_by_opacity():
    people = four(FEET)
    people.score[:] = 0.3
    black = np.zeros((100, 120, 3), np.uint8)
    white = np.full((100, 120, 3), 255, np.uint8)
    x, y = people.xy[0, 0].astype(int)
    seen = [drawing.draw(c, people, colour="score")[y, x].tolist() for c in (black, white)]
    assert seen[0] == seen[1]


# backgrounds


@pytest.mark.parametrize(("background", "value"), [("black", 0), ("white", 255)])
def test_skeletons_may_be_drawn_alone(background, value):
    drawn = drawing.draw(grey(), four(FEET), background=background)
    assert (drawn.shape, drawn[50, 110].tolist()) == ((100, 120, 3), [value] * 3)


def test_the_photo_may_stand_left_of_the_drawing():
    drawn = drawing.draw(grey(), four(FEET), background="beside")
    np.testing.assert_array_equal(drawn[:, :120], grey())
    np.testing.assert_array_equal(drawn[:, 120:], drawing.draw(grey(), four(FEET)))


# words


def test_names_are_written_on_request():
    changed = drawing.draw(grey(), four(FEET), names=True) != drawing.draw(grey(), four(FEET))
    rows, columns = np.nonzero(changed.any(axis=2))
    assert columns.min() > 20
    assert 10 < rows.min() < 30


def test_a_hidden_joint_has_no_name():
    people = four(FEET)
    people.score[:] = 0.1
    np.testing.assert_array_equal(drawing.draw(grey(), people, names=True), grey())


def tracked(number=7, shift=(0, 0)):
    people = four(FEET)
    xy = people.xy + np.float32(shift)
    return People(xy, people.score, people.box, FEET, np.array([number]))


def test_the_track_stands_above_the_person():
    changed = drawing.draw(grey(), tracked()) != drawing.draw(grey(), tracked(), tracks=False)
    rows, _ = np.nonzero(changed.any(axis=2))
    assert rows.max() < 20


def test_a_still_has_no_track_to_write():
    people = four(FEET)
    still = drawing.draw(grey(), people, tracks=True)
    np.testing.assert_array_equal(still, drawing.draw(grey(), people, tracks=False))


def test_the_track_of_somebody_at_the_border_is_inside_the_picture():
    places = {}
    for shift in ((0, 0), (-19, -19), (39, 0)):
        with_track = drawing.draw(grey(), tracked(88, shift))
        changed = with_track != drawing.draw(grey(), tracked(88, shift), tracks=False)
        places[shift] = int(changed.any(axis=2).sum())
    assert min(places.values()) > 0.6 * max(places.values())


# sizes


def small(height):
    rng = np.random.default_rng(0)
    return drawing.draw(np.full((400, 400, 3), 255, np.uint8), standing(rng, height))


def standing(rng, height):
    _, xy = figure(COCO17, size=(max(height * 3 // 2, 8), 200), seed=1)
    score = np.ones((1, 17), np.float32)
    return People(xy.reshape(1, 17, 2), score, np.zeros((1, 4), np.float32), COCO17)


def test_a_tiny_person_is_not_hidden_by_dark_rims():
    dark = (small(20).max(axis=2) < 60).sum()
    assert dark == 0


def test_a_dark_rim_goes_all_along_a_bone():
    white = np.full((400, 500, 3), 255, np.uint8)
    people = two()
    people.xy[0] = (30, 300), (470, 100)
    drawn = drawing.draw(white, people)
    columns = drawn[:, 60:440].min(axis=2).min(axis=0)
    assert columns.max() < 120


# refusals


@pytest.mark.parametrize(
    ("style", "message"),
    [
        ({"colour": "rainbow"}, "no colour 'rainbow' to draw with; there are side, person, score"),
        ({"background": "green"}, "no background 'green' to draw with; there are photo, black"),
    ],
)
def test_a_value_that_no_option_has_is_refused(style, message):
    with pytest.raises(ValueError, match=message):
        drawing.draw(grey(), four(FEET), **style)


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="draw has no option 'box'; it has threshold, boxes"):
        drawing.draw(grey(), four(FEET), box=True)


def test_what_is_no_picture_is_refused():
    with pytest.raises(ValueError, match=r"a picture is \(H, W, 3\) uint8"):
        drawing.draw(np.zeros((5, 5), np.uint8), four(FEET))


def test_a_skeleton_without_bones_is_drawn():
    assert painted(drawing.draw(grey(), dots((40, 60)))).any()


def test_a_file_name_in_place_of_a_picture_is_one_sentence():
    with pytest.raises(
        ValueError, match=r"a picture is an array \(H, W, 3\) uint8, not str; posegram\.read"
    ):
        drawing.require_picture("a.jpg")
