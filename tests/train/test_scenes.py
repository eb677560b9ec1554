import json

import cv2
import numpy as np
import pytest

from posegram import coords, image
from posegram.data.scenes import Scene
from posegram.train import Config, scenes
from posegram.train.assign import IGNORED, PERSON
from posegram.train.scenes import Scenes, canvas_side, cut, read, sets

NOBODY = np.zeros((0, 4), dtype=np.float32)
PLAIN = {"brightness": 0.0, "contrast": 0.0, "colour": 0.0, "blur": 0.0, "flip": 0.0}


def boxed(*rows):
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def photo(path, box=(40, 30, 80, 90), *, size=(120, 160), colour=(250, 30, 30)):
    """A grey photo whose only person is a coloured block that fills its box."""
    picture = np.full((*size, 3), 90, dtype=np.uint8)
    x0, y0, x1, y1 = box
    picture[y0 : y1 + 1, x0 : x1 + 1] = colour
    image.write(path, picture)
    edges = boxed([x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5])
    return Scene(path, edges, NOBODY)


def settings(**changes):
    return Config().override({"size": [96, 96], "scale": [0.8, 1.2], "cache": "off"} | changes)


def people(one):
    """The boxes of the people in one picture, (N, 4)."""
    return one["box"][one["kind"] == PERSON]


def red(picture):
    """The box around the red block of a picture, (4,), at whole pixels."""
    found = (picture[..., 0].astype(int) - picture[..., 1]) > 80
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    return [columns[0] - 0.5, rows[0] - 0.5, columns[-1] + 0.5, rows[-1] + 0.5]


@pytest.fixture
def alone(monkeypatch):
    """Every training picture shows one photo."""
    monkeypatch.setattr(scenes, "_MOSAIC", 0.0)


@pytest.fixture
def mosaic(monkeypatch):
    """Every training picture shows four photos."""
    monkeypatch.setattr(scenes, "_MOSAIC", 1.0)


def coco_file(folder, **photos):
    """A file with photos of that name, each with a box unless it is None, and these entries."""
    whole = {"images": [], "annotations": []}
    for n, (name, entry) in enumerate(photos.items(), 1):
        whole["images"].append({"id": n, "file_name": f"{name}.png"} | (entry or {}))
        if entry is not None:
            whole["annotations"].append({"id": n, "image_id": n, "bbox": [1, 2, 30, 40]})
    folder.mkdir(exist_ok=True)
    (folder / "boxes.json").write_text(json.dumps(whole))
    return str(folder / "boxes.json")


def names(found):
    return [scene.image.stem for scene in found]


# which photos


def test_a_file_is_read_whole_or_in_part(tmp_path):
    path = coco_file(tmp_path, a={"valid": True}, b={}, c={})
    assert [names(read(path + part)) for part in ("", "#train", "#valid", "#2-3", "#3-")] == [
        ["a", "b", "c"],
        ["b", "c"],
        ["a"],
        ["b", "c"],
        ["c"],
    ]


def test_pictures_of_a_set_may_lie_elsewhere(tmp_path):
    both = [coco_file(tmp_path / folder, **{folder: {}}) for folder in ("a", "b")]
    config = {"train": both[:1], "valid": both[1:], "images": str(tmp_path / "photos")}
    sides = sets(Config().override(config))
    assert [scene.image.parent.name for side in sides for scene in side] == ["photos", "photos"]


def test_a_folder_holds_photos_of_nobody(tmp_path):
    for n in range(1, 4):
        photo(tmp_path / f"{n}.png")
    found = read(f"{tmp_path}#2-3")
    assert (names(found), sum(len(s.box) for s in found)) == (["2", "3"], 0)


def test_a_reader_may_be_named_as_for_other_networks(tmp_path):
    path = coco_file(tmp_path, a={}, b={"valid": True})
    assert names(read(f"coco:{path}#train")) == ["a"]
    (tmp_path / "empty").mkdir()
    photo(tmp_path / "empty" / "1.png")
    assert names(read(f"folder:{tmp_path / 'empty'}")) == ["1"]


def test_a_path_may_have_a_sharp_of_its_own(tmp_path):
    path = coco_file(tmp_path / "a#b", a={}, b={"valid": True}, c={})
    assert names(read(f"coco:{path}#train")) == ["a", "c"]
    assert names(read(f"{path}#train#2-2")) == ["c"]
    (tmp_path / "c#d").mkdir()
    photo(tmp_path / "c#d" / "1.png")
    assert names(read(str(tmp_path / "c#d"))) == ["1"]


