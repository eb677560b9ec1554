import numpy as np
import pytest

from posegram import heatmaps
from posegram.pose import BODY19, COCO17, LSP14, MPII16, Skeleton

# falloffs


def test_a_skeletons_own_falloffs_are_taken():
    own = Skeleton("own", ("nose", "tail"), sigmas=(0.5, 0.25))
    assert heatmaps.spreads(own).tolist() == [0.5, 0.25]


def test_joints_that_coco_knows_have_its_falloffs():
    row = COCO17.index("left_hip")
    assert heatmaps.spreads(BODY19)[BODY19.index("left_hip")] == np.float32(COCO17.sigmas[row])


@pytest.mark.parametrize("skeleton", [BODY19, COCO17, LSP14, MPII16])
def test_every_joint_has_a_falloff(skeleton):
    found = heatmaps.spreads(skeleton)
    assert found.shape == (len(skeleton),)
    assert (found > 0).all()


# a map's joint


def bell(at, spread, size=(64, 48)):
    """Logits of a Gaussian at (x, y) cells, (h, w)."""
    y, x = np.mgrid[: size[0], : size[1]]
    return (-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * spread**2)).astype(np.float32)


def place(*maps, spread=0.07):
    """Where the joint of one map, the logarithm of the sum of some, is."""
    heat = np.logaddexp.reduce(np.stack(maps))[None, None]
    return heatmaps.read(heat.astype(np.float32), np.float32([spread]))[0][0, 0]


@pytest.mark.parametrize("at", [(20, 30), (20.3, 30.6), (11.5, 40.5)])
def test_one_bell_is_found_between_cells(at):
    np.testing.assert_allclose(place(bell(at, 1.5)), at, atol=0.02)


@pytest.mark.parametrize("at", [(0, 0), (47, 63), (0, 33)])
def test_a_sharp_peak_at_the_edge_stays_there(at):
    np.testing.assert_allclose(place(bell(at, 0.2)), at, atol=0.02)


def test_the_higher_of_two_peaks_apart_wins():
    found = place(bell((10, 10), 1), bell((35, 50), 1) + 1)
    np.testing.assert_allclose(found, (35, 50), atol=0.05)


def test_down_and_across_are_read_alike():
    heat = np.logaddexp(bell((20, 30), 0.5, (56, 56)) + 1, bell((24, 31), 2.5, (56, 56)))
    np.testing.assert_allclose(place(heat.T), place(heat)[::-1], rtol=1e-5)


def test_a_peak_that_holds_half_of_the_probability_has_a_logit_of_zero():
    heat = np.logaddexp(bell((10, 10), 1) + 1e-3, bell((35, 50), 1))[None, None]
    assert heatmaps.read(heat.astype(np.float32))[1][0, 0] == pytest.approx(0, abs=0.01)


def test_a_flank_draws_a_joint_of_wide_falloff_further():
    # a sharp peak, and beside it a broad hill with more of the probability
    maps = bell((20, 30), 0.5) + 1, bell((24, 30), 2.5)
    exact, vague = (place(*maps, spread=s)[0] for s in (0.025, 0.107))
    assert 20 < exact < vague < 24


@pytest.mark.parametrize("spread", [0.03, 0.08, 0.1])
def test_expected_oks_is_higher_there_than_at_the_peak(spread):
    heat = np.logaddexp(bell((20, 30), 1) + 0.3, bell((23, 32), 2.5))
    y, x = np.mgrid[:64, :48]
    width = max(32 * spread, 1.5)

    def expected(at):
        kernel = np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * width**2))
        return float((np.exp(heat) * kernel).sum())

    found = heatmaps.read(heat[None, None].astype(np.float32), np.float32([spread]))[0][0, 0]
    assert expected(found) > expected((20, 30))


def test_maps_are_left_as_they_are():
    heat = bell((20, 30), 1.5)[None, None]
    before = heat.copy()
    heatmaps.read(heat)
    np.testing.assert_array_equal(heat, before)


def test_each_person_is_read_alone():
    rng = np.random.default_rng(1)
    heat = rng.normal(0, 3, (3, 5, 24, 18)).astype(np.float32)
    together = heatmaps.read(heat)
    alone = [heatmaps.read(heat[n : n + 1]) for n in range(3)]
    for n in range(2):
        np.testing.assert_allclose(together[n], np.concatenate([one[n] for one in alone]))


# maps laid over people's boxes (Keypoint R-CNN)


def bump(at, size=56):
    """A map (size, size) that is highest at (x, y), counted from the first cell's centre."""
    y, x = np.mgrid[:size, :size]
    return np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 18).astype(np.float32)


def torchvisions(maps, box):
    from posegram.models.vision_ops import torchvision_ready

    torchvision_ready()
    import torch
    from torchvision.models.detection.roi_heads import heatmaps_to_keypoints

    xy, height = heatmaps_to_keypoints(torch.from_numpy(maps), torch.from_numpy(box))
    return xy[..., :2].numpy(), height.numpy()


@pytest.mark.parametrize("seed", range(6))
def test_the_fine_way_is_torchvisions(seed):
    rng = np.random.default_rng(seed)
    maps = np.stack([[bump(rng.uniform(3, 52, 2)) for _ in range(3)] for _ in range(2)])
    corner = rng.uniform(0, 100, (2, 2))
    box = np.hstack([corner, corner + rng.uniform(0.3, 150, (2, 2))]).astype(np.float32)
    xy, height = heatmaps.over_boxes(maps, box)
    wanted, heights = torchvisions(maps, box)
    np.testing.assert_allclose(height, heights, atol=1e-4)
    # of two pixels as high, either may be taken
    assert np.abs(xy - wanted).max() <= 1.5


def test_the_cheap_way_finds_the_top_between_cells():
    box = np.array([[10, 20, 66, 132]], dtype=np.float32)
    xy, height = heatmaps.over_boxes(bump((20.3, 31.6))[None, None], box, fine=False)
    np.testing.assert_allclose(xy[0, 0], [10 + 20.8, 20 + 2 * 32.1], atol=0.1)
    assert height[0, 0] == pytest.approx(1, abs=0.05)


def test_the_cheap_way_finds_the_top_of_a_parabola():
    box, (y, x) = np.float32([[0, 0, 56, 56]]), np.mgrid[:56, :56]
    maps = -((x - 20.3) ** 2 + (y - 31.6) ** 2)[None, None]
    xy, _ = heatmaps.over_boxes(maps, box, fine=False)
    np.testing.assert_allclose(xy[0, 0], [20.8, 32.1], atol=1e-3)


def test_a_top_at_the_edge_of_a_map_stays_in_its_box():
    box = np.array([[10, 20, 66, 132]], dtype=np.float32)
    corner = np.zeros((1, 1, 56, 56), dtype=np.float32)
    corner[0, 0, 0, 55] = 1
    for fine in (True, False):
        x, y = heatmaps.over_boxes(corner, box, fine=fine)[0][0, 0]
        assert 64 < x <= 66
        assert 20 <= y < 23


def test_a_flat_map_has_a_place_too():
    box = np.array([[0, 0, 56, 56]], dtype=np.float32)
    xy, _ = heatmaps.over_boxes(np.zeros((1, 2, 56, 56), np.float32), box, fine=False)
    assert np.isfinite(xy).all()


def test_no_people_have_no_joints():
    xy, height = heatmaps.over_boxes(np.zeros((0, 17, 56, 56), np.float32), np.zeros((0, 4)))
    assert (xy.shape, height.shape) == ((0, 17, 2), (0, 17))
