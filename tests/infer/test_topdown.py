import numpy as np
import pytest

from posegram import coords
from posegram import image as pictures
from posegram.coords import whole
from posegram.infer.topdown import BATCH, TopDown
from posegram.pose import LSP14, Card, Skeleton

ONE = Skeleton("one", ("dot",))
CARD = Card(name="fake", kind="regression", skeleton=ONE, size=(60, 40), margin=1.5)


def middle(crops):
    """Answers the middle of every crop with an undecided logit."""
    return np.full((len(crops), 1, 2), 0.5, np.float32), np.zeros((len(crops), 1), np.float32)


def corner(crops):
    """Answers the outer top-left corner of every crop."""
    return np.zeros((len(crops), 1, 2), np.float32), np.zeros((len(crops), 1), np.float32)


def blank(height=120, width=200):
    return np.zeros((height, width, 3), dtype=np.uint8)


def test_the_middle_of_a_crop_is_the_middle_of_its_box():
    boxes = np.array([[10, 20, 50, 100], [90, 5, 190, 25]], dtype=np.float32)
    people = TopDown(CARD, middle)(blank(), boxes)
    np.testing.assert_allclose(people.xy[:, 0], [[30, 60], [140, 15]], atol=1e-3)


def test_people_come_in_the_order_of_their_boxes():
    boxes = np.random.default_rng(0).uniform(0, 50, (3 * BATCH + 2, 4)).astype(np.float32)
    boxes[:, 2:] += 50
    people = TopDown(CARD, middle)(blank(), boxes)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    np.testing.assert_allclose(people.xy[:, 0], centres, atol=1e-3)


def test_a_crowd_never_fills_more_than_one_batch_at_a_time():
    sizes = []
    TopDown(CARD, lambda crops: sizes.append(len(crops)) or middle(crops))(
        blank(), np.tile(np.float32([0, 0, 20, 20]), (2 * BATCH + 1, 1))
    )
    assert sizes == [BATCH, BATCH, 1]


def test_a_given_box_is_grown_by_the_cards_margin():
    box = np.array([[60, 30, 100, 90]], dtype=np.float32)  # of the crop's aspect
    people = TopDown(CARD, corner)(blank(), box)
    # the crop is 1.5 x as large: 60 x 90 pixels around (80, 60)
    np.testing.assert_allclose(people.xy[0, 0], [50, 15], atol=1e-3)


def test_without_a_box_the_whole_image_is_the_crop_with_no_margin():
    people = TopDown(CARD, corner)(blank(180, 120))  # of the crop's aspect
    np.testing.assert_allclose(people.xy[0, 0], [-0.5, -0.5], atol=1e-3)


def test_an_image_of_the_crops_size_reaches_the_network_unchanged():
    seen = []
    image = np.random.default_rng(0).integers(0, 255, (60, 40, 3), dtype=np.uint8)
    TopDown(CARD, lambda crops: seen.append(crops.copy()) or middle(crops))(image)
    np.testing.assert_array_equal(seen[0][0], image)


def test_the_whole_image_is_boxed_to_the_outer_edges_of_its_pixels():
    assert whole(blank(120, 200)).tolist() == [[-0.5, -0.5, 199.5, 119.5]]


class Finder:
    """A detector that finds one box in every image, with probability 0.8."""

    box = np.array([[10, 20, 50, 100]], dtype=np.float32)

    def __call__(self, image):
        return self.box

    def scored(self, image):
        return self.box, np.array([0.8], dtype=np.float32)


def test_a_detectors_boxes_are_used_when_none_are_given():
    people = TopDown(CARD, middle, detect=Finder())(blank())
    np.testing.assert_array_equal(people.box, Finder.box)


def test_of_boxes_that_hold_the_same_person_one_stays():
    class Twice(Finder):
        def scored(self, image):
            return np.repeat(self.box, 2, axis=0), np.array([0.8, 0.7], dtype=np.float32)

    assert len(TopDown(CARD, middle, detect=Twice())(blank())) == 1


def test_a_box_without_a_likely_joint_holds_nobody():
    class Doubtful(Finder):
        def scored(self, image):
            return self.box, np.array([0.1], dtype=np.float32)

    assert len(TopDown(CARD, middle, detect=Doubtful())(blank())) == 0


def test_given_boxes_are_used_before_the_detectors():
    people = TopDown(CARD, middle, detect=Finder())(blank(), Finder.box + 9)
    np.testing.assert_array_equal(people.box, Finder.box + 9)


