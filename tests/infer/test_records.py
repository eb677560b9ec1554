import json
import resource
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import figures
from posegram.data import coco
from posegram.infer.evaluate import Predicted, evaluate, evaluate_results
from posegram.infer.records import (
    FORMS,
    coco_entries,
    image_ids,
    open_writer,
    person_scores,
    photo_record,
)
from posegram.pose import COCO17, LSP14, People, Skeleton, convert

PAIR = Skeleton("pair", ("nose", "tail"), (("nose", "tail"),))


def pair():
    xy = np.float32([[[10.25, 20.5], [np.nan, np.nan]], [[1, 2], [3, 4]]])
    score = np.float32([[0.5, 0.0], [0.25, 0.75]])
    return People(xy, score, np.float32([[0, 0, 50, 60], [1, 2, 3, 4]]), PAIR)


def test_a_persons_score_is_that_of_the_joints_that_exist():
    np.testing.assert_allclose(person_scores(pair()), [0.5, 0.625])


def test_a_person_without_joints_scores_nothing():
    people = convert(People.none(PAIR), LSP14)
    lost = People(
        np.full((1, 14, 2), np.nan, np.float32),
        np.zeros((1, 14), np.float32),
        np.zeros((1, 4), np.float32),
        LSP14,
    )
    assert (person_scores(people).tolist(), person_scores(lost).tolist()) == ([], [0.0])


def test_a_photos_record_is_the_documented_object():
    record = photo_record(Path("a/street.jpg"), (60, 50), pair(), "small")
    assert record == {
        "image": "a/street.jpg",
        "width": 50,
        "height": 60,
        "model": "small",
        "skeleton": "pair",
        "joints": ["nose", "tail"],
        "bones": [["nose", "tail"]],
        "people": [
            {
                "box": [0, 0, 50, 60],
                "score": 0.5,
                "joints": {"nose": {"x": 10.25, "y": 20.5, "score": 0.5}, "tail": None},
            },
            {
                "box": [1, 2, 3, 4],
                "score": 0.625,
                "joints": {
                    "nose": {"x": 1, "y": 2, "score": 0.25},
                    "tail": {"x": 3, "y": 4, "score": 0.75},
                },
            },
        ],
    }


def test_a_photos_record_is_strict_json():
    record = photo_record(Path("street.jpg"), (60, 50), pair(), "small")
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_coco_entries_hold_x_y_score_and_zeros_for_an_absent_joint():
    assert coco_entries(pair(), 42) == [
        {"image_id": 42, "category_id": 1, "keypoints": [10.25, 20.5, 0.5, 0, 0, 0], "score": 0.5},
        {"image_id": 42, "category_id": 1, "keypoints": [1, 2, 0.25, 3, 4, 0.75], "score": 0.625},
    ]


def test_coco_entries_take_a_category_each():
    assert [e["category_id"] for e in coco_entries(pair(), 42, [7, 9])] == [7, 9]


def test_coco_entries_have_51_numbers_in_cocos_skeleton():
    (entry, _) = coco_entries(convert(pair(), COCO17), 1)
    assert entry["keypoints"] == [10.25, 20.5, 0.5, *[0] * 48]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["000000000123.jpg", "000000000007.jpg"], [123, 7]),
        (["COCO_val2014_000000000123.jpg"], [123]),
        (["street.jpg", "beach.jpg"], [2, 1]),
        (["street.jpg", "000000000123.jpg", "beach.jpg"], [3, 123, 2]),
        (["beach.jpg", "000000000001.jpg"], [2, 1]),
        (["beach.jpg", "000000000002.jpg"], [3, 2]),
        (["a/7.jpg", "b/7.jpg"], [1, 2]),
        (["b/x.jpg", "a/x.jpg"], [2, 1]),
        (["im0010.jpg", "im0002.jpg"], [2, 1]),
        ([], []),
    ],
)
def test_an_image_id_is_the_number_in_the_name_or_the_position_in_name_order(names, ids):
    assert image_ids([Path(name) for name in names]) == ids


def test_image_ids_never_repeat():
    names = [*(f"{n}.jpg" for n in range(1, 9)), *(f"{n:03}.jpg" for n in range(3, 6)), "x", "y"]
    assert len(set(image_ids([Path(name) for name in names]))) == len(names)


# results under way


def clip(path, form, *, frames=2, **options):
    """The path of a clip's results, with two people in each frame."""
    people = pair()
    tracked = People(people.xy, people.score, people.box, PAIR, np.array([5, 6]))
    with open_writer(form, path / f"clip{FORMS[form]}", PAIR, **options) as out:
        for n in range(frames):
            out.add(tracked, image=Path("clip.mp4"), frame=n, time=n / 30, size=(60, 50))
    return out.path


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_written_where_it_was_asked_for(tmp_path, form):
    clip(tmp_path, form)
    assert [p.name for p in tmp_path.iterdir()] == [f"clip{FORMS[form]}"]


def test_an_unknown_form_lists_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="no form 'xml' of results; there are json, coco, coco-an"):
        open_writer("xml", tmp_path / "a.xml", PAIR)


