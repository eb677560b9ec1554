import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures import figure
from posegram import coords
from posegram.pose import LSP14

sizes = st.tuples(st.integers(16, 300), st.integers(16, 300))  # height, width
boxes = st.tuples(
    st.floats(-100, 900), st.floats(-100, 900), st.floats(4, 800), st.floats(4, 800)
).map(lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]], dtype=np.float32))
changes = st.builds(
    coords.Change,
    turn=st.floats(-180, 180),
    scale=st.floats(0.5, 2),
    shift=st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
    flip=st.booleans(),
)
seeds = st.integers(0, 2**32 - 1)


def points(seed, *, low, high, shape=(14, 2)):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


# from the image to a crop and back


@given(boxes, sizes, changes, seeds)
def test_into_the_crop_and_back_is_doing_nothing(box, size, change, seed):
    matrix = coords.to_crop(box, size, change=change)
    xy = points(seed, low=box[:2], high=box[2:])
    there_and_back = coords.move(coords.move(xy, matrix), coords.inverse(matrix))
    np.testing.assert_allclose(there_and_back, xy, atol=0.02)


@given(boxes, sizes)
def test_the_middle_of_the_box_is_the_middle_of_the_crop(box, size):
    centre = (box[None, :2] + box[None, 2:]) / 2
    found = coords.move(centre, coords.to_crop(box, size))
    np.testing.assert_allclose(found, [[(size[1] - 1) / 2, (size[0] - 1) / 2]], atol=0.02)


@given(boxes, sizes, st.floats(1.0, 2.0))
def test_the_whole_box_lies_in_the_crop(box, size, margin):
    corners = box.reshape(2, 2)
    found = coords.move(corners, coords.to_crop(box, size, margin=margin))
    assert (found >= -0.55).all()
    assert (found <= np.array([size[1], size[0]]) - 0.45).all()


def test_a_crop_is_larger_than_its_box_by_the_margin():
    box = np.array([100, 50, 140, 130], dtype=np.float32)  # 40 x 80
    matrix = coords.to_crop(box, (64, 32), margin=1.25)  # of the same aspect
    np.testing.assert_allclose(matrix[:, :2], np.eye(2) * 64 / 100, rtol=1e-6)


@pytest.mark.parametrize(("box", "zoom"), [([0, 0, 80, 10], 0.5), ([0, 0, 10, 80], 0.8)])
def test_a_box_is_grown_to_the_crops_aspect(box, zoom):
    matrix = coords.to_crop(np.array(box, np.float32), (64, 40), margin=1.0)
    assert matrix[0, 0] == pytest.approx(zoom)


def test_a_box_without_area_still_has_a_crop():
    assert np.isfinite(coords.to_crop(np.float32([5, 5, 5, 5]), (64, 48))).all()


def test_the_box_around_a_pictures_edges_gives_the_picture_itself():
    image, _ = figure(size=(64, 48))
    box = np.array([[-0.5, -0.5, 47.5, 63.5]], dtype=np.float32)
    crops, back = coords.crop(image, box, (64, 48), margin=1.0)
    np.testing.assert_array_equal(crops[0], image)
    np.testing.assert_allclose(back[0], [[1, 0, 0], [0, 1, 0]], atol=1e-5)


@given(boxes, sizes)
def test_a_flipped_crop_is_the_mirror_image_of_the_crop(box, size):
    xy = box.reshape(2, 2)
    plain = coords.move(xy, coords.to_crop(box, size))
    flipped = coords.move(xy, coords.to_crop(box, size, change=coords.Change(flip=True)))
    mirrored = plain * (-1, 1) + (size[1] - 1, 0)
    np.testing.assert_allclose(flipped, mirrored, atol=0.02)


def test_flipping_pixels_and_joints_agree():
    image, _ = figure(size=(64, 48))
    matrix = coords.to_crop(
        np.float32([-0.5, -0.5, 47.5, 63.5]), (64, 48), margin=1.0, change=coords.Change(flip=True)
    )
    np.testing.assert_array_equal(coords.warp(image, matrix, (64, 48)), image[:, ::-1])


def test_flipping_twice_is_doing_nothing():
    box = np.float32([-0.5, -0.5, 47.5, 63.5])  # of the crop's own size, so the zoom is 1
    flip = coords.to_crop(box, (64, 48), margin=1.0, change=coords.Change(flip=True))
    xy = points(0, low=0, high=47)
    np.testing.assert_allclose(coords.move(coords.move(xy, flip), flip), xy, atol=1e-4)


