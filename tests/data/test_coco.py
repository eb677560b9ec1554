import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from posegram.data import coco, door
from posegram.pose import COCO17, LSP14, MPII16, People, Sample
from posegram.scores import overall


def _person(**changes):
    joints = [value for n in range(17) for value in (10.0 + n, 20.0 + n, n % 3)]
    plain = {"id": 7, "image_id": 42, "category_id": 1, "iscrowd": 0, "area": 55.5}
    return plain | {"bbox": [5, 6, 30, 40], "keypoints": joints} | changes


def _file(tmp_path, *people, names=COCO17.joints, skeleton=()):
    whole = {
        "images": [{"id": 42, "file_name": "a.jpg"}],
        "annotations": list(people),
        "categories": [
            {"id": 1, "name": "person", "keypoints": list(names), "skeleton": list(skeleton)}
        ],
    }
    path = tmp_path / "people.json"
    path.write_text(json.dumps(whole))
    return path


def _named(tmp_path, names, skeleton=()):
    """The skeleton of a file whose category names these joints."""
    person = _person(keypoints=[1, 2, 2] * len(names))
    return coco.read(_file(tmp_path, person, names=names, skeleton=skeleton))[0].skeleton


def test_pixels_are_taken_as_they_are(tmp_path):
    xy = coco.read(_file(tmp_path, _person()))[0].xy
    np.testing.assert_array_equal(xy, [(10 + n, 20 + n) for n in range(17)])


def test_flags_are_taken_as_they_are(tmp_path):
    visible = coco.read(_file(tmp_path, _person()))[0].visible
    assert visible.tolist() == [n % 3 for n in range(17)]


def test_a_box_of_width_and_height_becomes_corners(tmp_path):
    assert coco.read(_file(tmp_path, _person()))[0].box.tolist() == [5, 6, 35, 46]


def test_the_area_is_kept(tmp_path):
    assert coco.read(_file(tmp_path, _person()))[0].area == 55.5


def test_a_person_without_a_box_is_boxed_by_the_labelled_joints(tmp_path):
    joints = [10, 20, 2, 60, 120, 1, *[0] * 45]
    sample = coco.read(_file(tmp_path, _person(bbox=None, keypoints=joints)))[0]
    assert sample.box.tolist() == [4, 14, 66, 126]


@pytest.mark.parametrize("change", [{"iscrowd": 1}, {"keypoints": [0] * 51}, {"keypoints": None}])
def test_crowds_and_people_without_joints_are_left_out(tmp_path, change):
    assert len(coco.read(_file(tmp_path, _person(), _person(**change)))) == 1


def test_images_are_looked_for_where_the_caller_says(tmp_path):
    found = coco.read(_file(tmp_path, _person()), tmp_path / "val")
    assert found[0].image == tmp_path / "val" / "a.jpg"


def test_images_are_found_in_the_layout_of_coco(tmp_path):
    for name in ("annotations", "train2017"):
        (tmp_path / name).mkdir()
    (tmp_path / "train2017" / "a.jpg").touch()
    path = tmp_path / "annotations" / "person_keypoints_train2017.json"
    _file(tmp_path, _person()).rename(path)
    assert coco.read(path)[0].image == tmp_path / "train2017" / "a.jpg"
    assert coco.read_scenes(path)[0].image == tmp_path / "train2017" / "a.jpg"


def test_names_written_otherwise_give_the_built_in_skeleton(tmp_path):
    names = [joint.replace("_", "-").capitalize() for joint in MPII16.joints]
    assert _named(tmp_path, names) is MPII16


def test_a_foreign_skeleton_finds_its_mirror_pairs_by_name(tmp_path):
    skeleton = _named(tmp_path, ["Head top", "medial_left_knee", "medial_right_knee", "l_toe"])
    assert skeleton.mirror == (("medial_left_knee", "medial_right_knee"),)


def test_a_foreign_skeleton_keeps_its_bones(tmp_path):
    assert _named(tmp_path, ["head", "belly"], [[1, 2]]).bones == (("head", "belly"),)


