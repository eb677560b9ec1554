import json
from dataclasses import replace

import numpy as np
import pytest

import figures
from posegram.data import coco
from posegram.infer.paired import paired
from posegram.pose import COCO17, People


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
