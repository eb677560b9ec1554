import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.io

import figures
from posegram.data import coco
from posegram.data.doctor.annotations import at_origin, gather, load
from posegram.pose import COCO17


@pytest.fixture
def file(tmp_path):
    """A COCO file of three figures, as a value that tests may spoil."""
    samples = figures.samples(tmp_path / "images", 3)
    return json.loads(coco.write(tmp_path / "a.json", samples).read_text())


def _load(folder, whole, **options):
    (folder / "a.json").write_text(json.dumps(whole))
    return load(str(folder / "a.json"), **options)


def test_a_coco_file_keeps_what_its_reader_would_refuse(tmp_path, file):
    file["annotations"][1]["keypoints"][2] = 7
    file["annotations"][1]["keypoints"][4] = float("nan")
    (people,) = _load(tmp_path, file)
    assert people.flag[1, 0] == 7
    assert np.isnan(people.xy[1, 1, 1])


def test_a_record_that_cannot_be_read_is_named_and_left_out(tmp_path, file):
    file["annotations"][1]["keypoints"].pop()
    (people,) = _load(tmp_path, file)
    assert people.broken == {1: "`keypoints` holds 41 numbers, wanted 42"}
    assert people.record.tolist() == [0, 2]


def test_pictures_named_from_here_and_from_the_root_are_gathered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, two = figures.samples(tmp_path / "images", 2)
    (people,) = gather([one, replace(two, image=two.image.relative_to(tmp_path))])
    assert people.images == (one.image, two.image)


def test_a_record_of_an_unlisted_image_is_broken(tmp_path, file):
    file["annotations"][0]["image_id"] = 99
    assert list(_load(tmp_path, file)[0].broken) == [0]


def test_sizes_are_those_of_file_and_picture(tmp_path, file):
    file["images"][0] |= {"height": 10, "width": 20}
    del file["images"][1]["width"]
    (people,) = _load(tmp_path, file)
    assert people.stated[0].tolist() == [10, 20]
    assert people.size[0].tolist() == [240, 200]
    assert np.isnan(people.stated[1, 1])


def test_a_range_keeps_some_people(tmp_path, file):
    (tmp_path / "a.json").write_text(json.dumps(file))
    (people,) = load(f"coco:{tmp_path / 'a.json'}#2-3")
    assert [people.images[row].name for row in people.image] == ["figure0001.png", "figure0002.png"]


@pytest.mark.parametrize("span", ["0-2", "3-2", "2-4"])
def test_a_range_that_is_not_there_is_refused(tmp_path, file, span):
    (tmp_path / "a.json").write_text(json.dumps(file))
    with pytest.raises(ValueError, match=f"holds annotations 1 to 3, so not {span}"):
        load(f"coco:{tmp_path / 'a.json'}#{span}")


def test_crowds_are_left_out(tmp_path, file):
    file["annotations"][0]["iscrowd"] = 1
    assert len(_load(tmp_path, file)[0]) == 2


def test_a_person_without_a_box_has_none(tmp_path, file):
    del file["annotations"][0]["bbox"]
    assert np.isnan(_load(tmp_path, file)[0].box[0]).all()


def test_a_key_of_the_images_says_which_part_they_are_of(tmp_path, file):
    for number, entry in enumerate(file["images"]):
        entry["use"] = "train" if number else "valid"
    assert _load(tmp_path, file, split="use")[0].part == ("valid", "train", "train")


def test_a_folder_says_which_part_its_images_are_of(tmp_path, file):
    assert set(_load(tmp_path, file, split="folder")[0].part) == {"images"}


def test_a_split_key_that_is_missing_is_refused(tmp_path, file):
    with pytest.raises(ValueError, match=r"figure0000.png has no key 'use'"):
        _load(tmp_path, file, split="use")


@pytest.mark.parametrize("value", [[], {}, {"annotations": []}, {"annotations": [], "images": [1]}])
def test_what_is_no_annotation_file_is_refused(tmp_path, value):
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(ValueError, match=r"a\.json: "):
        load(f"coco:{tmp_path / 'a.json'}")


def test_two_skeletons_make_two_sets_of_one_file(tmp_path):
    samples = figures.samples(tmp_path / "a", 2) + figures.samples(
        tmp_path / "b", 1, skeleton=COCO17
    )
    one, two = gather(samples)
    assert (len(one), len(two), two.skeleton) == (2, 1, COCO17)
    assert one.whole is two.whole


def test_lsp_labels_outside_the_picture_are_kept(tmp_path):
    figures.samples(tmp_path / "images", 1)
    (tmp_path / "images" / "figure0000.png").rename(tmp_path / "images" / "im0001.jpg")
    joints = np.full((3, 14, 1), 50.0)
    joints[0, 5] = 900
    joints[2] = 0
    scipy.io.savemat(tmp_path / "joints.mat", {"joints": joints})
    (people,) = load(f"lsp:{tmp_path}")
    assert people.xy[0, 5].tolist() == [899, 49]
    assert people.usable[0, 5]
    assert people.size[0].tolist() == [240, 200]


def test_usable_joints_are_labelled_finite_and_not_at_the_origin(good):
    people = good.moved(0, "neck", (np.nan, 3))
    people.xy[0, people.skeleton.index("head_top")] = 0
    people.flag[0, people.skeleton.index("left_knee")] = 0
    names = {j for j, u in zip(people.skeleton.joints, people.usable[0], strict=True) if not u}
    assert names == {"neck", "head_top", "left_knee"}


def test_nobody_has_no_bounds(good):
    people = good.changed(flag=np.zeros_like(good.people.flag))
    assert np.isnan(people.bounds).all()


def test_samples_come_back_as_they_went_in(good):
    again = good.people.samples()
    assert all(np.array_equal(a.xy, b.xy) for a, b in zip(again, good.samples, strict=True))
    assert all(
        np.array_equal(a.visible, b.visible) for a, b in zip(again, good.samples, strict=True)
    )


def test_a_sample_without_a_box_gets_that_of_its_joints(good):
    (sample, *_) = good.boxed(0, [np.nan] * 4).samples()
    bounds = good.people.bounds[0]
    assert (sample.box[:2] < bounds[:2]).all()
    assert (sample.box[2:] > bounds[2:]).all()


def test_the_origin_is_0_or_counted_from_1():
    places = np.array([[0, 0], [-1, -1], [0, 1], [0.1, 0]])
    assert at_origin(places).tolist() == [True, True, False, False]


def test_no_samples_make_no_set():
    assert gather([]) == []
