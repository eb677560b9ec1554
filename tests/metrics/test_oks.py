import contextlib
import copy
import io
import json
import sys

import numpy as np
import pytest

from posegram.metrics import oks
from posegram.metrics.oks import AP_NAMES, ap_statistic, keypoint_ap, matches
from posegram.pose import COCO17

pytest.importorskip("pycocotools")

K = len(COCO17)


def scene(seed=0, *, images=6, noise=6.0):
    """Labels of COCO's layout with crowds and empty people, and noisy results for them."""
    rng = np.random.default_rng(seed)
    labels, results = [], []
    for image in range(images):
        for person in range(rng.integers(1, 4)):
            side = rng.uniform(30, 150)
            xy = rng.uniform(0, side, (K, 2)) + 200 * person
            v = rng.integers(0, 3, K)
            crowd = int(rng.random() < 0.1)
            v[:] = 0 if crowd else v
            labels.append(
                {
                    "id": len(labels) + 7,
                    "image_id": image,
                    "category_id": 1,
                    "keypoints": np.column_stack([xy * (v > 0)[:, None], v]).ravel().tolist(),
                    "num_keypoints": int((v > 0).sum()),
                    "area": float(side**2),
                    "bbox": [*xy.min(axis=0).tolist(), side, side],
                    "iscrowd": crowd,
                }
            )
            for _ in range(rng.integers(0, 3)):
                guess = xy + rng.normal(0, rng.uniform(0.2, 1.5) * noise, xy.shape)
                results.append(result(image, guess, float(rng.random())))
    pictures = [{"id": image} for image in range(images + 1)]  # the last one is empty
    return {
        "images": pictures,
        "annotations": labels,
        "categories": [{"id": 1, "name": "person"}],
    }, results


def result(image, xy, score):
    points = np.column_stack([xy, np.ones(len(xy))]).ravel().tolist()
    return {"image_id": image, "category_id": 1, "keypoints": points, "score": score}


