import json

import cv2
import numpy as np
import pytest

import posegram
from posegram.data import coco, yolo
from posegram.pose import COCO17, LSP14, People


def _people(count=1, skeleton=COCO17):
    k = len(skeleton)
    xy = np.tile(np.arange(k, dtype=np.float32)[:, None], (count, 1, 2))
    box = np.tile(np.array([0, 0, 20, 20], dtype=np.float32), (count, 1))
    return People(xy, np.full((count, k), 0.9, dtype=np.float32), box, skeleton)


@pytest.fixture
def found(tmp_path):
    """People of two photos, the second without any."""
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((30, 40, 3), dtype=np.uint8))
    return {tmp_path / "a.png": _people(2), tmp_path / "b.png": _people(0)}


def test_the_suffix_says_the_form(found, tmp_path):
    path = posegram.save(tmp_path / "out.csv", found)
    assert path.read_text().startswith("image,frame,time,person,track,joint,x,y,score")


def test_json_has_every_photo(found, tmp_path):
    frames = json.loads(posegram.save(tmp_path / "out.json", found).read_text())["frames"]
    assert [len(frame["people"]) for frame in frames] == [2, 0]


def test_photos_may_be_named_by_text(found, tmp_path):
    named = {str(photo): people for photo, people in found.items()}
    assert posegram.save(str(tmp_path / "out.json"), named).is_file()


def test_annotations_read_back(found, tmp_path):
    path = posegram.save(tmp_path / "out.json", found, form="coco-annotations")
    assert [s.image.name for s in coco.read(path)] == ["a.png", "a.png"]


def test_labels_of_yolo_read_back(found, tmp_path):
    folder = posegram.save(tmp_path / "set", found, form="yolo")
    assert len(yolo.read(folder, tmp_path)) == 2


def test_results_of_coco_have_their_photos_beside_them(found, tmp_path):
    results = json.loads(posegram.save(tmp_path / "out.json", found, form="coco").read_text())
    listed = json.loads((tmp_path / "images.json").read_text())
    assert {r["image_id"] for r in results} == {
        shot["id"] for shot in listed if shot["file_name"] == "a.png"
    }


def test_an_unsure_joint_is_no_label(found, tmp_path):
    path = posegram.save(tmp_path / "o.json", found, form="coco-annotations", threshold=0.95)
    assert not coco.content(path)["annotations"][0]["num_keypoints"]


@pytest.mark.parametrize("name", ["out", "out.txt"])
def test_a_suffix_that_says_nothing_wants_a_form(found, tmp_path, name):
    with pytest.raises(ValueError, match=r"cannot write .*: say form=, one of json, coco"):
        posegram.save(tmp_path / name, found)


def test_no_photo_is_told(tmp_path):
    with pytest.raises(ValueError, match="there is no photo"):
        posegram.save(tmp_path / "out.csv", {})


def test_people_of_several_skeletons_are_refused(found, tmp_path):
    with pytest.raises(ValueError, match="people of several skeletons: convert them to one"):
        posegram.save(tmp_path / "out.csv", {**found, tmp_path / "c.png": _people(1, LSP14)})


def test_a_missing_photo_is_named_before_anything_is_written(found, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        posegram.save(tmp_path / "out.csv", {**found, tmp_path / "gone.png": _people()})
    assert not (tmp_path / "out.csv").exists()


def test_photos_of_one_name_are_told_apart(found, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), np.zeros((30, 40, 3), dtype=np.uint8))
    same = {tmp_path / name / "1.png": _people() for name in "ab"}
    path = posegram.save(tmp_path / "out.json", same, form="coco-annotations")
    assert [s.image.relative_to(tmp_path).as_posix() for s in coco.read(path)] == [
        "a/1.png",
        "b/1.png",
    ]
    posegram.save(tmp_path / "set", same, form="yolo")
    assert sorted(p.name for p in (tmp_path / "set" / "labels").iterdir()) == ["1.txt", "1_2.txt"]
