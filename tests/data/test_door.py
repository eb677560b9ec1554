import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from posegram.data import door


@pytest.fixture
def mat(tmp_path):
    path = tmp_path / "some.mat"
    scipy.io.savemat(path, {"joints": np.arange(999.0), "other": 1})
    return path


def test_the_variables_of_a_mat_file_are_read(mat):
    assert door.load_mat(mat)["joints"].shape == (999,)


def test_the_names_of_a_mat_file_are_read(mat):
    assert door.names_in_mat(mat) == {"joints", "other"}


@pytest.mark.parametrize("read", [door.load_mat, door.names_in_mat, door.load_json])
def test_a_missing_file_is_named(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.mat: no such file"):
        read(tmp_path / "gone.mat")


@pytest.mark.parametrize("kept", [0, 1, 100, 127, 130, 140, 500])
def test_a_mat_file_cut_anywhere_is_refused(mat, kept):
    mat.write_bytes(mat.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"some\.mat: not a readable MATLAB file"):
        door.load_mat(mat)


def test_a_text_is_no_mat_file(tmp_path):
    (tmp_path / "text.mat").write_text("these are words, " * 50)
    with pytest.raises(ValueError, match=r"text\.mat: not a readable MATLAB file"):
        door.load_mat(tmp_path / "text.mat")


def test_a_mat_file_of_version_7_3_says_how_to_save_it(tmp_path):
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(head + bytes(600))
    with pytest.raises(ValueError, match="save it again in MATLAB with the option -v7"):
        door.load_mat(tmp_path / "new.mat")


@pytest.mark.parametrize("content", [b'{"images": [', b"", b"\xff\xfe\x00"])
def test_a_broken_json_file_is_refused(tmp_path, content):
    (tmp_path / "cut.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"cut\.json: not a readable JSON file"):
        door.load_json(tmp_path / "cut.json")


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.json").write_text('{"a": "ä"}', encoding="utf-8-sig")
    assert door.load_json(tmp_path / "a.json") == {"a": "ä"}


def test_a_folder_is_no_json_file(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder, wanted a \.json file"):
        door.load_json(tmp_path)


@pytest.mark.parametrize("read", [door.load_mat, door.names_in_mat])
def test_a_folder_is_no_mat_file(read, tmp_path):
    with pytest.raises(ValueError, match=r"is a folder, wanted a \.mat file"):
        read(tmp_path)


def test_json_is_written_as_it_is_read(tmp_path):
    assert door.load_json(door.save_json(tmp_path / "new" / "a.json", {"a": [1, 2.5]})) == {
        "a": [1, 2.5]
    }


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = door.save_json(tmp_path / "a.json", "old")
    with pytest.raises(ValueError, match=r"cannot write .*a\.json: it would hold NaN or infinity"):
        door.save_json(path, float("nan"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert json.loads(path.read_text()) == "old"


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(OSError, match=r"^cannot write .*a\.json: "):
        door.save_json(tmp_path / "a.json", "new")


def test_pictures_are_looked_for_in_images_beside_the_file(tmp_path):
    (tmp_path / "images").mkdir()
    assert door.images_beside(tmp_path / "a.json") == tmp_path / "images"


def test_pictures_are_else_looked_for_beside_the_file(tmp_path):
    assert door.images_beside(tmp_path / "a.json") == tmp_path


@pytest.mark.parametrize(
    "place",
    ["images", "images/train2017", "train2017", "annotations/images/train2017", "annotations"],
)
def test_pictures_are_found_where_coco_has_them(tmp_path, place):
    path = tmp_path / "annotations" / "person_keypoints_train2017.json"
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "b.jpg").touch()
    assert door.images_beside(path, ["a.jpg", "b.jpg"]) == tmp_path / place


def test_pictures_are_found_beside_the_working_folder(tmp_path, monkeypatch):
    for name in ("annotations", "train2017"):
        (tmp_path / name).mkdir()
    (tmp_path / "train2017" / "a.jpg").touch()
    monkeypatch.chdir(tmp_path / "annotations")
    assert door.images_beside(Path("kp_train2017.json"), ["a.jpg"]) == Path("../train2017")


def test_names_of_pictures_decide_between_folders(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "a.jpg").touch()
    assert door.images_beside(tmp_path / "a.json", ["a.jpg"]) == tmp_path


def test_pictures_that_are_nowhere_are_said_to_be_in_the_usual_place(tmp_path):
    assert door.images_beside(tmp_path / "a.json", ["gone.jpg"]) == tmp_path


@pytest.mark.parametrize(
    ("files", "folder"),
    [
        (["a/b/1.png", "a/2.png"], "a"),
        (["a/1.png", "b/2.png"], "."),
        (["/x/a/1.png", "/x/2.png"], "/x"),
        (["/x/y/a/1.png", "b/2.png"], "/x/y"),
    ],
)
def test_files_have_a_common_folder_however_they_are_named(monkeypatch, files, folder):
    monkeypatch.setattr(Path, "absolute", lambda path: Path("/x/y") / path)  # of that folder
    assert door.common_folder([Path(file) for file in files]) == Path(folder)


@pytest.mark.parametrize(
    ("file", "folder", "name"),
    [
        ("a/1.png", "a", "1.png"),
        ("1.png", ".", "1.png"),
        ("a/1.png", "/x", "y/a/1.png"),
        ("/x/y/1.png", "/x", "y/1.png"),
        ("a/1.png", "/z", "/x/y/a/1.png"),
        ("/z/1.png", "/x", "/z/1.png"),
        ("/z/1.png", "a", "/z/1.png"),
    ],
)
def test_a_file_is_called_as_seen_from_a_folder(monkeypatch, file, folder, name):
    monkeypatch.setattr(Path, "absolute", lambda path: Path("/x/y") / path)
    assert door.within(Path(file), Path(folder)) == name


def test_a_picture_gives_its_height_and_width(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 9, 3), dtype=np.uint8))
    assert door.picture_size(tmp_path / "a.png") == (5, 9)


def test_what_is_no_picture_has_no_size(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    assert door.picture_size(tmp_path / "a.png") is None


def test_points_up_to_a_pixel_beyond_the_edge_are_inside():
    xy = np.array([[-1, 0], [10, 5], [-1.1, 0], [10.1, 5], [3, 5.1]], dtype=np.float32)
    assert door.inside(xy, (5, 10)).tolist() == [True, True, False, False, False]


def test_a_person_box_grows_by_6_percent_of_the_longer_side():
    xy = np.array([[10, 20], [60, 120], [999, 999]], dtype=np.float32)
    box = door.person_box(xy, np.array([True, True, False]))
    assert box.tolist() == [4, 14, 66, 126]


def test_a_box_of_width_and_height_becomes_corners():
    assert door.corners([1, 2, 3, 0]) == [1, 2, 4, 2]


@pytest.mark.parametrize("bbox", [[1, 2, 3], [1, 2, -3, 4], [1, 2, 3, -4], [np.nan, 2, 3, 4]])
def test_a_box_that_is_none_is_refused(bbox):
    with pytest.raises(ValueError, match="is not x, y, width, height"):
        door.corners(bbox)


def test_a_toml_file_that_is_missing_is_called_what_it_should_be(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no adapter file .*gone\.toml"):
        door.load_toml(tmp_path / "gone.toml", "adapter file")


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe\x00", b"a = 1\na = 2"])
def test_what_is_no_toml_is_named(tmp_path, content):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.toml is not TOML"):
        door.load_toml(tmp_path / "a.toml", "adapter file")


def test_a_new_file_may_be_written(tmp_path):
    (tmp_path / "a.json").touch()
    door.require_apart(tmp_path / "b.json", [tmp_path / "a.json", None, tmp_path / "gone"])


def test_a_file_that_is_read_is_not_written(tmp_path):
    (tmp_path / "a.json").touch()
    with pytest.raises(ValueError, match="what is read is never changed"):
        door.require_apart(tmp_path / "a.json", [tmp_path / "." / "a.json"])


def test_a_folder_is_no_file_to_write(tmp_path):
    with pytest.raises(ValueError, match="it is a folder"):
        door.require_apart(tmp_path, [])