def reference(truth, results):
    """The ten numbers as pycocotools computes them from end to end."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        labels = COCO()
        labels.dataset = copy.deepcopy(truth)
        labels.createIndex()
        evaluation = COCOeval(labels, labels.loadRes(copy.deepcopy(results)), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(8))
def test_the_ten_numbers_are_those_of_pycocotools(seed):
    truth, results = scene(seed)
    wanted = [np.nan if value == -1 else value for value in reference(truth, results)]
    assert list(keypoint_ap(truth, results).values()) == pytest.approx(wanted, nan_ok=True)


def test_an_image_drawn_twice_counts_as_two_images():
    truth, results = scene(3)
    twice_truth, twice_results = copy.deepcopy((truth, results))
    twice_truth["images"].append({"id": 99})
    for label in truth["annotations"]:
        if label["image_id"] == 2:
            twin = {**label, "image_id": 99, "id": label["id"] + 1000}
            twice_truth["annotations"].append(twin)
    twice_results += [{**r, "image_id": 99} for r in results if r["image_id"] == 2]
    times = np.ones((1, 7))
    times[0, 2] = 2
    drawn = ap_statistic(matches(truth, results))(times)[0]
    assert drawn == pytest.approx(reference(twice_truth, twice_results))


@pytest.mark.parametrize("cells", [1, 500_000])
def test_resamples_measured_together_give_the_numbers_of_each_alone(monkeypatch, cells):
    monkeypatch.setattr(oks, "_CELLS", cells)
    statistic = ap_statistic(matches(*scene(3)))
    times = np.random.default_rng(0).integers(0, 3, (5, 7)).astype(float)
    alone = np.concatenate([statistic(row[None]) for row in times])
    assert statistic(times) == pytest.approx(alone, nan_ok=True)


def test_a_perfect_result_has_ap_one():
    truth, _ = scene(1)
    people = [a for a in truth["annotations"] if a["num_keypoints"]]
    xy = [np.reshape(a["keypoints"], (K, 3))[:, :2] for a in people]
    results = [result(a["image_id"], p, 0.5) for a, p in zip(people, xy, strict=True)]
    assert keypoint_ap(truth, results)["AP"] == pytest.approx(1)


@pytest.mark.parametrize("name", ["first.jpg", 2**63 + 5, 1e300])
def test_an_image_may_have_any_id(name):
    truth, results = scene()
    expected = keypoint_ap(truth, results)
    for one in (*truth["annotations"], *results):
        one["image_id"] = name if one["image_id"] == 0 else one["image_id"]
    truth["images"][0]["id"] = name
    assert keypoint_ap(truth, results) == pytest.approx(expected)


def test_somebody_whose_count_of_joints_is_wrong_is_wanted_all_the_same():
    truth, results = scene()
    expected = keypoint_ap(truth, results)
    for label in truth["annotations"]:
        label["num_keypoints"] = 0
    assert keypoint_ap(truth, results) == expected


def test_somebody_without_keypoints_is_not_wanted():
    truth, results = scene()
    expected = keypoint_ap(truth, results)
    box = {"image_id": 0, "category_id": 1, "area": 900.0, "bbox": [500, 0, 30, 30]}
    truth["annotations"].append(box)
    assert keypoint_ap(truth, results) == expected


def test_labels_of_an_image_that_is_not_listed_do_not_count():
    truth, results = scene()
    expected = keypoint_ap(truth, results)
    truth["annotations"].append(dict(truth["annotations"][0], image_id=99))
    assert keypoint_ap(truth, results) == expected


def test_a_label_with_id_zero_can_be_found():
    truth, results = scene(2)
    shifted = copy.deepcopy(truth)
    for label in shifted["annotations"]:
        label["id"] -= 7
    assert keypoint_ap(shifted, results) == keypoint_ap(truth, results)


def test_the_callers_labels_stay_as_they_were():
    truth, results = scene()
    before = copy.deepcopy((truth, results))
    keypoint_ap(truth, results)
    assert (truth, results) == before


def test_nothing_is_printed(capsys):
    keypoint_ap(*scene())
    assert capsys.readouterr().out == ""


def test_another_skeleton_is_scored_by_its_own_sigmas():
    label = {"id": 1, "image_id": 0, "category_id": 1, "area": 4900, "bbox": [0, 0, 70, 70],
             "keypoints": [0, 0, 2, 10, 10, 2]}  # fmt: skip
    truth = {"images": [{"id": 0}], "annotations": [label]}
    off = [result(0, np.array([[5.0, 0.0], [15.0, 10.0]]), 1.0)]
    loose, tight = (keypoint_ap(truth, off, sigmas=(s, s))["AP"] for s in (0.5, 0.01))
    assert (loose, tight) == (pytest.approx(1), 0)


def test_a_skeleton_without_sigmas_is_refused():
    with pytest.raises(ValueError, match="OKS needs one sigma per joint"):
        keypoint_ap(*scene(), sigmas=())


def spoilt(part, change):
    truth, results = scene()
    rows = truth["annotations"] if part == "labels" else results
    rows[1] = {**rows[1], **change}
    for key in [k for k, v in change.items() if v is None]:
        del rows[1][key]
    return truth, results


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("labels", {"area": None}, "annotation 8 has no area"),
        ("labels", {"area": 0}, "annotation 8 cannot be scored: `area`"),
        ("labels", {"area": float("nan")}, "annotation 8 cannot be scored: `area`"),
        ("labels", {"area": "5"}, "annotation 8 cannot be scored: `area`"),
        ("labels", {"bbox": []}, "annotation 8 cannot be scored: `area` .* `bbox` holds four"),
        ("labels", {"keypoints": [1, 2, 2]}, "annotation 8 has 3 keypoint numbers"),
        ("labels", {"keypoints": [[1, 2, 2]] * 17}, "annotation 8 has 17 keypoint numbers"),
        ("labels", {"category_id": 5}, "the labels have 2"),
        ("results", {"score": None}, "result 1 has no score"),
        ("results", {"image_id": 1234}, "result 1 is of image 1234"),
        ("results", {"category_id": 2}, "result 1 is of category 2, not 1"),
        ("results", {"keypoints": [1, 2, 2]}, "result 1 must have 3 x 17 finite"),
        ("results", {"keypoints": [float("nan")] * 51}, "result 1 must have 3 x 17 finite"),
        ("results", {"score": "high"}, "result 1 must have 3 x 17 finite"),
        ("results", {"keypoints": ["x"] * 51}, "result 1 must have 3 x 17 finite"),
    ],
)
def test_a_broken_record_is_refused_by_its_name(part, change, words):
    with pytest.raises(ValueError, match=words):
        keypoint_ap(*spoilt(part, change))


def test_two_images_with_one_id_are_refused():
    truth, results = scene()
    truth["images"].append({"id": 0})
    with pytest.raises(ValueError, match="two images of the labels have one id"):
        keypoint_ap(truth, results)


def test_no_results_are_refused():
    with pytest.raises(ValueError, match="no results to score"):
        keypoint_ap(scene()[0], [])


def test_without_pycocotools_the_extra_to_install_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(ImportError, match=r"pip install 'posegram\[train\]'"):
        keypoint_ap(*scene())


# --- published predictions with published results: ../shared/references/metrics ---


@pytest.fixture
def coco(shared):
    return shared / "references" / "metrics" / "coco"


@pytest.fixture
def expected(shared):
    text = (shared / "references" / "metrics" / "expected.json").read_text()
    return {entry["id"]: entry for entry in json.loads(text)["entries"]}


def distorted(label):
    """The result that the reference's protocol builds from a label, in float32."""
    points = np.array(label["keypoints"], dtype=np.float32).reshape(-1, 3)
    points *= np.array([0.98, 1.02, 0.8], dtype=np.float32)
    sure = points[points[:, 2] > 0.2, 2]
    score = float(np.float32(0.98) * sure.mean()) if len(sure) else 0.0
    return {
        "image_id": label["image_id"],
        "category_id": 1,
        "keypoints": points.ravel().tolist(),
        "score": score,
    }


@pytest.mark.parametrize("name", AP_NAMES)
def test_ap_reproduces_the_published_coco_example(coco, expected, name):
    truth = json.loads((coco / "example_coco_val.json").read_text())
    results = json.loads((coco / "example_coco_preds.json").read_text())
    entry = expected["coco_example_oks_ap"]
    value = keypoint_ap(truth, results)[name]
    assert value == pytest.approx(entry["expected"][name], abs=entry["tolerance"])


@pytest.mark.parametrize("name", AP_NAMES)
def test_ap_reproduces_the_published_distorted_labels(coco, expected, name):
    truth = json.loads((coco / "test_coco.json").read_text())
    results = [distorted(label) for label in truth["annotations"]]
    entry = expected["coco_test_distorted_oks_ap"]
    value = keypoint_ap(truth, results)[name]
    assert value == pytest.approx(entry["expected"][name], abs=entry["tolerance"])


@pytest.mark.parametrize("entry", ["coco_example_oks_ap", "coco_test_distorted_oks_ap"])
def test_all_published_ap_numbers_are_ours(expected, entry):
    assert set(expected[entry]["expected"]) == set(AP_NAMES)