def test_labels_of_another_reader_are_refused(tmp_path):
    with pytest.raises(ValueError, match="boxes are read from coco: and folder:, not yolo:"):
        read(f"yolo:{tmp_path}")


@pytest.mark.parametrize("span", ["#0-2", "#2-1", "#1-9"])
def test_a_range_beyond_the_photos_is_refused(tmp_path, span):
    with pytest.raises(ValueError, match="holds photos 1 to 2, so not"):
        read(coco_file(tmp_path, a={}, b={}) + span)


def test_a_folder_has_no_named_part(tmp_path):
    with pytest.raises(ValueError, match="a folder has no part 'train'"):
        read(f"{tmp_path}#train")


def test_a_photo_named_as_one_to_validate_on_is_not_trained_on(tmp_path):
    mine, theirs = coco_file(tmp_path / "x", a={}, b={}), coco_file(tmp_path / "y", b={})
    train, valid = sets(Config().override({"train": [mine], "valid": [theirs]}))
    assert (names(train), names(valid)) == (["a"], ["b"])


@pytest.mark.parametrize("missing", ["train", "valid"])
def test_both_sides_must_be_named(tmp_path, missing):
    path = coco_file(tmp_path, a={})
    config = Config().override({"train": [path], "valid": [path]} | {missing: []})
    with pytest.raises(ValueError, match="a detector needs train="):
        sets(config)


def test_a_side_with_nobody_is_refused(tmp_path):
    config = {"train": [coco_file(tmp_path / "x", a={})], "valid": [coco_file(tmp_path, b=None)]}
    with pytest.raises(ValueError, match=r"valid = .* holds nobody"):
        sets(Config().override(config))


# pictures to validate on


def test_a_photo_to_validate_on_is_shown_whole(tmp_path):
    one = Scenes([photo(tmp_path / "a.png")], settings(), training=False)[0]
    # the input that fits 120x160 is 96x96 or wider: 64x96 is less, so the zoom is .6
    np.testing.assert_allclose(people(one)[0], red(one["crop"]), atol=1.0)


def test_the_way_back_leads_to_the_photos_own_pixels(tmp_path):
    scene = photo(tmp_path / "a.png", (400, 300, 800, 900), size=(1200, 1600))
    one = Scenes([scene], settings(), training=False)[0]
    back = coords.move(people(one).reshape(-1, 2), one["back"]).reshape(-1, 4)
    np.testing.assert_allclose(back, scene.box, atol=1e-2)


def test_pictures_to_validate_on_are_of_one_size(tmp_path):
    sizes = ((120, 160), (160, 120), (60, 300), (90, 90))
    made = [photo(tmp_path / f"{n}.png", (5, 5, 30, 30), size=s) for n, s in enumerate(sizes)]
    shapes = {Scenes(made, settings(), training=False)[n]["crop"].shape for n in range(4)}
    assert shapes == {(canvas_side((96, 96)),) * 2 + (3,)}


def test_a_picture_to_validate_on_is_always_the_same(tmp_path):
    one = Scenes([photo(tmp_path / "a.png")], settings(), training=False)
    first = one[0]["crop"]
    one.epoch = 5
    assert np.array_equal(one[0]["crop"], first)


# pictures to train on


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_boxes_move_with_their_people(tmp_path, alone, flip):
    made = Scenes([photo(tmp_path / "a.png")], settings(**PLAIN | {"flip": flip}), training=True)
    for epoch in range(12):
        made.epoch = epoch
        one = made[0]
        for box in people(one):
            np.testing.assert_allclose(box, red(one["crop"]), atol=2.0)


def test_a_flip_mirrors_the_picture(tmp_path, alone):
    scene = photo(tmp_path / "a.png", (0, 30, 70, 90))  # at the photo's left edge
    for flip, side in ((0.0, -1), (1.0, 1)):
        changes = PLAIN | {"flip": flip, "scale": [1.2, 1.2]}
        one = Scenes([scene], settings(**changes), training=True)[0]
        (box,) = people(one)
        grey = np.flatnonzero((one["crop"] == 90).all(axis=-1).any(axis=0))
        assert np.sign(box[[0, 2]].mean() - grey.mean()) == side


