import json

import numpy as np
import pytest

import figures
from posegram import image
from posegram.data import yolo
from posegram.pose import COCO17, LSP14, Sample, Skeleton
from posegram.train import Config
from posegram.train.rcnn_photos import (
    MOST,
    Photo,
    Photos,
    painted,
    people_of,
    pictures,
    plain,
    read,
    sets,
)

TRIANGLE = Skeleton("t", ("top", "left_foot", "right_foot"), (), (("left_foot", "right_foot"),))
NOWHERE = np.zeros((0, 4), dtype=np.float32)


def settings(**changes):
    small = {"network": "keypoint_rcnn18", "size": [60, 80], "scale": [1.0, 1.0], "flip": 0.0}
    calm = {"brightness": 0.0, "contrast": 0.0, "skeleton": "coco17"}
    return Config().override(small | calm | changes)


def person(file, box=(40, 20, 80, 100), visible=(2, 2, 2)):
    xy = np.array([[60, 30], [70, 90], [50, 90]], dtype=np.float32)
    corners = np.array(box, dtype=np.float32)
    return Sample(file, xy, np.array(visible, np.uint8), corners, None, None, TRIANGLE)


@pytest.fixture
def photo(tmp_path):
    """One person in a photo of 160x120 pixels, dark on the left, bright on the right."""
    picture = np.full((120, 160, 3), 40, dtype=np.uint8)
    picture[:, 80:] = 200
    image.write(tmp_path / "p.png", picture)
    return Photo(tmp_path / "p.png", (person(tmp_path / "p.png"),), NOWHERE)


def one(photo, training=False, **changes):
    return Photos([photo], TRIANGLE, settings(**changes), training=training)[0]


# reading


def labels(folder, annotations, images=({"id": 1, "file_name": "p.png"},)):
    category = {"id": 1, "name": "person", "keypoints": ["top", "left_foot", "right_foot"]}
    whole = {"images": list(images), "annotations": annotations, "categories": [category]}
    (folder / "labels.json").write_text(json.dumps(whole))
    return f"coco:{folder / 'labels.json'}"


def record(box, keypoints, **more):
    return {"image_id": 1, "category_id": 1, "bbox": box, "keypoints": keypoints, "id": 1} | more


SEEN = [60, 30, 2, 70, 90, 1, 0, 0, 0]


def test_people_without_joints_stay_people(tmp_path):
    spec = labels(tmp_path, [record([0, 0, 9, 9], SEEN), record([20, 0, 9, 9], [0] * 9)])
    (photo,) = read(spec)
    assert [sample.visible.tolist() for sample in photo.people] == [[2, 1, 0], []]
    assert photo.people[1].box.tolist() == [20, 0, 29, 9]


def test_pictures_may_lie_elsewhere(tmp_path):
    spec = labels(tmp_path, [record([0, 0, 9, 9], SEEN)])
    sides = sets(settings(train=[spec], valid=[spec], skeleton="data", images=str(tmp_path / "x")))
    assert [photo.image for side in sides for photo in side] == [tmp_path / "x" / "p.png"] * 2


def test_people_with_few_joints_stay_too(tmp_path):
    (photo,) = read(labels(tmp_path, [record([0, 0, 9, 9], [60, 30, 2, 0, 0, 0, 0, 0, 0])]))
    assert photo.people[0].visible.tolist() == [2, 0, 0]


def test_photos_of_nobody_are_read_as_such(tmp_path):
    both = ({"id": 1, "file_name": "p.png"}, {"id": 2, "file_name": "empty.png"})
    assert [len(p.people) for p in read(labels(tmp_path, [record([0, 0, 9, 9], SEEN)], both))] == [
        *(1, 0),
    ]


def test_crowds_are_regions_not_people(tmp_path):
    crowd = record([5, 5, 50, 50], [0] * 9, iscrowd=1)
    (photo,) = read(labels(tmp_path, [record([0, 0, 9, 9], SEEN), crowd]))
    assert len(photo.people) == 1
    assert photo.ignore.tolist() == [[5, 5, 55, 55]]


def test_a_photo_whose_people_are_not_all_listed_is_no_crowd(tmp_path):
    images = ({"id": 1, "file_name": "p.png", "all_people_listed": False},)
    (photo,) = read(labels(tmp_path, [record([0, 0, 9, 9], SEEN)], images))
    assert len(photo.ignore) == 0


def test_a_range_counts_photos(tmp_path):
    both = ({"id": 1, "file_name": "p.png"}, {"id": 2, "file_name": "empty.png"})
    spec = labels(tmp_path, [record([0, 0, 9, 9], SEEN)], both)
    assert [p.image.name for p in read(f"{spec}#2-2")] == ["empty.png"]


