from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import figures
import runs
from posegram import coords
from posegram.data import coco
from posegram.pose import LSP14
from posegram.train.pairs import Pairs, paste, people

STILL = {
    **{"turn": 0.0, "turn_share": 0.0, "scale": [1.0, 1.0], "shift": 0.0, "flip": 0.0},
    **{"brightness": 0.0, "contrast": 0.0},
}


@pytest.fixture(scope="module")
def everybody(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 6)


# who has no labels


@pytest.fixture
def labels(tmp_path, everybody):
    return f"coco:{coco.write(tmp_path / 'labels.json', everybody, tmp_path)}"


def asked(tmp_path, spec, held=()):
    return people(runs.settings(tmp_path, unlabelled=[spec], semi="teacher"), held)


def test_labels_are_thrown_away(tmp_path, labels):
    found = asked(tmp_path, labels)
    assert len(found) == 6
    assert not any(s.visible.any() for s in found)


def test_people_of_held_photos_are_left_out(tmp_path, labels, everybody):
    found = asked(tmp_path, labels, {everybody[2].image})
    assert [s.image for s in found] == [s.image for n, s in enumerate(everybody) if n != 2]


def test_a_held_photo_is_the_same_by_its_relative_path(tmp_path, labels, everybody, monkeypatch):
    monkeypatch.chdir(everybody[2].image.parent)
    found = asked(tmp_path, labels, {Path(everybody[2].image.name)})
    assert len(found) == 5


def test_a_folders_pictures_are_a_person_each(tmp_path, everybody):
    found = asked(tmp_path, str(everybody[0].image.parent))
    assert len(found) == 6
    np.testing.assert_allclose(found[0].box, [-0.5, -0.5, 199.5, 239.5])


def test_boxes_without_joints_will_do(tmp_path, everybody):
    bare = [replace(s, visible=np.zeros(14, np.uint8)) for s in everybody]
    path = coco.write(tmp_path / "boxes.json", bare, tmp_path)
    found = asked(tmp_path, f"coco:{path}")
    np.testing.assert_allclose([s.box for s in found], [s.box for s in everybody], atol=1e-2)
    assert len(Pairs(everybody, found, LSP14, runs.settings(tmp_path))[0]["easy"]) == 1


def test_nobody_left_is_refused(tmp_path, labels, everybody):
    with pytest.raises(ValueError, match="holds nobody to learn from"):
        asked(tmp_path, labels, {s.image for s in everybody})


# views


def pairs(tmp_path, everybody, **changes):
    config = runs.settings(tmp_path, unlabelled_times=2, **changes)
    return Pairs(everybody[:4], everybody, LSP14, config)


def test_an_item_holds_a_labelled_crop_and_the_views_of_the_others(tmp_path, everybody):
    item = pairs(tmp_path, everybody)[0]
    shapes = {k: np.shape(item[k]) for k in ("crop", "easy", "hard", "to_easy", "swap", "lots")}
    assert shapes == {
        **{"crop": (64, 64, 3), "easy": (2, 64, 64, 3), "hard": (2, 64, 64, 3)},
        **{"to_easy": (2, 2, 3), "swap": (2,), "lots": (2, 5, 4)},
    }


def test_the_same_epoch_gives_the_same_views(tmp_path, everybody):
    one, two = (pairs(tmp_path, everybody)[3]["hard"] for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_another_epoch_gives_other_views(tmp_path, everybody):
    made = pairs(tmp_path, everybody)
    first = made[3]["hard"]
    made.epoch = 1
    assert (made[3]["hard"] != first).any()


def test_the_hard_view_lies_on_the_easy_one(tmp_path, everybody):
    """A point of the hard view, carried over, shows the same colour in the easy one."""
    calm = {"brightness": 0.0, "contrast": 0.0, "turn_share": 1.0, "turn": 25.0}
    made = pairs(tmp_path, everybody, **calm)
    off = []
    for n in range(8):
        item = made[n % 4]
        made.epoch += 1
        for easy, hard, matrix in zip(item["easy"], item["hard"], item["to_easy"], strict=True):
            # both are smooth pictures of one photo, so the warped easy view repeats the hard one
            again = coords.warp(easy, coords.inverse(matrix), (64, 64))
            shown = again.any(axis=-1) & hard.any(axis=-1)
            off.append(np.abs(again.astype(int) - hard)[shown].mean())
    assert np.median(off) < 6


def test_views_say_when_one_of_them_is_mirrored(tmp_path, everybody):
    made = pairs(tmp_path, everybody, flip=0.5)
    for n in range(4):
        item = made[n]
        mirrored = np.linalg.det(item["to_easy"][:, :, :2]) < 0
        np.testing.assert_array_equal(item["swap"], mirrored)


# squares over joints


def views(count=3):
    return np.full((count, 64, 48, 3), 128, np.uint8)


def lots(count=3, seed=0):
    return np.random.default_rng(seed).random((count, 5, 4), dtype=np.float32)


def test_squares_lie_on_the_joints():
    joints = np.full((3, 14, 2), (20.0, 30.0), np.float32)
    changed = (paste(views(), joints, lots()) != 128).any(axis=-1)
    for one in changed:
        rows, columns = np.nonzero(one)
        assert len(rows) > 8
        assert abs(rows.mean() - 30) < 6
        assert abs(columns.mean() - 20) < 6


def test_squares_leave_the_given_views_alone():
    given = views()
    paste(given, np.full((3, 14, 2), 20.0, np.float32), lots())
    assert (given == 128).all()


def test_joints_outside_the_view_hide_nothing():
    joints = np.full((3, 14, 2), -500.0, np.float32)
    assert (paste(views(), joints, lots()) == 128).all()


def test_one_to_five_squares_are_pasted():
    joints = np.stack([np.linspace(4, 44, 14), np.linspace(4, 60, 14)], axis=-1)
    many = np.repeat(joints[None], 200, axis=0).astype(np.float32)
    shares = (paste(views(200), many, lots(200)) != 128).any(axis=-1).mean(axis=(1, 2))
    assert 0.002 < shares.min() < 0.02 < shares.max() < 0.15