def test_bones_of_another_skeleton_are_replaced_by_known_ones(tmp_path):
    skeleton = _named(tmp_path, ["left_hip", "left_knee", "tail"], [[16, 14]])
    assert skeleton.bones == (("left_hip", "left_knee"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 43}, r"annotation 1 \(id 7\) names an unknown .* image 43 or category 43"),
        ({"category_id": 9}, r"annotation 1 \(id 7\) names an unknown .* image 9 or category 9"),
        ({"keypoints": [1, 2, 2]}, r"annotation 1 \(id 7\) is wrong: .* 3 numbers, wanted 51"),
        ({"keypoints": [1, 2, 3] * 17}, r"annotation 1 \(id 7\) is wrong: v is one of 0, 1, 2"),
        (
            {"keypoints": ["1", 1, 2] * 17},
            r"annotation 1 \(id 7\) is wrong: .* no flat list of num",
        ),
        (
            {"keypoints": [[1, 2, 2]] * 17},
            r"annotation 1 \(id 7\) is wrong: .* no flat list of num",
        ),
        ({"bbox": [1, 2, 3]}, r"annotation 1 \(id 7\) is wrong: `bbox` \[1, 2, 3\] is not x, y,"),
        ({"bbox": [1, 2, -3, 4]}, r"annotation 1 \(id 7\) is wrong: `bbox` .* is not x, y, width"),
        ({"bbox": [1, 2, 3, np.nan]}, r"annotation 1 \(id 7\) is wrong: `bbox` .* is not x, y,"),
        ({"keypoints": [np.nan, 1, 2] * 17}, r"annotation 1 \(id 7\) is wrong: `keypoints` holds"),
        ({"keypoints": [1e99, 1, 2] * 17}, r"annotation 1 \(id 7\) is wrong: `keypoints` holds"),
        ({"area": np.nan}, r"annotation 1 \(id 7\) is wrong: `area` nan is no number of square"),
        ({"area": -5}, r"annotation 1 \(id 7\) is wrong: `area` -5.0 is no number of square"),
        ({"keypoint_weights": [2] * 17}, r"annotation 1 \(id 7\) is wrong: `keypoint_weights` are"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=r"people\.json: " + message):
        coco.read(_file(tmp_path, _person(), _person(**change)))


@pytest.mark.parametrize("whole", ["[1, 2]", "{}", '{"annotations": [], "images": [{"id": 1}]}'])
def test_json_that_is_no_annotation_file_is_refused(tmp_path, whole):
    (tmp_path / "other.json").write_text(whole)
    with pytest.raises(ValueError, match=r"other\.json: "):
        coco.read(tmp_path / "other.json")


def _sample(image, **changes):
    rng = np.random.default_rng(1)
    fields = {
        "xy": rng.uniform(0, 90, (14, 2)).astype(np.float32),
        "visible": np.array([0, 1, 2, *[2] * 11], dtype=np.uint8),
        "box": np.array([1, 2, 90, 95.5], dtype=np.float32),
        "head": None,
        "area": 1234.5,
        "skeleton": LSP14,
    }
    return Sample(image=image, **(fields | changes))


def test_what_is_written_reads_back_the_same(tmp_path):
    before = _sample(tmp_path / "photos" / "b.jpg")
    path = coco.write(tmp_path / "out.json", [before])
    after = coco.read(path, tmp_path / "photos")[0]
    seen = before.visible > 0
    np.testing.assert_allclose(after.xy[seen], before.xy[seen], atol=1e-3)
    np.testing.assert_allclose(after.box, before.box, atol=1e-3)
    assert after.visible.tolist() == before.visible.tolist()
    assert (after.image, after.area, after.skeleton) == (before.image, 1234.5, LSP14)


def test_two_people_of_one_image_share_its_entry(tmp_path):
    path = coco.write(tmp_path / "o.json", [_sample(tmp_path / "b.jpg")] * 2)
    assert len(json.loads(path.read_text())["images"]) == 1


def test_an_image_named_by_a_number_keeps_it_as_its_id(tmp_path):
    path = coco.write(tmp_path / "o.json", [_sample(tmp_path / "000000000139.jpg")])
    assert json.loads(path.read_text())["annotations"][0]["image_id"] == 139


def test_images_of_one_name_in_two_folders_stay_apart(tmp_path):
    files = [tmp_path / "a" / "x.jpg", tmp_path / "b" / "x.jpg"]
    path = coco.write(tmp_path / "o.json", [_sample(f) for f in files])
    assert [s.image for s in coco.read(path, tmp_path)] == files


def test_images_named_from_here_and_from_the_root_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples = [_sample(Path("a/x.jpg")), _sample(tmp_path / "b" / "y.jpg")]
    whole = json.loads(coco.write(tmp_path / "o.json", samples).read_text())
    assert [one["file_name"] for one in whole["images"]] == ["a/x.jpg", "b/y.jpg"]


def test_the_size_of_a_picture_at_hand_is_written(tmp_path):
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((40, 50, 3), dtype=np.uint8))
    path = coco.write(tmp_path / "o.json", [_sample(tmp_path / "b.png")])
    entry = json.loads(path.read_text())["images"][0]
    assert (entry["height"], entry["width"]) == (40, 50)