def test_a_turn_is_clockwise_in_the_picture():
    box = np.float32([0, 0, 100, 100])
    matrix = coords.to_crop(box, (100, 100), margin=1.0, change=coords.Change(turn=90))
    right_of_centre = coords.move(np.float32([[80, 50]]), matrix)
    np.testing.assert_allclose(right_of_centre, [[49.5, 79.5]], atol=1e-3)  # now below it


def test_a_scale_above_one_makes_the_person_smaller():
    box = np.float32([0, 0, 100, 100])
    matrix = coords.to_crop(box, (100, 100), margin=1.0, change=coords.Change(scale=2))
    assert matrix[0, 0] == pytest.approx(0.5)


def test_a_shift_moves_by_shares_of_the_crop():
    box = np.float32([0, 0, 100, 100])
    plain = coords.to_crop(box, (100, 60))
    moved = coords.to_crop(box, (100, 60), change=coords.Change(shift=(0.1, -0.2)))
    np.testing.assert_allclose(moved - plain, [[0, 0, 6], [0, 0, -20]], atol=1e-4)


def test_a_chain_does_one_matrix_after_the_other():
    xy = np.float32([[3, 5], [-2, 8]])
    first = np.float32([[0, -1, 4], [1, 0, 2]])
    second = np.float32([[2, 0, 0], [0, 3, -1]])
    both = coords.move(xy, coords.chain(first, second))
    np.testing.assert_allclose(both, coords.move(coords.move(xy, first), second))


def test_zooming_keeps_the_outer_edges_of_the_image():
    edges = np.float32([[-0.5, -0.5], [9.5, 4.5]])
    np.testing.assert_allclose(coords.move(edges, coords.zooming(0.5)), [[-0.5, -0.5], [4.5, 2.0]])


def test_people_are_moved_by_a_matrix_each():
    matrices = np.float32([[[1, 0, 5], [0, 1, 0]], [[2, 0, 0], [0, 2, 1]]])
    xy = np.float32([[[1, 1]], [[1, 1]]])
    assert coords.move(xy, matrices).tolist() == [[[6, 1]], [[2, 3]]]


def test_an_absent_joint_stays_absent():
    matrix = coords.to_crop(np.float32([0, 0, 50, 50]), (64, 64))
    assert np.isnan(coords.move(np.float32([[np.nan, np.nan]]), matrix)).all()


# pixels


@pytest.mark.parametrize("zoom", [0.11, 0.2, 0.26, 0.45, 0.7, 1.0, 2.0, 4.0])
def test_pixels_and_joints_go_to_the_same_place(zoom):
    """A soft spot at a known place is found where `move` says, whatever the zoom."""
    height = width = 400
    at = np.float32([[173.3, 221.6]])
    down, across = np.mgrid[:height, :width]
    spread = 3 / min(zoom, 1)
    spot = np.exp(-((across - at[0, 0]) ** 2 + (down - at[0, 1]) ** 2) / (2 * spread**2))
    image = np.repeat((spot * 255).astype(np.uint8)[..., None], 3, axis=2)
    side = 100 / zoom / 2
    box = np.float32([170 - side, 225 - side, 170 + side, 225 + side])
    crops, back = coords.crop(image, box[None], (100, 100), margin=1.0)
    weight = crops[0, ..., 0].astype(np.float64)
    rows, columns = np.mgrid[:100, :100]
    found = np.float32([[(weight * columns).sum(), (weight * rows).sum()]]) / weight.sum()
    np.testing.assert_allclose(coords.move(found, back[0]), at, atol=0.15 / min(zoom, 1))


@pytest.mark.parametrize("turn", [30, 90, -135])
def test_pixels_and_joints_of_a_turned_crop_go_to_the_same_place(turn):
    image = np.zeros((400, 400, 3), dtype=np.uint8)
    image[168:183, 298:313] = 255  # around (305, 175), far from the box's middle
    change = coords.Change(turn=turn)
    box = np.float32([100, 100, 340, 340])
    (crop,), _ = coords.crop(image, box[None], (100, 100), margin=1.0, change=change)
    weight = crop[..., 0].astype(np.float64)
    rows, columns = np.mgrid[:100, :100]
    found = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    matrix = coords.to_crop(box, (100, 100), margin=1.0, change=change)
    np.testing.assert_allclose(found, coords.move(np.float32([[305, 175]]), matrix)[0], atol=0.1)


