import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from posegram.metrics.boxes import average_precision, best, match, suppress

NONE = np.zeros((0, 4), dtype=np.float32)


def box(*rows):
    return np.array(rows, dtype=np.float32).reshape(-1, 4)


def some(rng, count, spread=80):
    corner = rng.uniform(0, spread, (count, 2))
    return np.column_stack([corner, corner + rng.uniform(20, 40, (count, 2))]).astype(np.float32)


# doubles


def test_the_better_of_two_doubles_stays():
    boxes = box([0, 0, 10, 10], [0, 0, 10, 11], [50, 50, 60, 60])
    assert suppress(boxes, np.float32([0.5, 0.9, 0.7])).tolist() == [1, 2]


def test_a_box_that_only_a_suppressed_one_overlaps_stays():
    chain = box([0, 0, 10, 10], [0, 2, 10, 12], [0, 4, 10, 14])  # neighbours overlap by 2/3
    assert suppress(chain, np.float32([0.9, 0.8, 0.7])).tolist() == [0, 2]


def test_a_larger_overlap_can_be_allowed():
    boxes = box([0, 0, 10, 10], [0, 2, 10, 12])
    assert suppress(boxes, np.float32([0.9, 0.8]), overlap=0.7).tolist() == [0, 1]


def test_nothing_is_suppressed_among_no_boxes():
    assert suppress(NONE, np.zeros(0, np.float32)).shape == (0,)


# matches


def test_the_best_boxes_are_likely_and_no_doubles():
    found = box([0, 0, 10, 10], [30, 0, 40, 10], [0, 0, 10, 9], [60, 0, 70, 10])
    score = np.array([0.4, 0.9, 0.8, 0.1], dtype=np.float32)
    assert best(found, score, least=0.3).tolist() == [1, 2]


def test_the_best_boxes_overlap_by_no_more_than_half():
    found = box([0, 0, 10, 10], [0, 2, 10, 12])  # by 2/3
    assert best(found, np.float32([0.9, 0.8]), least=0.3).tolist() == [0]


def test_a_box_of_just_the_least_score_is_looked_at():
    assert best(box([0, 0, 10, 10]), np.float32([0.5]), least=0.5).tolist() == [0]


def test_no_more_than_300_boxes_are_looked_at():
    corner = np.arange(400, dtype=np.float32)[:, None] * 10
    apart = np.concatenate([corner, corner, corner + 5, corner + 5], axis=1)
    assert best(apart, corner[:, 0], least=0.0).tolist() == list(range(399, 99, -1))


def test_a_person_found_twice_counts_once():
    assert match(box([0, 0, 10, 10], [0, 0, 10, 9]), box([0, 0, 10, 10]), NONE).tolist() == [1, 0]


def test_a_box_takes_the_person_it_overlaps_most():
    people = box([0, 0, 10, 14], [0, 0, 10, 10])
    assert match(box([0, 0, 10, 10], [0, 0, 10, 15]), people, NONE).tolist() == [1, 1]


def test_a_box_in_an_ignored_region_is_not_judged():
    assert match(box([1, 1, 3, 3], [1, 1, 9, 3]), NONE, box([0, 0, 4, 4])).tolist() == [-1, 0]


def test_a_person_in_an_ignored_region_is_still_found():
    assert match(box([1, 1, 3, 3]), box([1, 1, 3, 3]), box([0, 0, 4, 4])).tolist() == [1]


# precision


def test_perfect_boxes_score_one():
    assert average_precision(np.float32([0.9, 0.8]), np.array([True, True]), 2) == 1


def test_nothing_found_scores_zero():
    assert average_precision(np.zeros(0, np.float32), np.zeros(0, bool), 3) == 0


def test_nobody_to_find_has_no_precision():
    assert np.isnan(average_precision(np.float32([0.9]), np.array([False]), 0))


def coco_ap50(photos):
    """AP50 by pycocotools of photos: lists of found boxes, scores, people, crowds."""
    truth, results = {"images": [], "annotations": [], "categories": [{"id": 1}]}, []
    for n, (found, score, people, crowds) in enumerate(photos):
        truth["images"].append({"id": n})
        for crowd, rows in ((0, people), (1, crowds)):
            for x0, y0, x1, y1 in rows.astype(float):
                entry = {"id": len(truth["annotations"]) + 1, "image_id": n, "category_id": 1}
                entry |= {"iscrowd": crowd, "bbox": [x0, y0, x1 - x0, y1 - y0]}
                truth["annotations"].append(entry | {"area": (x1 - x0) * (y1 - y0)})
        for (x0, y0, x1, y1), value in zip(found.astype(float), score.astype(float), strict=True):
            entry = {"image_id": n, "category_id": 1, "score": value}
            results.append(entry | {"bbox": [x0, y0, x1 - x0, y1 - y0]})
    with contextlib.redirect_stdout(io.StringIO()):
        whole = COCO()
        whole.dataset = truth
        whole.createIndex()
        judge = COCOeval(whole, whole.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats[1]


@pytest.mark.parametrize("seed", range(5))
def test_the_precision_is_that_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    photos = []
    for _ in range(12):
        people = some(rng, rng.integers(0, 6))
        crowds = some(rng, rng.integers(0, 2))
        found = np.concatenate([people + rng.normal(0, 3, people.shape), some(rng, 4)])
        score = rng.permutation(len(found)) + rng.random(len(found))
        order = np.argsort(-score)
        photos.append((found[order].astype(np.float32), score[order], people, crowds))
    verdict = np.concatenate([match(f, p, c) for f, _, p, c in photos])
    score = np.concatenate([s for _, s, _, _ in photos])
    judged = verdict >= 0
    people = sum(len(p) for _, _, p, _ in photos)
    ours = average_precision(score[judged], verdict[judged] == 1, people)
    assert ours == pytest.approx(coco_ap50(photos), abs=1e-6)