def test_half_of_a_boxs_doubt_goes_to_the_joints():
    found, given = (TopDown(CARD, middle, detect=Finder())(blank(), b) for b in (None, Finder.box))
    np.testing.assert_allclose(found.score, given.score * np.sqrt(np.float32(0.8)))


def test_somebody_goes_whose_box_and_best_joint_are_both_unlikely():
    joint = TopDown(CARD, middle)(blank(), Finder.box).score.max()
    for least, count in ((0.79 * joint, len(Finder.box)), (0.81 * joint, 0)):
        assert len(TopDown(CARD, middle, detect=Finder(), least=least)(blank())) == count


@pytest.mark.parametrize("boxes", [[], np.zeros((0, 4), np.float32)])
def test_no_boxes_give_nobody_without_asking_the_network(boxes):
    def never(crops):
        raise AssertionError("asked")

    assert len(TopDown(CARD, never)(blank(), np.array(boxes))) == 0


def test_scores_go_through_the_cards_calibration():
    card = Card(**{**vars(CARD), "calibration": (2.0, -1.0)})
    people = TopDown(card, middle)(blank())
    np.testing.assert_allclose(people.score, 1 / (1 + np.exp(1)), rtol=1e-5)


def test_people_have_the_models_own_skeleton():
    assert TopDown(CARD, middle)(blank()).skeleton == ONE


def test_heatmaps_are_decoded_in_the_images_pixels():
    card = Card(name="fake", kind="heatmap", skeleton=ONE, size=(60, 40), margin=1.0)

    def peak(crops):
        heat = np.full((len(crops), 1, 15, 10), -50.0, np.float32)
        heat[:, :, 4, 7] = 50
        return (heat,)

    box = np.array([[-0.5, -0.5, 39.5, 59.5]], dtype=np.float32)
    people = TopDown(card, peak)(blank(), box)
    # cell (7, 4) of 4 x 4 pixels has its centre at 7.5 x 4 - 0.5, 4.5 x 4 - 0.5
    np.testing.assert_allclose(people.xy[0, 0], [29.5, 17.5], atol=1e-3)


def test_a_box_reaching_out_of_the_image_is_valid():
    box = np.array([[-50, -50, 30, 30]], dtype=np.float32)
    np.testing.assert_allclose(TopDown(CARD, middle)(blank(), box).xy[0, 0], [-10, -10], atol=1e-3)


def test_one_wrong_row_of_numbers_is_no_list_of_boxes():
    with pytest.raises(ValueError, match=r"boxes are \(N, 4\)"):
        TopDown(CARD, middle)(blank(), np.array([1.0, 2.0, 3.0, 4.0]))


@pytest.mark.parametrize("bad", [[0, 0, np.nan, 5], [5, 0, 0, 5], [0, 9, 5, 5]])
def test_a_box_that_is_not_finite_or_runs_backwards_is_refused(bad):
    with pytest.raises(ValueError, match="a box must be finite, with x0 <= x1"):
        TopDown(CARD, middle)(blank(), np.array([bad], dtype=np.float32))


@pytest.mark.parametrize(
    "image",
    [np.zeros((5, 5, 2), np.uint8), np.zeros((5, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8)],
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ValueError, match=r"a picture is \(H, W, 3\) uint8"):
        TopDown(CARD, middle)(image)


def test_a_turn_of_the_whole_path_ends_where_it_began():
    """What the network is shown at a place comes back at that place, in a 14-joint skeleton."""
    card = Card(name="fake", kind="regression", skeleton=LSP14, size=(64, 48))
    box = np.array([[20, 10, 90, 110]], dtype=np.float32)
    truth = np.random.default_rng(0).uniform(20, 100, (14, 2)).astype(np.float32)
    inside = coords.move(truth, coords.to_crop(box[0], card.size, margin=card.margin))
    share = (inside[None] + 0.5) / np.float32([48, 64])
    people = TopDown(card, lambda crops: (share, np.zeros((1, 14), np.float32)))(blank(), box)
    np.testing.assert_allclose(people.xy[0], truth, atol=1e-3)


def test_a_photo_may_be_given_by_its_path(tmp_path):
    pictures.write(tmp_path / "a.png", blank(30, 50))
    for photo in (tmp_path / "a.png", str(tmp_path / "a.png")):
        np.testing.assert_allclose(TopDown(CARD, middle)(photo).xy[0, 0], [24.5, 14.5])


def test_a_model_is_told_in_one_line():
    assert repr(TopDown(CARD, middle)) == "TopDown(fake, 40x60 pixels, detector: None)"