@pytest.mark.parametrize("turn", [0, 45])
def test_strong_shrinking_averages_what_it_skips(turn):
    stripes = np.zeros((400, 400, 3), dtype=np.uint8)
    stripes[::2] = 200
    box, change = np.float32([[100, 100, 300, 300]]), coords.Change(turn=turn)
    crops, _ = coords.crop(stripes, box, (40, 40), margin=1.0, change=change)
    assert np.abs(crops.astype(int) - 100).max() <= 8


def test_outside_the_image_is_black():
    white = np.full((50, 50, 3), 255, dtype=np.uint8)
    crops, _ = coords.crop(white, np.float32([[200, 200, 250, 250]]), (32, 32))
    assert not crops.any()


@given(boxes, st.sampled_from([(30, 40), (5, 300), (300, 5), (1, 1)]))
def test_every_box_gives_a_crop(box, shape):
    image = np.full((*shape, 3), 255, dtype=np.uint8)
    crops, back = coords.crop(image, box[None], (32, 24))
    assert (crops.shape, back.shape) == ((1, 32, 24, 3), (1, 2, 3))


def test_the_shrunk_path_agrees_with_exact_area_averaging():
    image, _ = figure(size=(400, 400), seed=3)
    crops, _ = coords.crop(image, np.float32([[-0.5, -0.5, 399.5, 399.5]]), (100, 100), margin=1.0)
    exact = cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA)
    assert np.abs(crops[0].astype(int) - exact).mean() < 3


def test_no_boxes_give_no_crops():
    crops, back = coords.crop(figure()[0], np.zeros((0, 4), np.float32), (32, 24))
    assert (crops.shape, back.shape) == ((0, 32, 24, 3), (0, 2, 3))


# boxes


def test_bounds_hold_the_kept_points_only():
    xy = np.float32([[1, 5], [3, 2], [100, 100]])
    assert coords.bounds(xy, np.array([True, True, False])).tolist() == [1, 2, 3, 5]


def test_bounds_of_nothing_are_zero():
    assert coords.bounds(np.zeros((3, 2), np.float32), np.zeros(3, bool)).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("box", "area"), [([1, 2, 4, 6], 12), ([4, 2, 1, 6], 0)])
def test_the_area_is_width_times_height(box, area):
    assert coords.area_of(np.float32(box)) == area


# targets and back


@given(sizes, seeds)
def test_regression_is_decoded_to_the_pixels_of_its_shares(size, seed):
    xy = points(seed, low=0, high=(size[1], size[0]), shape=(2, 14, 2))
    share = (xy + 0.5) / np.float32([size[1], size[0]])
    found, logit = coords.decode((share, np.zeros((2, 14), np.float32)), "regression", size)
    np.testing.assert_allclose(found, xy, atol=1e-3)
    assert not logit.any()


def test_regression_shares_run_from_edge_to_edge():
    edges = np.float32([[-0.5, -0.5], [39.5, 59.5]])
    share, logit = np.float32([[[0, 0], [1, 1]]]), np.zeros((1, 2), np.float32)
    assert coords.decode((share, logit), "regression", (60, 40))[0].tolist() == [edges.tolist()]


@given(
    st.sampled_from([((256, 192), (64, 48)), ((224, 224), (28, 28)), ((64, 48), (64, 48))]), seeds
)
def test_heatmaps_encoded_then_decoded_are_nearly_doing_nothing(shapes, seed):
    size, cells = shapes
    stride = size[0] / cells[0]
    # away from the border, where the Gaussian is cut on one side
    room = 7 * stride
    xy = points(seed, low=room, high=(size[1] - room, size[0] - room), shape=(2, 14, 2))
    down, across = coords.encode_heatmap(xy, size, cells)
    target = down[..., :, None] * across[..., None, :]
    raw = (np.log(np.maximum(target, 1e-30)).astype(np.float32),)
    found, _ = coords.decode(raw, "heatmap", size)
    np.testing.assert_allclose(found, xy, atol=0.02 * stride)


def test_a_heatmap_target_sums_to_one():
    down, across = coords.encode_heatmap(np.float32([[10, 100]]), (256, 192), (64, 48))
    assert (down.sum(), across.sum()) == pytest.approx((1, 1))


def test_a_heatmap_target_peaks_in_the_joints_cell():
    down, across = coords.encode_heatmap(np.float32([[10, 100]]), (256, 192), (64, 48))
    assert (down.argmax(), across.argmax()) == (25, 2)  # pixels 100..103 and 8..11


