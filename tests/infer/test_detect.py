import numpy as np
import pytest

from posegram.infer.detect import Detector, ranked
from posegram.infer.load import load
from posegram.pose import LSP14, Card, Skeleton

CARD = Card("fake", "detector", Skeleton("box", ()), (96, 96), margin=1.0)


def says(box, logit):
    """A network that answers these boxes and logits, whatever it sees."""
    answer = np.array(box, np.float32).reshape(1, -1, 4), np.array(logit, np.float32)[None]
    return lambda picture: answer


def blank(height=96, width=96):
    return np.zeros((height, width, 3), dtype=np.uint8)


def test_a_box_comes_back_in_the_images_pixels():
    # 288x288 is shown at a third: input pixel 10 is the middle of pixels 30, 31, 32
    found = Detector(CARD, says([10, 20, 40, 80], [5.0]))(blank(288, 288))
    np.testing.assert_allclose(found, [[31, 61, 121, 241]], atol=1e-3)


def test_boxes_come_by_falling_score():
    boxes = [[0, 0, 20, 20], [40, 40, 60, 60], [70, 70, 90, 90]]
    found, score = Detector(CARD, says(boxes, [1.0, 3.0, 2.0])).scored(blank())
    np.testing.assert_allclose(found[:, 0], [40, 70, 0], atol=1e-4)
    assert (np.diff(score) < 0).all()


def test_the_score_is_the_cards_calibrated_probability():
    card = Card("fake", "detector", CARD.skeleton, (96, 96), margin=1.0, calibration=(2.0, -1.0))
    _, score = Detector(card, says([0, 0, 20, 20], [1.5])).scored(blank())
    assert score[0] == pytest.approx(1 / (1 + np.exp(-2.0)))


@pytest.mark.parametrize(("threshold", "count"), [(0.3, 1), (0.2, 2), (0.9, 0)])
def test_unsure_boxes_are_left_out(threshold, count):
    boxes = [[0, 0, 20, 20], [40, 40, 60, 60]]
    network = says(boxes, [1.0, -1.0])  # 73 and 27 %
    assert Detector(CARD, network, threshold=threshold)(blank()).shape == (count, 4)


def test_the_better_of_two_doubles_stays():
    found = Detector(CARD, says([[0, 0, 20, 20], [0, 0, 20, 22]], [1.0, 2.0]))(blank())
    np.testing.assert_allclose(found, [[0, 0, 20, 22]], atol=1e-4)


def test_boxes_end_at_the_images_edges():
    found = Detector(CARD, says([-30, -30, 120, 50], [5.0]))(blank())
    np.testing.assert_allclose(found, [[-0.5, -0.5, 95.5, 50]], atol=1e-4)


@pytest.mark.parametrize(
    ("photo", "size"), [((96, 96), (96, 96)), ((120, 300), (64, 96)), ((3000, 10), (96, 32))]
)
def test_the_network_sees_the_photo_in_its_own_aspect(photo, size):
    shapes = []

    def network(picture):
        shapes.append(picture.shape)
        return says([], [])(picture)

    assert Detector(CARD, network)(blank(*photo)).shape == (0, 4)
    assert shapes == [(1, *size, 3)]


@pytest.mark.parametrize(
    ("box", "sure", "closer", "sides"),
    [
        ([0, 0, 10, 20], 1.0, True, [96, 160]),  # a fiftieth of the photo
        ([0, 0, 30, 60], 1.0, True, [96]),
        ([0, 0, 10, 20], -0.6, True, [96]),  # 35 %: perhaps nobody
        ([0, 0, 10, 20], 1.0, False, [96]),
    ],
)
def test_small_people_are_looked_at_closer(box, sure, closer, sides):
    seen = []

    def network(picture):
        seen.append(picture.shape[1])
        return says(box, [sure])(picture)

    Detector(CARD, network, closer=closer)(blank())
    assert seen == sides


def test_the_closer_look_is_the_one_that_counts():
    def network(picture):
        side = picture.shape[1] / 8
        return says([0, 0, side, side], [1.0 if side < 16 else 3.0])(picture)

    found, score = Detector(CARD, network).scored(blank())
    np.testing.assert_allclose(found, [[-0.2, -0.2, 11.8, 11.8]], atol=0.01)
    assert score[0] == pytest.approx(1 / (1 + np.exp(-3.0)))


def test_who_is_large_keeps_the_first_looks_box():
    def network(picture):
        small, large = picture.shape[1] / 8, picture.shape[1] / 2
        wide = large + (20 if picture.shape[1] > 96 else 0)
        people = [
            [0, 0, small, small],
            [0, 60, small, 60 + small],
            [large, large, wide + large - 9, 95],
        ]
        return says(people, [3.0, 2.0, 1.0])(picture)

    found = Detector(CARD, network)(blank())
    np.testing.assert_allclose(found[2], [48, 48, 87, 95], atol=1e-3)


def test_another_kind_of_network_is_no_detector():
    with pytest.raises(ValueError, match="pose is a heatmap network, not a detector"):
        Detector(Card("pose", "heatmap", LSP14, (96, 96)), says([], []))


def test_ranked_keeps_also_who_is_unlikely():
    estimate = load()
    found = ranked(estimate)
    assert found.detect.threshold < estimate.detect.threshold
    assert found.least < estimate.least


def test_ranked_leaves_an_estimate_without_our_detector_as_it_is():
    estimate = load(detector="none")
    assert ranked(estimate) is estimate


def test_who_is_large_in_the_closer_look_alone_is_not_lost():
    def network(picture):
        zoom = picture.shape[1] / 96
        wide = 30 if zoom == 1 else 31  # of 96 pixels, 30 high: just below and above a tenth
        people = np.array([[0, 0, 9, 9], [0, 60, 9, 69], [0, 80, 9, 89], [50, 50, 50 + wide, 80]])
        return says(people * zoom, [3.0, 2.0, 2.0, 1.0])(picture)

    assert len(Detector(CARD, network)(blank())) == 4
