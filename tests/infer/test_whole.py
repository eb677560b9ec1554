import json

import numpy as np
import pytest

import figures
from posegram.data import coco
from posegram.infer.whole import found, renumbered
from posegram.pose import COCO17, LSP14, People

PHOTOS = [{"id": 7, "file_name": "b.jpg", "width": 8, "height": 6}]


def listed(folder, photos):
    (folder / "images.json").write_text(json.dumps(photos))
    return folder / "coco_results.json"


def truth(*names):
    return {"images": [{"id": n, "file_name": name} for n, name in enumerate(names, 1)]}


def test_whole_photos_are_looked_at_without_boxes(tmp_path):
    people = figures.samples(tmp_path / "images", 2, skeleton=COCO17)
    content = json.loads(coco.write(tmp_path / "truth.json", people).read_text())
    seen = []

    def estimate(image):
        seen.append(image.shape)
        return People.none(COCO17)

    assert found(estimate, content, tmp_path / "images", COCO17) == []
    assert len(seen) == 2


def test_people_found_are_results_in_the_joints_and_under_the_ids_of_the_labels(tmp_path):
    people = figures.samples(tmp_path / "images", 1, skeleton=COCO17)
    content = json.loads(coco.write(tmp_path / "truth.json", people).read_text())

    def estimate(image):
        score = np.ones((1, len(COCO17)), np.float32)
        return People(people[0].xy[None], score, people[0].box[None], COCO17)

    (one,) = found(estimate, content, tmp_path / "images", LSP14)
    assert one["image_id"] == content["images"][0]["id"]
    assert len(one["keypoints"]) == 3 * len(LSP14)


def test_results_without_a_list_of_photos_keep_their_ids(tmp_path):
    rows = [{"image_id": 7}]
    assert renumbered(tmp_path / "r.json", rows, truth("a.jpg")) == (rows, 0)


def test_photos_meet_by_their_names(tmp_path):
    path = listed(tmp_path, PHOTOS)
    rows = [{"image_id": 7, "score": 0.5}]
    wanted = [{"image_id": 2, "score": 0.5}]
    assert renumbered(path, rows, truth("a.jpg", "b.jpg")) == (wanted, 0)


def test_photos_of_one_name_meet_by_their_folders(tmp_path):
    path = listed(tmp_path, [{"id": 9, "file_name": "in/two/b.jpg"}])
    rows, left = renumbered(path, [{"image_id": 9}], truth("one/b.jpg", "two/b.jpg"))
    assert (rows, left) == ([{"image_id": 2}], 0)


def test_photos_that_may_be_several_are_refused(tmp_path):
    path = listed(tmp_path, [{"id": 9, "file_name": "b.jpg"}])
    with pytest.raises(ValueError, match=r"b\.jpg may be several images"):
        renumbered(path, [{"image_id": 9}], truth("one/b.jpg", "two/b.jpg"))


def test_people_of_photos_without_labels_are_left_out_and_counted(tmp_path):
    path = listed(tmp_path, [*PHOTOS, {"id": 8, "file_name": "new.jpg"}])
    rows = [{"image_id": 8}, {"image_id": 7}]
    assert renumbered(path, rows, truth("b.jpg")) == ([{"image_id": 1}], 1)


def test_a_list_of_other_photos_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none of its photos is one of the annotation file"):
        renumbered(listed(tmp_path, PHOTOS), [{"image_id": 7}], truth("a.jpg"))


def test_a_photo_of_another_size_is_refused(tmp_path):
    labels = {"images": [{"id": 1, "file_name": "b.jpg", "width": 16, "height": 12}]}
    with pytest.raises(ValueError, match=r"b\.jpg has 8x6 pixels, in the labels 16x12"):
        renumbered(listed(tmp_path, PHOTOS), [{"image_id": 7}], labels)


def test_a_result_of_a_photo_that_is_not_listed_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"image 5 is not listed in images\.json"):
        renumbered(listed(tmp_path, PHOTOS), [{"image_id": 5}], truth("b.jpg"))


@pytest.mark.parametrize("value", [{}, [], [1], [{"id": 1}], PHOTOS * 2])
def test_what_is_no_list_of_photos_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="is no list of photos"):
        renumbered(listed(tmp_path, value), [], truth("b.jpg"))