def test_the_cells_of_a_heatmap_need_not_be_square():
    down, across = coords.encode_heatmap(np.float32([[10, 100]]), (256, 192), (32, 48))
    assert (down.argmax(), across.argmax()) == (12, 2)  # pixels 96..103 and 8..11


@pytest.mark.parametrize("at", [[-1, 100], [192, 100], [10, -1], [10, 256]])
def test_a_joint_outside_the_crop_has_no_heatmap(at):
    down, across = coords.encode_heatmap(np.float32([at]), (256, 192), (64, 48))
    assert not down.any()
    assert not across.any()


def test_an_absent_joint_has_no_heatmap():
    down, across = coords.encode_heatmap(np.float32([[np.nan, np.nan]]), (256, 192), (64, 48))
    assert (down.sum(), across.sum()) == (0, 0)


@given(st.integers(0, 63), st.integers(0, 47))
def test_a_sharp_peak_anywhere_is_decoded_to_its_cells_centre(row, column):
    heat = np.full((1, 1, 64, 48), -40.0, np.float32)
    heat[0, 0, row, column] = 40
    found, _ = coords.decode((heat,), "heatmap", (256, 192))
    np.testing.assert_allclose(found[0, 0], [column * 4 + 1.5, row * 4 + 1.5], atol=1e-3)


def test_decoding_does_not_mind_what_is_added_to_all_cells():
    heat = np.random.default_rng(0).normal(0, 3, (2, 5, 16, 12)).astype(np.float32)
    plain, raised = (coords.decode((h,), "heatmap", (64, 48)) for h in (heat, heat + 100))
    np.testing.assert_allclose(plain[0], raised[0], atol=1e-2)


def test_one_sharp_peak_is_surer_than_two():
    heat = np.zeros((1, 2, 32, 32), np.float32)
    heat[0, :, 8, 8] = 20
    heat[0, 1, 24, 24] = 20
    _, logit = coords.decode((heat,), "heatmap", (128, 128))
    assert logit[0, 0] > logit[0, 1]


def test_no_crops_decode_to_nobody():
    xy, logit = coords.decode((np.zeros((0, 14, 16, 12), np.float32),), "heatmap", (64, 48))
    assert (xy.shape, logit.shape) == ((0, 14, 2), (0, 14))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="no decoding for outputs of kind 'rcnn'"):
        coords.decode((np.zeros((1, len(LSP14), 2), np.float32),), "rcnn", (64, 48))


# probabilities


def test_a_logit_of_zero_is_one_half():
    assert coords.probability(np.float32([0]), (1.0, 0.0)).tolist() == [0.5]


def test_slope_and_offset_are_applied_to_the_logit():
    found = coords.probability(np.float32([2.0]), (0.5, 1.0))
    assert found[0] == pytest.approx(1 / (1 + np.exp(-2)), rel=1e-6)


@given(st.lists(st.floats(-(2.0**99), 2.0**99, width=32), min_size=2, max_size=9))
def test_probabilities_stay_in_range_and_in_order(logits):
    found = coords.probability(np.sort(np.float32(logits)), (1.0, 0.0))
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) >= 0).all()


@given(sizes, st.integers(16, 800))
def test_a_photo_is_fitted_by_its_shorter_or_its_longer_side(photo, short):
    height, width = coords.fit_sides(photo, short, round(short * 5 / 3))
    assert 1 <= min(height, width) <= short
    assert max(height, width) <= round(short * 5 / 3)
    near = min(height, width) >= short - 1 or max(height, width) >= round(short * 5 / 3) - 1
    assert near


@pytest.mark.parametrize(("photo", "fitted"), [((2000, 1), (1333, 1)), ((1, 2000), (1, 1333))])
def test_the_narrowest_photo_keeps_a_pixel(photo, fitted):
    assert coords.fit_sides(photo, 800, 1333) == fitted


@pytest.mark.parametrize("times", [2, 3, 7])
def test_shrinking_averages_whole_numbers_of_pixels(monkeypatch, times):
    seen = []
    resize = cv2.resize
    monkeypatch.setattr(
        cv2,
        "resize",
        lambda image, size, **way: seen.append((image, size)) or resize(image, size, **way),
    )
    photo = np.zeros((501, 640, 3), dtype=np.uint8)
    box = np.float32([[100, 20, 100 + 96 * times, 20 + 128 * times]])
    coords.crop(photo, box, (128, 96), margin=1.1)
    ((part, size),) = seen
    assert part.shape[:2] == (size[1] * times, size[0] * times)
