import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

import figures
from posegram.data.doctor.annotations import gather
from posegram.data.doctor.copies import copied_labels, files, photos, twice


@pytest.fixture
def samples(tmp_path):
    return figures.samples(tmp_path, 4)


def _set(samples, name="set"):
    return gather(samples, name)[0]


def _moved(sample, step):
    return replace(sample, xy=sample.xy + np.float32(step))


def test_a_good_set_has_its_files_and_no_copies(samples):
    people = _set(samples)
    assert [*files(people), *twice(people), *copied_labels(people), *photos([people])] == []


def test_the_same_person_twice_is_certain(samples, kinds):
    (one,) = twice(_set([*samples, samples[2]]))
    assert (one.kind, one.level, one.person) == ("person-twice", "certain", 4)
    assert "annotation 3" in one.sentence


def test_nearly_the_same_person_is_likely_twice(samples):
    (one,) = twice(_set([*samples, _moved(samples[2], 1)]))
    assert (one.level, one.person) == ("likely", 4)


def test_two_people_side_by_side_are_two(samples):
    assert twice(_set([*samples, _moved(samples[2], 12)])) == []


def test_labels_of_another_picture_are_likely_copied(samples):
    found = copied_labels(_set([*samples, replace(samples[2], image=samples[0].image)]))
    assert {(one.kind, one.level, one.person) for one in found} == {
        ("copied-labels", "likely", 2),
        ("copied-labels", "likely", 4),
    }


def test_a_missing_picture_is_certain(samples):
    samples[0].image.unlink()
    (one,) = files(_set(samples))
    assert (one.kind, one.level, one.image) == ("missing-image", "certain", 0)


def test_no_picture_at_all_is_one_fault_of_the_set(samples):
    for sample in samples:
        sample.image.unlink()
    (one,) = files(_set(samples))
    assert (one.kind, one.level, one.image) == ("missing-image", "likely", None)
    assert f"looked in {samples[0].image.parent}" in one.sentence


def test_a_file_that_is_no_picture_is_certain(samples):
    samples[0].image.write_text("no picture")
    (one,) = files(_set(samples))
    assert (one.kind, one.image) == ("unreadable-image", 0)


def test_a_picture_cut_off_is_found_when_it_is_decoded(samples):
    data = samples[0].image.read_bytes()
    samples[0].image.write_bytes(data[: len(data) // 2])
    people = _set(samples)
    assert files(people) == []
    assert [(one.kind, one.image) for one in photos([people])] == [("unreadable-image", 0)]


def test_a_wrong_size_is_certain_and_turned_ones_are_told(samples):
    people = _set(samples)
    people.stated[1] = people.size[1][::-1]
    (one,) = files(people)
    assert (one.kind, one.image) == ("wrong-size", 1)
    assert "200 x 240" in one.sentence
    assert "turned by its EXIF tag" in one.sentence


def test_a_picture_listed_twice_is_likely_wrong(samples):
    people = _set(samples)
    (one,) = files(replace(people, images=(people.images[0], *people.images[:3])))
    assert (one.kind, one.image) == ("listed-twice", 1)


def test_a_broken_record_is_certain(samples):
    (one,) = files(replace(_set(samples), broken={2: "it is broken"}))
    assert (one.kind, one.level) == ("broken-record", "certain")
    assert one.sentence == "annotation 2 (id 3): it is broken"


def _copy(samples, folder):
    path = folder / "copy.png"
    shutil.copy(samples[1].image, path)
    return replace(samples[1], image=path)


def test_a_copied_file_is_certain(samples, tmp_path):
    (one,) = photos([_set([*samples, _copy(samples, tmp_path)])])
    assert (one.kind, one.level, one.image) == ("same-photo", "certain", 4)


def test_a_copied_file_in_another_part_is_worse(samples, tmp_path):
    within = photos([_set([*samples, _copy(samples, tmp_path)])])[0]
    across = photos([_set(samples), _set([_copy(samples, tmp_path)], "other")])[0]
    assert across.badness > within.badness
    assert "of another part (set)" in across.sentence


@pytest.mark.parametrize(("name", "level"), [("set", "look"), ("other", "likely")])
def test_a_near_copy_is_a_fault_across_parts_alone(samples, tmp_path, name, level):
    picture = cv2.imread(str(samples[1].image))
    cv2.imwrite(str(tmp_path / "near.jpg"), cv2.resize(picture, None, fx=0.8, fy=0.8))
    near = replace(samples[1], image=tmp_path / "near.jpg")
    (one,) = photos([_set(samples), _set([near], name)])
    assert (one.kind, one.level, one.source) == ("near-photo", level, 1)


def test_one_file_in_two_parts_is_certain(samples):
    (one,) = photos([_set(samples), _set(samples[2:3], "other")])
    assert (one.kind, one.level, one.source, one.image) == ("same-photo", "certain", 1, 0)
