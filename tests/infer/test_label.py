import json
from pathlib import Path

import numpy as np
import pytest

import figures
from posegram import data
from posegram import image as pictures
from posegram.data import coco
from posegram.infer import label as labels
from posegram.infer.label import Task
from posegram.pose import BODY19, COCO17, LSP14, MPII16, People, convert


def photo(path, size=(60, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures.write(path, np.full((*size, 3), 128, dtype=np.uint8))
    return path


def found(skeleton=COCO17, people=1, score=0.9):
    """People whose joints lie at (10 k, 20 k)."""
    k = len(skeleton)
    xy = np.repeat(np.column_stack([np.arange(k) * 10, np.arange(k) * 20])[None], people, axis=0)
    scores = np.broadcast_to(np.float32(score), (people, k)).astype(np.float32)
    boxes = np.tile(np.array([[1, 2, 30, 40]], dtype=np.float32), (people, 1))
    return People(xy.astype(np.float32), scores, boxes, skeleton)


def boxes_file(path, names, annotations, categories=()):
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    whole = {"images": images, "annotations": annotations, "categories": list(categories)}
    path.write_text(json.dumps(whole))
    return path


# what there is to do


def test_a_folder_gives_its_photos_without_boxes(tmp_path):
    paths = [photo(tmp_path / "p" / name) for name in ("a2.png", "a10.png")]
    work = labels.tasks(str(tmp_path / "p"))
    assert [(t.photo, t.box) for t in work] == [(p, None) for p in paths]


def test_photos_with_a_note_among_them_are_photos_without_boxes(tmp_path):
    photo(tmp_path / "p" / "a.png")
    (tmp_path / "p" / "readme.txt").write_text("from the lake")
    (task,) = labels.tasks(str(tmp_path / "p"))
    assert task.box is None


def test_a_range_of_a_folder_of_photos_is_refused(tmp_path):
    photo(tmp_path / "p" / "a.png")
    with pytest.raises(ValueError, match="p#1-1 is a folder of photos; a range goes with labels"):
        labels.tasks(f"{tmp_path / 'p'}#1-1")


def test_labels_whose_pictures_are_all_elsewhere_are_refused(tmp_path):
    made = figures.samples(tmp_path, 2)
    spec = f"coco:{coco.write(tmp_path / 'l.json', made, tmp_path)}"
    for sample in made:
        sample.image.unlink()
    with pytest.raises(FileNotFoundError, match=r"2 of 2 pictures missing; --images says where"):
        labels.tasks(spec)


def test_labels_give_each_photo_once_with_all_its_boxes(tmp_path):
    made = figures.samples(tmp_path, 2)
    spec = f"coco:{coco.write(tmp_path / 'l.json', [made[0], made[1], made[0]], tmp_path)}"
    assert [t.box.shape for t in labels.tasks(spec)] == [(2, 4), (1, 4)]


def test_boxes_come_by_file_name_and_other_photos_are_left_out(tmp_path):
    photo(tmp_path / "p" / "a.png")
    photo(tmp_path / "p" / "b.png")
    file = boxes_file(tmp_path / "b.json", ["b.png"], [{"image_id": 0, "bbox": [1, 2, 3, 4]}])
    (task,) = labels.tasks(str(tmp_path / "p"), file)
    assert (task.photo.name, task.box.tolist()) == ("b.png", [[1, 2, 4, 6]])


def test_neither_crowds_nor_other_things_than_people_are_boxed(tmp_path):
    photo(tmp_path / "p" / "a.png")
    box = {"image_id": 0, "bbox": [1, 2, 3, 4]}
    some = [
        box | {"category_id": 5},
        box | {"category_id": 7, "iscrowd": 1},
        box | {"category_id": 7, "bbox": [0, 0, 9, 9]},
    ]
    kinds = [{"id": 5, "name": "dog"}, {"id": 7, "name": "person"}]
    file = boxes_file(tmp_path / "b.json", ["a.png"], some, kinds)
    (task,) = labels.tasks(str(tmp_path / "p"), file)
    assert task.box.tolist() == [[0, 0, 9, 9]]


def test_boxes_for_other_photos_are_refused(tmp_path):
    photo(tmp_path / "p" / "a.png")
    file = boxes_file(tmp_path / "b.json", ["z.png"], [{"image_id": 0, "bbox": [1, 2, 3, 4]}])
    with pytest.raises(ValueError, match="lists none of the photos"):
        labels.tasks(str(tmp_path / "p"), file)


@pytest.mark.parametrize("reader", ["", "folder:"])
def test_a_folder_of_images_beside_photos_is_refused(tmp_path, reader):
    photo(tmp_path / "p" / "a.png")
    with pytest.raises(ValueError, match="p is a folder of photos; --images goes with labels"):
        labels.tasks(f"{reader}{tmp_path / 'p'}", images=tmp_path)


def test_boxes_beside_labels_are_refused(tmp_path):
    spec = f"coco:{coco.write(tmp_path / 'l.json', figures.samples(tmp_path, 1), tmp_path)}"
    with pytest.raises(ValueError, match="has boxes of its own"):
        labels.tasks(spec, tmp_path / "b.json")


@pytest.mark.parametrize("kinds", [["person"], [{"name": "person"}]])
def test_a_wrong_category_is_refused_with_its_record(tmp_path, kinds):
    photo(tmp_path / "p" / "a.png")
    file = boxes_file(
        tmp_path / "b.json", ["a.png"], [{"image_id": 0, "bbox": [1, 2, 3, 4]}], kinds
    )
    with pytest.raises(ValueError, match=r"b\.json: category 0 is wrong"):
        labels.tasks(str(tmp_path / "p"), file)


def test_a_source_that_is_not_there_is_not_said_to_have_boxes(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone: no such file or folder"):
        labels.tasks(str(tmp_path / "gone"), tmp_path / "b.json")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no photo"):
        labels.tasks(f"folder:{tmp_path}")


# between runs


def test_a_record_gives_the_people_back():
    people = convert(found(LSP14, 2), COCO17)  # without a face, so with NaN
    back = labels.from_record(json.loads(json.dumps(labels.to_record(people, (3, 4)))), COCO17)
    for name in ("xy", "score", "box"):
        np.testing.assert_allclose(getattr(back, name), getattr(people, name), atol=1e-3)


def test_a_record_of_nobody_gives_nobody():
    record = labels.to_record(People.none(COCO17), (3, 4))
    assert len(labels.from_record(record, COCO17)) == 0


# labels by a model


def test_a_joint_below_the_least_score_is_not_labelled():
    score = np.linspace(0, 0.96, 17)
    (made,) = labels.as_labels(Task(Path("a.png")), found(score=score), least=0.5)
    assert made.sample.visible.tolist() == (score >= 0.5).astype(int).tolist()


def test_a_labels_weight_is_its_score_squared():
    (made,) = labels.as_labels(Task(Path("a.png")), found(score=0.8), least=0.5)
    np.testing.assert_allclose(made.sample.weight, 0.64, atol=1e-6)


def test_somebody_without_any_joint_is_left_out():
    assert labels.as_labels(Task(Path("a.png")), found(score=0.2), least=0.5) == []


def test_a_box_that_was_given_stays():
    (made,) = labels.as_labels(Task(Path("a.png")), found(), least=0.5)
    assert made.sample.box.tolist() == [1, 2, 30, 40]


def test_a_whole_photos_person_is_boxed_by_the_joints():
    (made,) = labels.as_labels(Task(Path("a.png")), found(), least=0.5, whole=True)
    grown = 0.06 * 320  # of the longer side of joints from (0, 0) to (160, 320)
    np.testing.assert_allclose(
        made.sample.box, [-grown, -grown, 160 + grown, 320 + grown], atol=1e-3
    )


# labels mended by a model


def lsp_task(tmp_path, skeleton=LSP14):
    (sample,) = figures.samples(tmp_path, 1, skeleton=skeleton)
    return Task(sample.image, sample.box[None], (sample,)), sample


def teacher(sample, score=0.95):
    """A COCO teacher who sees each labelled joint one pixel to the right, and a face at (5, 5)."""
    given = People(
        sample.xy[None] + np.float32([1, 0]),
        np.full((1, len(sample.skeleton)), score, np.float32),
        sample.box[None],
        sample.skeleton,
    )
    people = convert(given, COCO17)
    face = np.isnan(people.xy[..., 0])
    people.xy[face], people.score[face] = 5, score
    return people


def test_joints_meet_by_name_and_agreeing_ones_by_their_mean(tmp_path):
    task, sample = lsp_task(tmp_path)
    (made,) = labels.mended(task, teacher(sample), trust=0.85, least=0.3)
    wrist = made.sample.xy[BODY19.index("left_wrist")]
    np.testing.assert_allclose(
        wrist, sample.xy[LSP14.index("left_wrist")] + np.float32([0.5, 0]), atol=1e-3
    )


def test_a_joint_that_only_the_teacher_knows_is_added(tmp_path):
    task, sample = lsp_task(tmp_path)
    (made,) = labels.mended(task, teacher(sample), trust=0.85, least=0.3)
    nose = BODY19.index("nose")
    assert (made.sample.xy[nose].tolist(), int(made.sample.visible[nose])) == ([5, 5], 1)


def test_a_joint_that_the_teacher_lacks_keeps_its_label(tmp_path):
    task, sample = lsp_task(tmp_path)
    (made,) = labels.mended(task, teacher(sample), trust=0.85, least=0.3)
    np.testing.assert_array_equal(
        made.sample.xy[BODY19.index("head_top")], sample.xy[LSP14.index("head_top")]
    )


def test_a_teacher_below_the_least_score_changes_nothing(tmp_path):
    task, sample = lsp_task(tmp_path)
    (made,) = labels.mended(task, teacher(sample, 0.2), trust=0.85, least=0.3)
    rows = [BODY19.index(joint) for joint in LSP14.joints]
    np.testing.assert_array_equal(made.sample.xy[rows], sample.xy)


def test_mpiis_upper_neck_is_the_neck(tmp_path):
    task, sample = lsp_task(tmp_path, MPII16)
    (made,) = labels.mended(task, teacher(sample), trust=0.85, least=0.3)
    np.testing.assert_array_equal(
        made.sample.xy[BODY19.index("neck")], sample.xy[MPII16.index("upper_neck")]
    )


def test_another_number_of_people_than_labels_is_refused(tmp_path):
    task, _ = lsp_task(tmp_path)
    with pytest.raises(ValueError, match=r"figure0000\.png: 2 people came back for 1 labelled"):
        labels.mended(task, found(people=2), trust=0.85, least=0.3)


# the file


@pytest.fixture
def written(tmp_path):
    """A file of two people in one photo, another photo being empty, and its content."""
    one, two = photo(tmp_path / "p" / "a.png"), photo(tmp_path / "p" / "b.png")
    made = labels.as_labels(Task(one), found(people=2, score=0.8), least=0.5)
    sizes = {two: (60, 80), one: (60, 80)}
    path = labels.write(tmp_path / "l.json", made, sizes, {"model": "theirs"}, COCO17)
    return path, json.loads(path.read_text())


def test_the_file_can_be_read_as_labels(written, tmp_path):
    samples = data.read(f"coco:{written[0]}", tmp_path / "p")
    np.testing.assert_allclose([s.xy for s in samples], found(people=2).xy)


def test_the_file_keeps_the_weights(written, tmp_path):
    (one, _) = data.read(f"coco:{written[0]}", tmp_path / "p")
    np.testing.assert_allclose(one.weight, 0.64, atol=1e-3)


def test_the_file_names_the_model(written):
    assert written[1]["info"]["model"] == "theirs"


def test_every_annotation_says_that_a_model_made_it(written):
    assert [a["label_source"] for a in written[1]["annotations"]] == ["model", "model"]


def test_every_annotation_has_a_score_and_one_for_each_joint(written):
    first = written[1]["annotations"][0]
    assert (first["score"], first["keypoint_scores"]) == (pytest.approx(0.8), [0.8] * 17)


def test_a_photo_without_people_stands_among_the_images(written):
    assert [(i["id"], i["file_name"]) for i in written[1]["images"]] == [(1, "a.png"), (2, "b.png")]


def test_relative_and_absolute_paths_give_the_same_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(Path("p/deep/a.png"))
    photo(Path("p/b.png"))

    def names(root):
        one, two = root / "p/deep/a.png", root / "p/b.png"
        made = labels.as_labels(Task(one), found(), least=0.5)
        path = labels.write(root / "l.json", made, {one: (60, 80), two: (60, 80)}, {}, COCO17)
        return path.read_text()

    assert names(Path()) == names(tmp_path)


def test_a_file_of_nobody_lists_the_photos(tmp_path):
    sizes = {photo(tmp_path / "a.png"): (60, 80)}
    whole = json.loads(labels.write(tmp_path / "l.json", [], sizes, {"a": 1}, LSP14).read_text())
    image = {"id": 1, "file_name": "a.png", "height": 60, "width": 80}
    assert (whole["images"], whole["annotations"], whole["info"]) == ([image], [], {"a": 1})
    assert whole["categories"][0]["keypoints"] == list(LSP14.joints)


def test_nothing_but_the_file_is_left(written):
    assert sorted(p.name for p in written[0].parent.iterdir()) == ["l.json", "p"]