def test_a_path_may_have_a_sharp_of_its_own(tmp_path):
    folder = tmp_path / "a#b"
    folder.mkdir()
    spec = labels(folder, [record([0, 0, 9, 9], SEEN)])
    assert [p.image for p in read(f"{spec}#1-1")] == [folder / "p.png"]
    assert plain(settings(train=[f"{spec}#train"])).train == (spec,)


def test_people_of_other_data_sets_are_gathered_by_photo(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "posegram.data.read", lambda spec, images: [person(tmp_path / n) for n in ("a", "b", "a")]
    )
    assert [len(p.people) for p in read("lsp:somewhere")] == [2, 1]


def test_everybody_with_joints_is_told(photo):
    nobody = person(photo.image, visible=(0, 0, 0))
    assert people_of([Photo(photo.image, (nobody, *photo.people), NOWHERE)]) == [*photo.people]


def test_photos_to_validate_on_are_not_trained_on(tmp_path):
    rng = np.random.default_rng(0)
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(6)]
    for entry in images:
        noise = rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)
        image.write(tmp_path / entry["file_name"], noise)
    spec = labels(tmp_path, [record([0, 0, 9, 9], SEEN, image_id=n) for n in range(6)], images)
    train, valid = sets(settings(train=[spec], split=0.4, skeleton="data"))
    assert len(train) + len(valid) == 6
    assert not {p.image for p in train} & {p.image for p in valid}


def test_no_data_is_refused():
    with pytest.raises(ValueError, match="no data to train on; give train=coco:path"):
        sets(settings())


def test_data_without_joints_is_refused(tmp_path):
    spec = labels(tmp_path, [record([0, 0, 9, 9], [0] * 9)])
    with pytest.raises(ValueError, match="nobody with joints to train on in 1 photos"):
        sets(settings(train=[spec], valid=[spec]))


@pytest.fixture
def unnamed(tmp_path):
    """A YOLO set of 14 joints that are only counted."""
    out = yolo.write(tmp_path / "set", figures.samples(tmp_path / "t", 4))
    (out / "data.yaml").write_text("train: images\nkpt_shape: [14, 3]\n")
    return f"yolo:{out}"


@pytest.mark.parametrize("apart", [True, False])
def test_a_skeleton_file_of_as_many_names_joints_without_names(unnamed, tmp_path, apart):
    path = tmp_path / "mine.toml"
    path.write_text(f"joints = {list(LSP14.joints)}")
    held = {"valid": [unnamed]} if apart else {"split": 0.5}
    for side in sets(settings(train=[unnamed], skeleton=str(path), **held)):
        assert {s.skeleton.joints for s in people_of(side)} == {LSP14.joints}


@pytest.mark.parametrize("side", ["train", "valid"])
def test_people_without_a_joint_of_the_skeleton_are_refused(unnamed, tmp_path, side):
    spec = labels(tmp_path, [record([0, 0, 9, 9], SEEN)])
    path = tmp_path / "mine.toml"
    path.write_text('joints = ["top", "left_foot", "right_foot"]')
    given = {"train": [spec], "valid": [spec]} | {side: [unnamed]}
    with pytest.raises(ValueError, match=f"none of the 4 people to {side}.* has a labelled joint"):
        sets(settings(**given, skeleton=str(path)))


def test_a_doubt_about_left_and_right_is_told_before_training(tmp_path):
    spec = labels(tmp_path, [record([0, 0, 9, 9], SEEN)])
    whole = json.loads((tmp_path / "labels.json").read_text())
    whole["categories"][0]["keypoints"] = ["top", "left_foot", "beak"]
    (tmp_path / "labels.json").write_text(json.dumps(whole))
    with pytest.raises(ValueError, match="left/right twins is in doubt"):
        sets(settings(train=[spec], valid=[spec], skeleton="data", flip=0.5))


# pictures


def test_the_picture_is_the_photo_resized_into_a_corner(photo):
    found = one(photo)
    assert found["extent"].tolist() == [60, 80]
    assert found["crop"].shape == (80, 80, 3)
    assert found["crop"][30, 20].tolist() == [40] * 3
    assert found["crop"][30, 60].tolist() == [200] * 3


def test_labels_are_multiplied_like_the_photo(photo):
    found = one(photo)
    assert found["count"] == 1
    np.testing.assert_allclose(found["box"][0], [20, 10, 40, 50], rtol=1e-6)
    np.testing.assert_allclose(found["joints"][0, :, :2], [[30, 15], [35, 45], [25, 45]], rtol=1e-6)


def test_the_way_back_leads_to_photo_pixels(photo):
    found = one(photo)
    back = found["box"][0] * np.tile(found["back"], 2)
    np.testing.assert_allclose(back, photo.people[0].box, rtol=1e-5)


