import cv2
import numpy as np
import pytest

from posegram.data.scenes import Scene, backgrounds, input_size

NOBODY = np.zeros((0, 4), dtype=np.float32)


def test_a_background_has_neither_people_nor_regions(tmp_path):
    for name in ("b10.png", "b9.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 6, 3), dtype=np.uint8))
    found = backgrounds(tmp_path)
    assert [s.image.name for s in found] == ["b9.png", "b10.png"]
    assert all(s.box.shape == s.ignore.shape == (0, 4) for s in found)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone"):
        backgrounds(tmp_path / "gone")


@pytest.mark.parametrize("shapes", [((4,), (0, 4)), ((0, 4), (2, 5))])
def test_boxes_of_another_shape_are_refused(tmp_path, shapes):
    box, ignore = (np.zeros(shape, dtype=np.float32) for shape in shapes)
    with pytest.raises(ValueError, match=r"a\.png: .* has shape .*, wanted \(N, 4\)"):
        Scene(tmp_path / "a.png", box, ignore)


@pytest.mark.parametrize(
    ("photo", "size"),
    [
        ((500, 500), (320, 320)),
        ((480, 640), (288, 384)),
        ((640, 480), (384, 288)),
        ((1080, 1920), (256, 416)),
        ((100, 4000), (32, 416)),
    ],
)
def test_the_input_takes_the_photos_aspect(photo, size):
    assert input_size(photo, (320, 320)) == size


@pytest.mark.parametrize("side", [64, 192, 320, 416])
def test_no_input_costs_much_more_than_the_square_one(side):
    for height in range(100, 1000, 90):
        found = input_size((height, 500), (side, side))
        assert found[0] * found[1] <= 1.1 * side**2
        assert [side % 32 for side in found] == [0, 0]
        assert max(found) <= 1.3 * side


def test_a_detector_of_the_smallest_size_still_has_an_input():
    assert input_size((480, 640), (32, 32)) == (32, 32)
