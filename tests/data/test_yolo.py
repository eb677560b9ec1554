import cv2
import numpy as np
import pytest

from posegram.data import yolo
from posegram.pose import LSP14


@pytest.fixture
def photos(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((100, 200, 3), dtype=np.uint8))
    return tmp_path


def _label(folder, *lines):
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("\n".join(lines))


JOINTS = " ".join(f"{n / 20} 0.5 {n % 3}" for n in range(17))


def test_a_box_is_scaled_to_pixels(photos):
    _label(photos, "0 0.5 0.5 0.2 0.4")
    np.testing.assert_allclose(yolo.read(photos)[0].box, [80, 30, 120, 70], atol=1e-4)


def test_a_plain_box_has_no_labelled_joint(photos):
    _label(photos, "0 0.5 0.5 0.2 0.4")
    assert not yolo.read(photos)[0].visible.any()


def test_joints_are_scaled_to_pixels(photos):
    _label(photos, f"0 0.5 0.5 0.2 0.4 {JOINTS}")
    np.testing.assert_allclose(yolo.read(photos)[0].xy[5], [50, 50], atol=1e-4)


def test_flags_are_taken_as_they_are(photos):
    _label(photos, f"0 0.5 0.5 0.2 0.4 {JOINTS}")
    assert yolo.read(photos)[0].visible.tolist() == [n % 3 for n in range(17)]


def test_joints_without_flags_are_seen_unless_0_0(photos):
    _label(photos, "0 0.5 0.5 0.2 0.4 " + "0.5 0.5 " * 13 + "0 0")
    found = yolo.read(photos, skeleton=LSP14)[0]
    assert found.visible.tolist() == [2] * 13 + [0]


def test_other_classes_and_empty_lines_are_passed_over(photos):
    _label(photos, "3 0.5 0.5 0.2 0.4", "", "0 0.5 0.5 0.2 0.4")
    assert len(yolo.read(photos)) == 1


def test_labels_and_images_may_lie_in_folders_of_that_name(photos):
    (photos / "images").mkdir()
    (photos / "a.png").rename(photos / "images" / "a.png")
    _label(photos / "labels", "0 0.5 0.5 0.2 0.4")
    places = [yolo.read(p)[0].image for p in (photos, photos / "labels")]
    assert places == [photos / "images" / "a.png"] * 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.2", "line 2 is wrong: holds 4 numbers, wanted 5, 39 or 56"),
        ("0 a 0.5 0.2 0.4", "line 2 is wrong: could not convert"),
        ("0 0.5 0.5 0.2 0.4" + " 0.1 0.1 5" * 17, "line 2 is wrong: v is one of 0, 1, 2"),
        ("0 nan 0.5 0.2 0.4", "line 2 is wrong: holds 5 numbers"),
    ],
)
def test_a_wrong_line_is_named(photos, line, message):
    _label(photos, "0 0.5 0.5 0.2 0.4", line)
    with pytest.raises(ValueError, match=r"a\.txt: " + message):
        yolo.read(photos)


def test_a_folder_without_people_is_refused(photos):
    with pytest.raises(ValueError, match="holds no label file with a person"):
        yolo.read(photos)