def test_a_joint_that_is_not_labelled_stays_so(photo):
    hidden = Photo(photo.image, (person(photo.image, visible=(2, 0, 1)),), NOWHERE)
    assert one(hidden)["joints"][0, :, 2].tolist() == [1, 0, 1]


def test_a_flip_mirrors_photo_boxes_and_joints_and_swaps_sides(photo):
    found = one(photo, training=True, flip=1.0)
    assert found["crop"][30, 20].tolist() == [200] * 3
    np.testing.assert_allclose(found["box"][0], [40, 10, 60, 50], rtol=1e-6)
    # top, then what was the right foot at 25 as the left one, then what was the left one at 35
    np.testing.assert_allclose(found["joints"][0, :, 0], [50, 55, 45], rtol=1e-6)


def test_flipping_twice_is_doing_nothing(photo):
    once = one(photo, training=True, flip=1.0)
    picture = once["crop"][: once["extent"][0], : once["extent"][1]]
    image.write(photo.image.with_name("q.png"), picture)
    xy = once["joints"][0, :, :2]
    flags = np.full(3, 2, np.uint8)
    again = Sample(photo.image.with_name("q.png"), xy, flags, once["box"][0], None, None, TRIANGLE)
    twice = one(Photo(again.image, (again,), NOWHERE), training=True, flip=1.0)
    np.testing.assert_allclose(twice["joints"], one(photo)["joints"], atol=1e-4)
    assert twice["crop"][30, 20].tolist() == [40] * 3


def test_zooming_in_shows_a_part_of_the_same_size(photo):
    found = one(photo, training=True, scale=[0.5, 0.5])
    assert found["extent"].tolist() == [60, 80]
    sides = found["box"][0, 2:] - found["box"][0, :2]
    assert found["count"] == 1
    np.testing.assert_allclose(sides[0], 40, rtol=1e-5)  # twice as wide as in the whole photo
    assert found["box"][0, 3] == 60  # and cut at the part's lower edge


def test_zooming_out_makes_the_picture_smaller(photo):
    found = one(photo, training=True, scale=[2.0, 2.0])
    assert found["extent"].tolist() == [30, 40]
    np.testing.assert_allclose(found["box"][0], [10, 5, 20, 25], rtol=1e-5)


def test_an_epoch_changes_the_picture_and_a_number_fixes_it(photo):
    photos = Photos([photo], TRIANGLE, settings(scale=[0.4, 0.9]), training=True)
    first = photos[0]["box"]
    np.testing.assert_array_equal(photos[0]["box"], first)
    photos.epoch = 1
    assert not np.array_equal(photos[0]["box"], first)


def test_people_too_thin_to_have_a_box_are_nobody(photo):
    thin = person(photo.image, box=(40, 20, 40, 100))
    assert one(Photo(photo.image, (thin,), NOWHERE))["count"] == 0


def test_a_person_beyond_the_photos_edge_is_cut(photo):
    wide = person(photo.image, box=(-40, 20, 60, 140))
    np.testing.assert_allclose(
        one(Photo(photo.image, (wide,), NOWHERE))["box"][0], [0, 10, 30, 60], rtol=1e-6
    )


def test_a_photo_of_nobody_is_a_picture_too(photo):
    assert one(Photo(photo.image, (), NOWHERE))["count"] == 0


def test_of_too_many_people_the_largest_stay(photo):
    many = [person(photo.image, box=(0, 0, 20 + n / 10, 100)) for n in range(MOST + 5)]
    found = one(Photo(photo.image, tuple(many), NOWHERE))
    assert found["count"] == MOST
    assert found["box"][:, 2].min() > 10.2


def test_crowds_are_painted_over_but_not_the_people_in_them(photo):
    crowd = Photo(photo.image, photo.people, np.array([[0, 0, 160, 120]], dtype=np.float32))
    grey = painted(image.read(photo.image), crowd)
    assert grey[5, 5].tolist() == [124, 116, 104]
    assert grey[50, 60].tolist() == [40] * 3


def test_the_joints_are_those_of_the_settings(photo, tmp_path):
    found = pictures([photo], settings(skeleton="lsp14"), training=False)
    assert found.skeleton == LSP14
    assert found[0]["joints"].shape == (MOST, 14, 3)
    assert pictures([photo], settings(), training=False).skeleton == COCO17


def test_people_of_one_box_stay_two_people(tmp_path):
    other = [*SEEN[:3], 71, 91, 2, 0, 0, 0]
    spec = labels(tmp_path, [record([0, 0, 9, 9], SEEN), record([0, 0, 9, 9], other)])
    (photo,) = read(spec)
    assert [sample.visible.tolist() for sample in photo.people] == [[2, 1, 0], [2, 2, 0]]