def test_a_clips_json_is_the_documented_object(tmp_path):
    whole = json.loads(clip(tmp_path, "json", model="small").read_text())
    first = photo_record(Path("x"), (60, 50), pair(), "small")
    frames = whole.pop("frames")
    assert whole == {key: first[key] for key in ("model", "skeleton", "joints", "bones")}
    people = [person | {"track": 5 + n} for n, person in enumerate(first["people"])]
    assert frames[1] == {
        "frame": 1,
        "time": 0.033333,
        "image": "clip.mp4",
        "width": 50,
        "height": 60,
        "people": people,
    }


def test_a_clips_json_is_whole_when_the_run_is_broken_off(tmp_path):
    def run():
        with open_writer("json", tmp_path / "a.json", PAIR) as out:
            out.add(pair())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(json.loads((tmp_path / "a.json").read_text())["frames"]) == 1


@pytest.mark.parametrize("form", ["coco-annotations", "yolo", "csv-wide"])
def test_a_threshold_reaches_the_forms_that_have_one(tmp_path, form):
    path = [tmp_path / name for name in ("low", "high")]
    for folder, threshold in zip(path, (0.0, 0.9), strict=True):
        folder.mkdir()
        rng = np.random.default_rng(0)
        people = People(
            rng.uniform(0, 50, (1, 17, 2)).astype(np.float32),
            np.full((1, 17), 0.5, np.float32),
            np.float32([[0, 0, 50, 50]]),
            COCO17,
        )
        name = folder / f"a{FORMS[form]}"
        with open_writer(form, name, COCO17, threshold=threshold) as out:
            out.add(people, frame=0, size=(60, 60))
    texts = [sorted(p.read_bytes() for p in folder.rglob("*") if p.is_file()) for folder in path]
    assert texts[0] != texts[1]


@pytest.mark.parametrize("form", FORMS)
def test_memory_does_not_grow_with_a_clip(tmp_path, form):
    tracemalloc.start()
    try:
        clip(tmp_path, form, frames=5)
        before = tracemalloc.get_traced_memory()[0]
        clip(tmp_path, form, frames=300)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 50_000


# from predictions to annotations and back


@pytest.fixture
def round_trip(tmp_path):
    """Labels, what a model found in place of them, and the same read from its annotations."""
    truth = figures.samples(tmp_path / "images", 6, skeleton=COCO17)
    rng = np.random.default_rng(0)
    found = []
    with open_writer("coco-annotations", tmp_path / "a.json", COCO17, threshold=0) as out:
        for sample in truth:
            xy = sample.xy[None] + rng.normal(0, 3, (1, 17, 2)).astype(np.float32)
            score = rng.uniform(0, 1, (1, 17)).astype(np.float32)
            people = People(xy, score, sample.box[None], COCO17)
            out.add(people, image=sample.image, size=(240, 200))
            found.append(people)
    return truth, found, coco.read(out.path, tmp_path / "images")


def numbers(report):
    return np.array([[n.value, n.low, n.high] for n in report.numbers], dtype=float)


def test_annotations_of_predictions_measure_as_the_predictions(round_trip):
    truth, found, annotated = round_trip
    direct = Predicted(np.concatenate([p.xy for p in found]))
    returned = Predicted(np.stack([s.xy for s in annotated]))
    measured = [numbers(evaluate(one, truth, resamples=100)) for one in (direct, returned)]
    assert np.nanmin(measured[0]) < 99
    np.testing.assert_allclose(measured[1], measured[0], rtol=0, atol=1e-6)


def test_results_made_of_annotations_have_the_predictions_ap(round_trip, tmp_path):
    truth, found, _ = round_trip
    whole = json.loads(coco.write(tmp_path / "truth.json", truth).read_text())
    annotated = json.loads((tmp_path / "a.json").read_text())["annotations"]
    rows = [e for n, p in enumerate(found, 1) for e in coco_entries(p, n)]
    ids = {a["id"]: a["image_id"] for a in whole["annotations"]}
    assert sorted(ids.values()) == [e["image_id"] for e in rows]
    measured = [numbers(evaluate_results(whole, one, resamples=100)) for one in (rows, annotated)]
    np.testing.assert_allclose(measured[1], measured[0], rtol=0, atol=1e-6)


def test_predictions_measured_on_their_own_annotations_are_perfect(round_trip):
    _, found, annotated = round_trip
    own = np.concatenate([p.xy for p in found])
    report = evaluate(own, annotated, metrics=("pck",), resamples=100)
    assert {(n.unit, round(n.value, 6)) for n in report.numbers} == {("%", 100.0), ("", 0.0)}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "yolo"])
def test_a_full_disk_costs_the_pictures_that_do_not_fit_alone(tmp_path, form):
    people = People(pair().xy.repeat(40, 0), pair().score.repeat(40, 0),
                    pair().box.repeat(40, 0), PAIR)  # fmt: skip
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    fits = []
    with open_writer(form, tmp_path / "r", PAIR) as out:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
        try:
            for n, some in enumerate((pair(), people, pair())):
                try:
                    out.add(some, image=Path("a.jpg"), frame=n, time=float(n), size=(60, 50))
                    fits.append(n)
                except OSError as fault:
                    told = str(fault)
            out.close()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (fits, out.count, told) == ([0, 2], 2, f"cannot write {tmp_path / 'r'}: File too large")
    text = (tmp_path / "r").read_text()
    if not form.startswith("csv"):
        json.loads(text)
    assert text.endswith("\n")
