import json
from pathlib import Path

import numpy as np
import pytest

from posegram.infer.boxes import match, read_boxes, require_size


def note(number, image, bbox, **more):
    return {"id": number, "image_id": image, "category_id": 1, "bbox": bbox} | more


def write(folder, images, annotations):
    path = folder / "boxes.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


STREET = {"id": 7, "file_name": "street.jpg", "width": 640, "height": 480}
BEACH = {"id": 3, "file_name": "beach.jpg"}


def test_a_box_of_x_y_width_height_becomes_corners(tmp_path):
    (street,) = read_boxes(write(tmp_path, [STREET], [note(1, 7, [10.5, 20, 30, 40])]))
    assert street.box.tolist() == [[10.5, 20, 40.5, 60]]


def test_boxes_come_in_the_files_order_with_their_places(tmp_path):
    notes = [note(9, 7, [1, 1, 1, 1]), note(2, 3, [2, 2, 2, 2]), note(5, 7, [3, 3, 3, 3])]
    street, beach = read_boxes(write(tmp_path, [STREET, BEACH], notes))
    assert (street.places, beach.places, street.box[:, 0].tolist()) == ([0, 2], [1], [1, 3])


def test_crowds_and_people_without_joints_keep_their_boxes(tmp_path):
    notes = [note(1, 7, [1, 1, 1, 1], iscrowd=1), note(2, 7, [2, 2, 2, 2], num_keypoints=0)]
    (street,) = read_boxes(write(tmp_path, [STREET], notes))
    assert len(street.box) == 2


def test_of_people_alone_crowds_and_other_categories_have_none(tmp_path):
    notes = [
        note(1, 7, [1, 1, 1, 1], iscrowd=1),
        note(2, 7, [2, 2, 2, 2], category_id=5),
        note(3, 7, [3, 3, 3, 3]),
    ]
    path = write(tmp_path, [STREET], notes)
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"categories": [{"id": 1, "name": "person"}]}))
    (street,) = read_boxes(path, people=True)
    assert (street.places, street.categories) == ([2], [1])


def test_an_annotation_without_a_box_is_left_out(tmp_path):
    notes = [note(1, 7, None), {"id": 2, "image_id": 7}, note(3, 7, [1, 1, 1, 1])]
    (street,) = read_boxes(write(tmp_path, [STREET], notes))
    assert street.places == [2]


def test_an_image_without_people_has_no_boxes(tmp_path):
    (street,) = read_boxes(write(tmp_path, [STREET], []))
    assert street.box.shape == (0, 4)


def test_the_category_is_kept(tmp_path):
    (street,) = read_boxes(write(tmp_path, [STREET], [note(1, 7, [1, 1, 1, 1], category_id=4)]))
    assert street.categories == [4]


def test_the_size_is_height_and_width_where_the_file_says_it(tmp_path):
    street, beach = read_boxes(write(tmp_path, [STREET, BEACH], []))
    assert (street.size, beach.size) == ((480, 640), None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", r"boxes\.json: not a readable JSON file"),
        ('{"images": [', r"boxes\.json: not a readable JSON file"),
        ("[]", r"boxes\.json: holds no object"),
        ('{"annotations": []}', r"boxes\.json: has no list `images`"),
        ('{"images": []}', r"boxes\.json: has no list `annotations`"),
        ('{"images": [{"id": 1}], "annotations": []}', "image 0 is wrong: it lacks 'file_name'"),
        ('{"images": [{"file_name": "a"}], "annotations": []}', "image 0 is wrong: it lacks 'id'"),
        ('{"images": [{"id": 1, "file_name": ""}], "annotations": []}', "image 0 is wrong"),
        ('{"images": [3], "annotations": []}', "image 0 is wrong"),
        ('{"images": [], "annotations": [3]}', "annotation 0 is wrong"),
    ],
)
def test_a_file_that_is_no_annotation_file_is_refused(tmp_path, content, sentence):
    (tmp_path / "boxes.json").write_text(content)
    with pytest.raises(ValueError, match=sentence):
        read_boxes(tmp_path / "boxes.json")


