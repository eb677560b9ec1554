import json
from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram.data import coco
from posegram.infer.evaluate import Predicted
from posegram.infer.paired import met, paired, said, those
from posegram.pose import COCO17, People, Skeleton


@pytest.fixture
def crowd(tmp_path):
    """Three people beside each other in one picture, as annotations and as samples."""
    first = figures.samples(tmp_path / "images", 1, skeleton=COCO17)[0]
    step = float(first.box[2] - first.box[0]) + 5
    side = np.array([step, 0], dtype=np.float32)
    people = [
        replace(first, xy=first.xy + n * side, box=first.box + n * np.tile(side, 2))
        for n in range(3)
    ]
    path = coco.write(tmp_path / "truth.json", people)
    return json.loads(path.read_text()), coco.read(path)


def found(samples, whole, off=0.0):
    """Results that are the labels themselves, a little beside."""
    score = np.full((1, len(COCO17)), 0.9, dtype=np.float32)
    number = whole["images"][0]["id"]
    return [
        coco.results(number, People(s.xy[None] + np.float32(off), score, s.box[None], COCO17))[0]
        for s in samples
    ]


def test_results_in_the_labels_order_are_one_for_each_person(tmp_path, crowd):
    whole, samples = crowd
    rows = paired(tmp_path / "p.json", found(samples, whole, 3), whole, samples)
    np.testing.assert_allclose(rows.xy, np.stack([s.xy for s in samples]) + 3, atol=1e-3)


def test_people_of_one_picture_in_another_order_are_not_paired(tmp_path, crowd):
    whole, samples = crowd
    mixed = found(samples, whole)[::-1]
    assert paired(tmp_path / "p.json", mixed, whole, samples) is None


def test_somebody_found_far_from_everybody_is_a_mistake_and_no_other_order(tmp_path, crowd):
    whole, samples = crowd
    away = found(samples, whole)
    away[0] = found([replace(samples[0], xy=samples[0].xy - np.float32(500))], whole)[0]
    assert paired(tmp_path / "p.json", away, whole, samples) is not None


def test_somebody_whose_picture_has_no_results_is_not_predicted(tmp_path, crowd):
    whole, samples = crowd
    rows = paired(tmp_path / "p.json", [], whole, samples)
    assert np.isnan(rows.xy).all()


@pytest.mark.parametrize("place", [(0, 0, 0.0), (2, 0, 0.0), (0, 0, 0.1)])
def test_joints_without_labels_put_nobody_out_of_place(tmp_path, crowd, place):
    whole, samples = crowd
    for label in whole["annotations"]:
        label["keypoints"][:33] = [0] * 33
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(whole))
    samples = coco.read(path)
    results = found(samples, whole, 2)
    for one in results:
        one["keypoints"][:33] = list(place) * 11
    assert paired(tmp_path / "p.json", results, whole, samples) is not None


def test_somebody_without_a_labelled_joint_found_is_not_out_of_place(tmp_path, crowd):
    whole, samples = crowd
    results = found(samples, whole)
    results[0]["keypoints"] = [0, 0, 0.1] * 17
    assert paired(tmp_path / "p.json", results, whole, samples) is not None


def test_results_may_leave_out_who_has_no_labelled_joint(tmp_path, crowd):
    whole, samples = crowd
    whole["annotations"].insert(1, dict(whole["annotations"][0], id=99, keypoints=[0] * 51))
    rows = paired(tmp_path / "p.json", found(samples, whole), whole, samples)
    np.testing.assert_allclose(rows.xy, np.stack([s.xy for s in samples]), atol=1e-3)


def test_results_may_leave_out_who_has_no_box_alone(tmp_path, crowd):
    whole, samples = crowd
    bare = dict(whole["annotations"][0], id=98, keypoints=[0] * 51)
    whole["annotations"][1:1] = [dict(bare, id=99, bbox=None), bare]
    results = found([samples[0], samples[0], *samples[1:]], whole)  # one for each box
    rows = paired(tmp_path / "p.json", results, whole, samples)
    np.testing.assert_allclose(rows.xy, np.stack([s.xy for s in samples]), atol=1e-3)


def test_a_joint_is_absent_where_all_its_numbers_are_zero_alone(tmp_path, crowd):
    whole, samples = crowd
    results = found(samples, whole)
    results[0]["keypoints"][:6] = [0, 0, 0, 0, 7, 0.5]
    rows = paired(tmp_path / "p.json", results, whole, samples)
    assert np.isnan(rows.xy[0, :2]).tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize(("third", "kept"), [(0.0, True), (1.0, True), (2.0, False), (-1.0, False)])