def test_boxes_of_a_mosaic_lie_on_their_people(tmp_path, mosaic):
    colours = [(250, 30, 30), (30, 250, 30), (30, 30, 250), (250, 250, 30)]
    made = [photo(tmp_path / f"{n}.png", colour=c) for n, c in enumerate(colours)]
    pictures = Scenes(made, settings(**PLAIN), training=True)
    seen = 0
    for epoch in range(8):
        pictures.epoch = epoch
        one = pictures[0]
        for box in people(one):
            x, y = ((box[:2] + box[2:]) / 2).astype(int)
            assert np.ptp(one["crop"][y, x].astype(int)) > 150
            seen += 1
    assert seen > 10


def test_a_mosaic_holds_its_own_photo(tmp_path, mosaic):
    made = [photo(tmp_path / f"{n}.png", colour=(90, 90, 90)) for n in range(3)]
    made.append(photo(tmp_path / "red.png"))
    pictures = Scenes(made, settings(**PLAIN | {"scale": [1.0, 1.0]}), training=True)
    shown = 0
    for epoch in range(10):
        pictures.epoch = epoch
        crop = pictures[3]["crop"].astype(int)
        shown += ((crop[..., 0] - crop[..., 1]) > 80).any()
    assert shown >= 8  # a window may miss the person


def test_an_epoch_sees_other_pictures(tmp_path):
    made = Scenes([photo(tmp_path / "a.png")], settings(), training=True)
    first = made[0]["crop"]
    made.epoch = 1
    assert not np.array_equal(made[0]["crop"], first)


def test_a_picture_is_fixed_by_seed_epoch_and_row(tmp_path):
    scene = photo(tmp_path / "a.png")
    one, other = (Scenes([scene], settings(), training=True)[0] for _ in range(2))
    assert all(np.array_equal(one[key], other[key]) for key in one)


def test_photos_kept_in_memory_give_the_same_pictures(tmp_path):
    scene = photo(tmp_path / "a.png", size=(400, 500))
    kept = Scenes([scene], settings(cache="ram"), training=True)
    first = kept[0]["crop"]
    scene.image.unlink()
    assert np.array_equal(kept[0]["crop"], first)


@pytest.mark.parametrize("cache", ["disk", "off"])
def test_photos_stay_out_of_memory_unless_it_is_asked_for(tmp_path, cache):
    photo(tmp_path / "1.png")
    pictures = Scenes(read(str(tmp_path)), settings(cache=cache), training=False)
    assert pictures[0]["row"] == 0
    assert not pictures.kept


def test_a_large_photo_is_kept_small(tmp_path):
    made = Scenes([photo(tmp_path / "a.png", size=(500, 1000))], settings(), training=True)
    small, zoom = made.photo(0)
    assert small.shape[1] == round(1.3 * 96)
    assert zoom == pytest.approx(small.shape[1] / 1000, rel=0.01)


def test_a_batch_is_filled_up_with_nobody(tmp_path, alone):
    one = Scenes([photo(tmp_path / "a.png")], settings(), training=True)[0]
    assert (one["box"].shape, one["kind"].shape) == ((100, 4), (100,))
    assert not one["box"][one["kind"] == 0].any()


# people at the edge


def label(*box, kind=PERSON):
    return np.array([[*box, kind]], dtype=np.float32)


def test_a_box_ends_at_the_pictures_edges():
    assert cut(label(-10, 10, 30, 80), (60, 50)).tolist() == [[-0.5, 10, 30, 59.5, PERSON]]


def test_who_is_hardly_in_the_picture_is_ignored():
    assert cut(label(-80, 0, 20, 50), (60, 50))[0, 4] == IGNORED


def test_who_is_outside_is_gone():
    assert len(cut(label(60, 0, 90, 50), (60, 50))) == 0


def test_who_is_tiny_is_ignored():
    found = [cut(label(10, 10, 15, 10 + height), (60, 50))[0, 4] for height in (5, 7)]
    assert found == [IGNORED, PERSON]


def test_an_ignored_region_stays_one():
    assert cut(label(0, 0, 40, 40, kind=IGNORED), (60, 50))[0, 4] == IGNORED


def test_a_broken_photo_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.png"):
        Scenes([Scene(tmp_path / "a.png", NOBODY, NOBODY)], settings(), training=False)[0]


def test_a_photo_that_opencv_wrote_is_read_in_its_colours(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((60, 60, 3), (200, 0, 0), np.uint8))  # BGR
    scene = Scene(tmp_path / "a.png", NOBODY, NOBODY)
    crop = Scenes([scene], settings(), training=False)[0]["crop"]
    assert crop[20, 20].tolist() == [0, 0, 200]