def test_an_estimated_area_says_so(tmp_path):
    path = coco.write(tmp_path / "o.json", [_sample(tmp_path / "b.jpg", area=None)])
    entry = json.loads(path.read_text())["annotations"][0]
    assert entry["area_is_estimated"]
    assert entry["area"] == pytest.approx(0.53 * 89 * 93.5)


def test_people_may_be_called_otherwise(tmp_path):
    samples = coco.read(_file(tmp_path, _person()))
    whole = json.loads(coco.write(tmp_path / "b.json", samples, category="patient").read_text())
    assert whole["categories"][0]["name"] == "patient"


def test_nobody_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="nobody to write"):
        coco.write(tmp_path / "o.json", [])


def _people():
    xy = np.arange(68, dtype=np.float32).reshape(2, 17, 2)
    score = np.linspace(0, 1, 34, dtype=np.float32).reshape(2, 17)
    xy[1, 3], score[1, 3] = np.nan, 0
    return People(xy, score, np.zeros((2, 4), dtype=np.float32), COCO17)


def test_results_stand_in_the_order_of_the_people():
    entries = coco.results(5, _people())
    assert [(e["image_id"], e["keypoints"][0]) for e in entries] == [(5, 0), (5, 34)]


def test_an_absent_joint_of_a_result_is_three_zeros():
    assert coco.results(5, _people())[1]["keypoints"][9:12] == [0, 0, 0]


def test_the_score_of_a_result_is_that_of_the_present_joints():
    people = _people()
    wanted = overall(np.delete(people.score[1], 3))
    assert coco.results(5, people)[1]["score"] == pytest.approx(wanted, abs=1e-6)


def test_results_are_what_pycocotools_loads(tmp_path):
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO

    truth = COCO(str(_file(tmp_path, _person())))
    (tmp_path / "r.json").write_text(json.dumps(coco.results(42, _people())))
    assert len(truth.loadRes(str(tmp_path / "r.json")).anns) == 2


def test_the_shared_coco_part_has_391_people_in_141_images(shared):
    found = coco.read(shared / "data" / "coco" / "person_keypoints_train.json")
    images = {s.image for s in found}
    assert len(found) == 391
    assert len([i for i in images if i.exists()]) == 141


@pytest.mark.parametrize(
    ("name", "people", "joints", "pairs"),
    [
        ("aic/test_aic.json", 9, 14, 6),
        ("coco/test_coco.json", 12, 17, 8),
        ("coco/test_coco_wholebody.json", 12, 17, 8),
        ("crowdpose/test_crowdpose.json", 4, 14, 6),
        ("humanart/test_humanart.json", 4, 17, 8),
        ("jhmdb/test_jhmdb_sub1.json", 3, 15, 6),
        ("mhp/test_mhp.json", 4, 16, 6),
        ("mpii/test_mpii_trb.json", 5, 40, 19),
        ("ochuman/test_ochuman.json", 5, 17, 8),
        ("posetrack18/annotations/test_posetrack18_val.json", 14, 17, 7),
    ],
)
def test_samples_of_other_sets_are_read(shared, name, people, joints, pairs):
    found = coco.read(shared / "data" / "samples" / name)
    skeleton = found[0].skeleton
    assert (len(found), len(skeleton), len(skeleton.mirror)) == (people, joints, pairs)


# whole photos


def _scenes(tmp_path, boxes, *, photo=None, part="", **entry):
    """The scenes of a file with photos 1 and 2, of which the first has these boxes."""
    people = [{"id": n, "image_id": 1, "category_id": 1} | b for n, b in enumerate(boxes)]
    whole = {
        "images": [
            {"id": 1, "file_name": "a.jpg"} | (photo or {}),
            {"id": 2, "file_name": "b.jpg"},
        ],
        "annotations": people,
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    } | entry
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(whole))
    return coco.read_scenes(path, part=part)


def test_a_scene_holds_the_boxes_of_its_photo(tmp_path):
    first, second = _scenes(tmp_path, [{"bbox": [1, 2, 10, 20]}, {"bbox": [5, 5, 6, 7]}])
    assert first.box.tolist() == [[1, 2, 11, 22], [5, 5, 11, 12]]
    assert (second.image.name, second.box.shape, second.ignore.shape) == ("b.jpg", (0, 4), (0, 4))


def test_a_crowd_is_an_ignored_region(tmp_path):
    scene = _scenes(tmp_path, [{"bbox": [1, 2, 10, 20], "iscrowd": 1}])[0]
    assert (scene.box.tolist(), scene.ignore.tolist()) == ([], [[1, 2, 11, 22]])


def test_a_wrong_category_of_a_file_of_boxes_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"boxes\.json: an entry of `categories` is wrong"):
        _scenes(tmp_path, [{"bbox": [1, 2, 10, 20]}], categories=["person"])


