import json
from pathlib import Path

import numpy as np
import pytest

from posegram.data import coco
from posegram.data.coco_stream import Annotations, Results
from posegram.data.stream import Shot
from posegram.pose import COCO17, People


def people(count=2, seed=0, track=None):
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 400, (count, 17, 2)).astype(np.float32)
    score = rng.uniform(0, 1, (count, 17)).astype(np.float32)
    score[:, 0] = 0.9
    box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    return People(xy, score, box, COCO17, track)


def annotations(path, *found, **options):
    with Annotations(path, COCO17, **options) as out:
        for n, one in enumerate(found):
            out.add(one, frame=n, size=(480, 640))
    return json.loads(path.read_text())


def test_results_are_those_of_the_whole_file(tmp_path):
    with Results(tmp_path / "a.json", COCO17) as out:
        for n in range(3):
            out.add(people(seed=n), frame=n)
    whole = [entry for n in range(3) for entry in coco.results(n + 1, people(seed=n))]
    assert json.loads((tmp_path / "a.json").read_text()) == whole


def test_nobody_at_all_is_an_empty_list(tmp_path):
    with Results(tmp_path / "a.json", COCO17) as out:
        out.add(People.none(COCO17))
    assert json.loads((tmp_path / "a.json").read_text()) == []


def test_the_callers_number_is_the_image_id(tmp_path):
    with Results(tmp_path / "a.json", COCO17) as out:
        out.put(people(1), Shot(number=139))
    assert json.loads((tmp_path / "a.json").read_text())[0]["image_id"] == 139


def test_photos_without_a_number_count_from_1(tmp_path):
    with Annotations(tmp_path / "a.json", COCO17) as out:
        for name in ("x.jpg", "y.jpg"):
            out.add(people(1), image=Path(name))
    images = json.loads((tmp_path / "a.json").read_text())["images"]
    assert images == [{"id": 1, "file_name": "x.jpg"}, {"id": 2, "file_name": "y.jpg"}]


def test_annotations_have_all_that_other_tools_ask_for(tmp_path):
    whole = annotations(tmp_path / "a.json", people(), people(seed=1))
    assert set(whole) == {"info", "licenses", "images", "annotations", "categories"}
    assert [a["id"] for a in whole["annotations"]] == [1, 2, 3, 4]
    asked = {"id", "image_id", "category_id", "iscrowd", "bbox", "area", "num_keypoints"}
    assert all(asked | {"keypoints"} <= set(a) for a in whole["annotations"])
    assert whole["images"][1] == {
        "id": 2, "file_name": "frame_000001.png", "height": 480, "width": 640
    }  # fmt: skip


def test_bones_are_counted_from_1(tmp_path):
    (category,) = annotations(tmp_path / "a.json")["categories"]
    names = {tuple(category["keypoints"][end - 1] for end in bone) for bone in category["skeleton"]}
    assert names == set(COCO17.bones)


def test_a_score_becomes_a_flag_by_the_threshold(tmp_path):
    found = people(1)
    (entry,) = annotations(tmp_path / "a.json", found, threshold=0.5)["annotations"]
    flags = entry["keypoints"][2::3]
    assert flags == np.where(found.score[0] >= 0.5, 2, 0).tolist()
    assert entry["num_keypoints"] == np.count_nonzero(flags)


def test_an_unsure_joint_is_three_zeros(tmp_path):
    found = people(1)
    found.score[0, 5] = 0.1
    (entry,) = annotations(tmp_path / "a.json", found)["annotations"]
    assert entry["keypoints"][15:18] == [0, 0, 0]


def test_tracks_are_written_where_people_have_them(tmp_path):
    found = people(2, track=np.array([4, 8]))
    entries = annotations(tmp_path / "a.json", found)["annotations"]
    assert [entry["track_id"] for entry in entries] == [4, 8]


def test_the_file_says_who_made_it_and_by_which_threshold(tmp_path):
    info = annotations(tmp_path / "a.json", model="small", threshold=0.25)["info"]
    assert info["description"] == "People found by small; v = 2 where score >= 0.25, else 0"


def test_pycocotools_takes_the_annotations(tmp_path):
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO

    annotations(tmp_path / "a.json", people(), People.none(COCO17))
    assert len(COCO(str(tmp_path / "a.json")).anns) == 2


def test_a_run_that_is_broken_off_leaves_annotations_of_what_was_done(tmp_path):
    def run():
        with Annotations(tmp_path / "a.json", COCO17) as out:
            out.add(people(2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(json.loads((tmp_path / "a.json").read_text())["annotations"]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