@pytest.mark.parametrize(
    "bbox", [[1, 2, 3], [1, 2, -3, 4], [1, 2, float("nan"), 4], ["a", 2, 3, 4], 5]
)
def test_a_wrong_box_is_refused_with_its_record(tmp_path, bbox):
    path = write(tmp_path, [STREET], [note(1, 7, [1, 1, 1, 1]), note(2, 7, bbox)])
    with pytest.raises(ValueError, match=r"boxes\.json: annotation 1 is wrong"):
        read_boxes(path)


def test_two_images_of_one_id_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"image 1 is wrong: beach\.jpg and street\.jpg both"):
        read_boxes(write(tmp_path, [STREET, BEACH | {"id": 7}], []))


def test_a_box_of_an_unknown_image_is_refused_with_its_record(tmp_path):
    path = write(tmp_path, [STREET], [note(1, 8, [1, 1, 1, 1])])
    with pytest.raises(ValueError, match="annotation 0 is wrong: there is no image 8"):
        read_boxes(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        read_boxes(tmp_path / "gone.json")


def entries(folder, *names):
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    return read_boxes(write(folder, images, []))


def test_photos_are_matched_by_their_file_names(tmp_path):
    found = match([Path("x/b.jpg"), Path("y/a.jpg")], entries(tmp_path, "a.jpg", "b.jpg"))
    assert {photo.name: entry.name for photo, entry in found.items()} == {
        "a.jpg": "a.jpg",
        "b.jpg": "b.jpg",
    }


@pytest.mark.parametrize("name", ["train/a.jpg", "somewhere/else/a.jpg", "train\\a.jpg"])
def test_folders_in_the_file_need_not_exist_here(tmp_path, name):
    assert list(match([Path("x/a.jpg")], entries(tmp_path, name))) == [Path("x/a.jpg")]


def test_folders_decide_when_names_repeat(tmp_path):
    photos = [Path("data/val/a.jpg"), Path("data/train/a.jpg")]
    found = match(photos, entries(tmp_path, "train/a.jpg", "val/a.jpg"))
    assert [found[photo].name for photo in photos] == ["val/a.jpg", "train/a.jpg"]


def test_a_photo_that_the_file_does_not_list_has_no_entry(tmp_path):
    assert match([Path("c.jpg")], entries(tmp_path, "a.jpg")) == {}


def test_an_umlaut_in_two_characters_matches_one_in_one(tmp_path):
    assert len(match([Path("fu\u0308r.jpg")], entries(tmp_path, "f\u00fcr.jpg"))) == 1


def test_a_photo_that_fits_two_entries_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"may be either of train/a\.jpg \(id 0\) and val/a\.jpg"):
        match([Path("x/a.jpg")], entries(tmp_path, "train/a.jpg", "val/a.jpg"))


def test_two_photos_that_fit_one_entry_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x/a\.jpg and y/a\.jpg are both a\.jpg"):
        match([Path("x/a.jpg"), Path("y/a.jpg")], entries(tmp_path, "a.jpg"))


def test_boxes_are_numbers_of_the_house(tmp_path):
    (street,) = read_boxes(write(tmp_path, [STREET], [note(1, 7, [1, 2, 3, 4])]))
    assert street.box.dtype == np.float32


def test_a_photo_of_the_size_of_its_entry_is_taken():
    require_size(Path("a.jpg"), (480, 640), (480, 640))


def test_a_photo_of_any_size_is_taken_where_the_file_says_none():
    require_size(Path("a.jpg"), (4, 4), None)


def test_a_photo_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"a\.jpg is 48x64 pixels, .* given for 640x480"):
        require_size(Path("a.jpg"), (64, 48), (480, 640))
