import cv2
import numpy as np
import pytest

from posegram import data
from posegram.data import folder


@pytest.fixture
def photos(tmp_path):
    for name in ("b10.png", "b9.png", "A2.png", "b9b.png", ".hidden.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 6, 3), dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "album.png").mkdir()
    return tmp_path


def test_pictures_come_in_natural_order(photos):
    names = [p.name for p in folder.images_in(photos)]
    assert names == ["A2.png", "b9.png", "b9b.png", "b10.png"]


@pytest.fixture
def deep(photos):
    """The same with pictures in folders below it, one of them hidden."""
    for name in ("b9/deep/c.png", "b9/a.png", ".trash/old.png", "b9/x.psd"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).touch()
    return photos


def _below(root, found):
    return [p.relative_to(root).as_posix() for p in found]


def test_folders_below_stay_closed_unless_told(deep):
    assert len(folder.images_in(deep)) == 4


def test_folders_below_are_opened_in_natural_order(deep):
    names = _below(deep, folder.images_in(deep, recursive=True))
    assert names == ["A2.png", "b9/a.png", "b9/deep/c.png", "b9.png", "b9b.png", "b10.png"]


def test_what_is_passed_over_is_told(deep):
    assert _below(deep, folder.passed_over(deep)) == ["album.png", "b9", "notes.txt"]
    assert _below(deep, folder.passed_over(deep, recursive=True)) == ["b9/x.psd", "notes.txt"]


def test_a_folder_that_leads_back_to_itself_is_opened_once(deep):
    (deep / "b9" / "round").symlink_to(deep)
    assert len(folder.images_in(deep, recursive=True)) == 6


def test_a_link_to_nowhere_is_listed(photos):
    (photos / "b11.png").symlink_to(photos / "gone.png")
    assert folder.images_in(photos)[-1].name == "b11.png"


def test_the_box_is_the_whole_picture(photos):
    assert folder.read(photos)[0].box.tolist() == [-0.5, -0.5, 5.5, 3.5]


def test_nobody_has_a_labelled_joint(photos):
    assert not any(s.visible.any() for s in folder.read(photos))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        folder.images_in(tmp_path / "gone")


def test_a_file_is_no_folder(photos):
    with pytest.raises(ValueError, match=r"b9\.png: is a file, wanted a folder"):
        folder.images_in(photos / "b9.png")


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no picture"):
        folder.read(tmp_path)


def test_an_unreadable_picture_is_named(photos):
    (photos / "c.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"c\.png: is not a readable picture"):
        folder.read(photos)


def test_a_note_beside_photos_makes_no_yolo_set_of_them(photos):
    assert data.reader_of(str(photos)) == ("folder", photos)
    (photos / "b9.txt").write_text("0 0.5 0.5 1 1")
    assert data.reader_of(str(photos)) == ("yolo", photos)