def test_third_numbers_are_scores_where_they_may_be_probabilities(tmp_path, crowd, third, kept):
    whole, samples = crowd
    results = found(samples, whole)
    results[0]["keypoints"][2] = third
    rows = paired(tmp_path / "p.json", results, whole, samples)
    assert (rows.score is not None) == kept


@pytest.mark.parametrize(
    "wrong",
    ["words", {"keypoints": [0] * 51}, {"image_id": None, "keypoints": []}, {"image_id": 1}],
)
def test_what_is_no_result_is_refused_by_its_place(tmp_path, crowd, wrong):
    whole, samples = crowd
    results = [*found(samples, whole)[:1], wrong]
    with pytest.raises(ValueError, match=r"p\.json: result 1 lacks image_id or keypoints"):
        paired(tmp_path / "p.json", results, whole, samples)


@pytest.mark.parametrize("way", [paired, met])
def test_people_of_several_numbers_of_joints_are_refused_by_their_annotation(tmp_path, crowd, way):
    whole, samples = crowd
    results = found(samples, whole)
    few = Skeleton("few", COCO17.joints[:4])
    samples[1] = replace(samples[1], xy=samples[1].xy[:4], visible=samples[1].visible[:4],
                         skeleton=few)  # fmt: skip
    number = whole["annotations"][1]["id"]
    with pytest.raises(ValueError, match=f"annotation {number} has 12 keypoint numbers, wanted 3"):
        way(tmp_path / "p.json", results, whole, samples)


# people met by place


def test_results_in_any_order_meet_their_people(tmp_path, crowd):
    whole, samples = crowd
    rows, some = met(tmp_path / "p.json", found(samples, whole, 1)[::-1], whole, samples)
    np.testing.assert_allclose(rows.xy, np.stack([s.xy for s in samples]) + 1, atol=1e-3)
    assert some.tolist() == [True] * 3


def test_of_two_results_the_nearer_one_meets(tmp_path, crowd):
    whole, samples = crowd
    results = [*found(samples, whole, 3), *found(samples, whole, 1)]
    rows, _ = met(tmp_path / "p.json", results, whole, samples)
    np.testing.assert_allclose(rows.xy, np.stack([s.xy for s in samples]) + 1, atol=1e-3)


def test_who_is_not_found_is_not_met(tmp_path, crowd):
    whole, samples = crowd
    away = found([replace(samples[1], xy=samples[1].xy - np.float32(500))], whole)
    results = [*away, *found(samples[::2], whole)]
    rows, some = met(tmp_path / "p.json", results, whole, samples)
    assert some.tolist() == [True, False, True]
    assert np.isnan(rows.xy[1]).all()


def test_a_result_meets_one_person_alone(tmp_path, crowd):
    whole, samples = crowd
    whole["annotations"].append(dict(whole["annotations"][0], id=99))
    twice = [*samples, samples[0]]
    _, some = met(tmp_path / "p.json", found(samples, whole), whole, twice)
    assert some.sum() == 3


def test_somebody_half_of_whose_joints_are_wrong_is_met_all_the_same(tmp_path, crowd):
    whole, samples = crowd
    results = found(samples, whole)[::-1]
    results[0]["keypoints"][:27] = [0.0, 0.0, 0.9] * 9
    assert met(tmp_path / "p.json", results, whole, samples)[1].all()


def test_people_are_met_in_a_skeleton_without_sigmas_and_without_areas(tmp_path, crowd):
    whole, samples = crowd
    bare = [replace(s, skeleton=replace(COCO17, sigmas=()), area=None) for s in samples]
    assert met(tmp_path / "p.json", found(samples, whole)[::-1], whole, bare)[1].all()


def test_nobody_is_met_in_a_photo_without_results(tmp_path, crowd):
    whole, samples = crowd
    assert not met(tmp_path / "p.json", [], whole, samples)[1].any()


def test_those_are_met_in_every_file(crowd):
    _, samples = crowd
    xy = np.stack([s.xy for s in samples])
    files = [
        (Predicted(xy, np.ones(xy.shape[:2], np.float32)), np.array([True, True, False])),
        (Predicted(xy + 1), np.array([False, True, True])),
        (Predicted(xy + 2), None),
    ]
    rows, kept = those(files, samples)
    assert kept == samples[1:2]
    np.testing.assert_array_equal([one.xy[0, 0, 0] - xy[1, 0, 0] for one in rows], [0, 1, 2])
    assert rows[0].score.shape == (1, 17)


def test_numbers_of_who_was_met_say_how_many_those_are():
    assert said(1200, 6352).startswith("met 1,200 of 6,352 labelled people, and all but AP is of")