def test_another_category_is_nobody(tmp_path):
    assert not len(_scenes(tmp_path, [{"bbox": [1, 2, 3, 4], "category_id": 2}])[0].box)


@pytest.mark.parametrize("how", [{"photo": {"all_people_listed": False}}, {"part": "partial"}])
def test_a_photo_with_people_unlisted_is_ignored_as_a_whole(tmp_path, how):
    scene = _scenes(tmp_path, [{"bbox": [1, 2, 3, 4]}], **how)[0]
    assert len(scene.box) == 1
    assert (scene.ignore[0, :2] < -1000).all()
    assert (scene.ignore[0, 2:] > 10_000).all()


@pytest.mark.parametrize(
    ("photo", "part", "names"),
    [
        ({"valid": True}, "train", ["b.jpg"]),
        ({"valid": True}, "valid", ["a.jpg"]),
        ({"valid": True}, "", ["a.jpg", "b.jpg"]),
        ({"near_duplicate": True}, "train", ["b.jpg"]),
        ({"near_duplicate": True, "valid": True}, "valid", []),
        ({"near_duplicate": True}, "", ["a.jpg", "b.jpg"]),
    ],
)
def test_a_part_goes_by_what_the_photos_say(tmp_path, photo, part, names):
    assert [s.image.name for s in _scenes(tmp_path, [], photo=photo, part=part)] == names


def test_an_unknown_part_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="no part 'test'; there are train, valid, partial"):
        _scenes(tmp_path, [], part="test")


@pytest.mark.parametrize(
    ("record", "fault"),
    [
        ({}, "annotation 0 lacks its 'bbox'"),
        ({"bbox": [1, 2, 3]}, "annotation 0 is wrong"),
        ({"bbox": [1, 2, 3, -4]}, r"annotation 0 is wrong: `bbox` \[1, 2, 3, -4\] is not x"),
        ({"bbox": "none"}, "annotation 0 is wrong"),
        ({"bbox": [1, 2, 3, 4], "image_id": 9}, "annotation 0 is wrong: it names image 9"),
    ],
)
def test_a_wrong_box_is_named(tmp_path, record, fault):
    with pytest.raises(ValueError, match=rf"boxes\.json: {fault}"):
        _scenes(tmp_path, [record])


def test_boxes_without_a_list_of_photos_are_refused(tmp_path):
    with pytest.raises(ValueError, match="has no list `images`"):
        _scenes(tmp_path, [], images=None)


def _with_images(path, *names):
    whole = json.loads(path.read_text())
    whole["images"] = [{"id": 42, "file_name": name} for name in names]
    path.write_text(json.dumps(whole))
    return path


def test_two_pictures_of_one_id_are_refused(tmp_path):
    path = _with_images(_file(tmp_path, _person()), "a.jpg", "b.jpg")
    with pytest.raises(ValueError, match=r"people\.json: .* both have the id 42"):
        coco.read(path)


def test_a_picture_listed_twice_is_one_picture(tmp_path):
    path = _with_images(_file(tmp_path, _person()), "a.jpg", "a.jpg")
    assert [s.image for s in coco.read(path)] == [tmp_path / "a.jpg"]


def test_a_file_name_from_windows_has_folders(tmp_path):
    path = _with_images(_file(tmp_path, _person()), "day 1\\ü.jpg")
    assert coco.read(path)[0].image == tmp_path / "day 1" / "ü.jpg"


def test_an_estimated_area_stays_one(tmp_path):
    first = coco.write(tmp_path / "o.json", [_sample(tmp_path / "b.jpg", area=None)])
    second = coco.write(tmp_path / "p.json", coco.read(first))
    entry = json.loads(second.read_text())["annotations"][0]
    assert (entry["area_is_estimated"], entry["area"]) == (True, pytest.approx(0.53 * 89 * 93.5))


def test_an_image_may_say_that_its_areas_are_estimated(tmp_path):
    path = _file(tmp_path, _person())
    whole = json.loads(path.read_text())
    whole["images"][0]["area_is_estimated"] = True
    path.write_text(json.dumps(whole))
    assert coco.read(path)[0].estimated


def test_a_known_area_is_no_estimate(tmp_path):
    assert not coco.read(_file(tmp_path, _person()))[0].estimated


@pytest.mark.parametrize("bbox", [[0, 0, 0, 0], [5, 6, 30, 0], [5, 6, 0, 40], None])
def test_a_box_of_no_size_becomes_that_of_the_joints(tmp_path, bbox):
    found = coco.read(_file(tmp_path, _person(bbox=bbox)))[0]
    np.testing.assert_allclose(found.box, door.person_box(found.xy, found.visible > 0))
