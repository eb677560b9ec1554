import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

import figures
import rcnns
import runs
import tiny
from posegram import data, train
from posegram import image as pictures
from posegram.cli import main
from posegram.data import coco
from posegram.infer.load import load
from posegram.pose import BODY19, COCO17, LSP14, Skeleton

module = sys.modules["posegram.cli.label"]  # the package's own `label` is the verb
resume = sys.modules["posegram.cli.resume"]


@pytest.fixture
def model(tmp_path):
    return tiny.constant(tmp_path / "model.onnx", skeleton=COCO17)


@pytest.fixture
def photos(tmp_path):
    """A folder of five plain photos."""
    (tmp_path / "photos").mkdir()
    for n in range(5):
        path = tmp_path / "photos" / f"p{n}.png"
        pictures.write(path, np.full((64, 48, 3), 128, dtype=np.uint8))
    return tmp_path / "photos"


def run(*args):
    """Exit code of one run of `posegram label`; drawn photos are one person."""
    with pytest.raises(SystemExit) as stop:
        main(["label", *map(str, args), "--detector", "none"])
    return stop.value.code


def content(path):
    return json.loads(path.read_text())


@pytest.fixture
def few(monkeypatch):
    """Chunks of two photos."""
    monkeypatch.setattr(resume, "_CHUNK", 2)


def stop_at(monkeypatch, count):
    """From now on reading the photo of that number ends the run as control-C does."""
    read, seen = pictures.read, []

    def reading(path):
        seen.append(path)
        if len(seen) == count:
            raise KeyboardInterrupt
        return read(path)

    monkeypatch.setattr(module.pictures, "read", reading)
    return seen


# what comes out


def test_a_folder_is_labelled(tmp_path, photos, model):
    out = tmp_path / "l.json"
    assert run(photos, "--model", model, "--out", out) == 0
    assert len(data.read(f"coco:{out}", photos)) == 5


@pytest.mark.parametrize("options", [(), ("--most-uncertain", 2)])
def test_a_folder_in_which_nobody_is_found_is_no_failure(tmp_path, photos, model, capsys, options):
    out = tmp_path / "l.json"
    assert run(photos, "--model", model, "--out", out, "--min-score", 1, *options) == 0
    assert content(out)["annotations"] == []
    assert "0 people" in capsys.readouterr().out
    assert not out.with_name("l.json.parts").exists()


def test_a_joint_is_where_the_model_puts_it(tmp_path, photos, model):
    run(photos, "--model", model, "--out", tmp_path / "l.json", "--min-score", 0)
    sample = data.read(f"coco:{tmp_path / 'l.json'}", photos)[0]
    wanted = tiny.places(COCO17) * (48, 64) - 0.5
    np.testing.assert_allclose(sample.xy, wanted, atol=1e-2)


def test_the_file_says_which_model_made_it_and_how(tmp_path, photos, model):
    run(photos, "--model", model, "--flip", "--rotations", "--out", tmp_path / "l.json")
    info = content(tmp_path / "l.json")["info"]
    assert (info["model"], info["flip"], info["rotations"]) == ("constant", True, True)


def test_the_least_score_decides_which_joints_are_labelled(tmp_path, photos, model):
    run(photos, "--model", model, "--out", tmp_path / "l.json", "--min-score", 0.5)
    score = 1 / (1 + np.exp(-tiny.logits(COCO17)))
    first = content(tmp_path / "l.json")["annotations"][0]
    assert first["num_keypoints"] == int((score >= 0.5).sum())


def test_a_data_sets_boxes_are_used(tmp_path, model):
    made = figures.samples(tmp_path / "images", 2)
    spec = f"coco:{coco.write(tmp_path / 'true.json', made, tmp_path / 'images')}"
    run(spec, "--model", model, "--out", tmp_path / "l.json")
    boxes = [s.box for s in data.read(f"coco:{tmp_path / 'l.json'}", tmp_path / "images")]
    np.testing.assert_allclose(boxes, [s.box for s in made], atol=1e-2)


def test_mending_gives_body19_and_says_so(tmp_path, model):
    made = figures.samples(tmp_path / "images", 2)
    spec = f"coco:{coco.write(tmp_path / 'true.json', made, tmp_path / 'images')}"
    assert run(spec, "--model", model, "--mend", 0.85, "--out", tmp_path / "l.json") == 0
    whole = content(tmp_path / "l.json")
    said = (whole["categories"][0]["keypoints"], whole["annotations"][0]["label_source"])
    assert said == (list(BODY19.joints), "mended")


def other(path):
    """A model that answers as `model` does, under another name."""
    return tiny.constant(path / "other.onnx", skeleton=LSP14)


def test_a_second_model_changes_only_joints_that_it_knows(tmp_path, photos, model):
    options = ("--second", other(tmp_path), "--min-score", 0)
    run(photos, "--model", model, "--out", tmp_path / "one.json", "--min-score", 0)
    run(photos, "--model", model, *options, "--out", tmp_path / "two.json")
    first, second = (content(tmp_path / f"{n}.json")["annotations"][0] for n in ("one", "two"))
    shared = [3 * COCO17.joints.index("nose") + n for n in (0, 1)]  # LSP has no nose
    assert [first["keypoints"][n] for n in shared] == [second["keypoints"][n] for n in shared]
    assert first["keypoint_scores"] != second["keypoint_scores"]


def test_the_file_says_which_second_model_was_asked(tmp_path, photos, model):
    run(photos, "--model", model, "--second", other(tmp_path), "--out", tmp_path / "l.json")
    assert content(tmp_path / "l.json")["info"]["second"]["model"] == "constant"


def test_an_adapter_without_its_model_is_refused(tmp_path, photos, capsys):
    assert run(photos, "--adapter", "movenet", "--out", tmp_path / "l.json") == 2
    assert "give it as --model" in capsys.readouterr().err


def test_a_detector_beside_boxes_is_refused(tmp_path, photos, model, capsys):
    (tmp_path / "b.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "p0.png"}],
                "annotations": [{"image_id": 1, "bbox": [1, 1, 20, 20]}],
            }
        )
    )
    options = ("--boxes", tmp_path / "b.json", "--detector", "detector", "--model", model)
    with pytest.raises(SystemExit) as stop:
        main(["label", *map(str, (photos, *options, "--out", tmp_path / "l.json"))])
    assert stop.value.code == 2
    assert "--detector is for photos without boxes" in capsys.readouterr().err


def test_a_second_adapter_without_a_second_model_is_refused(tmp_path, photos, model, capsys):
    options = ("--second-adapter", "movenet", "--out", tmp_path / "l.json")
    assert run(photos, "--model", model, *options) == 2
    assert "give --second as well" in capsys.readouterr().err


def test_a_second_model_does_not_go_with_choosing(tmp_path, photos, model, capsys):
    options = ("--second", other(tmp_path), "--most-uncertain", 2, "--out", tmp_path / "l.json")
    assert run(photos, "--model", model, *options) == 2
    assert "--second and --most-uncertain" in capsys.readouterr().err


def test_a_foreign_network_needs_its_adapter(tmp_path, photos, capsys):
    network = tiny.bare(tmp_path / "foreign.onnx", {})
    code = run(photos, "--model", network, "--adapter", "movenet", "--out", tmp_path / "l.json")
    assert (code, "does not fit the adapter 'movenet'" in capsys.readouterr().err) == (2, True)


# the photos most worth labelling


@pytest.fixture
def figure_photos(tmp_path):
    """Photos of six different stick figures, and their true labels."""
    made = figures.samples(tmp_path / "all", 6, skeleton=LSP14, freedom=0.4)
    rng = np.random.default_rng(0)
    for sample in made:
        noise = np.kron(rng.integers(0, 99, (6, 5, 3)), np.ones((40, 40, 1))).astype(np.uint8)
        figures.draw(noise, sample.xy, LSP14)
        pictures.write(sample.image, noise)
    return tmp_path / "all", made


def test_the_most_doubtful_photos_are_laid_out_to_be_labelled(tmp_path, figure_photos):
    model = tiny.constant(tmp_path / "model.onnx")
    out = tmp_path / "one" / "labels.json"
    assert run(figure_photos[0], "--model", model, "--most-uncertain", 2, "--out", out) == 0
    assert sorted(p.name for p in out.parent.iterdir()) == [
        *("images", "labels.json", "labels.ranking.csv", "labels.sheet.png")
    ]
    assert len(data.read(f"coco:{out}")) == len(list((out.parent / "images").iterdir())) == 2


def test_photos_labelled_before_are_skipped(tmp_path, figure_photos):
    model = tiny.constant(tmp_path / "model.onnx")
    rounds = [tmp_path / name / "labels.json" for name in ("one", "two")]
    common = (figure_photos[0], "--model", model, "--most-uncertain", 3)
    assert run(*common, "--out", rounds[0]) == 0
    assert run(*common, "--skip", rounds[0], "--out", rounds[1]) == 0
    names = [{s.image.name for s in data.read(f"coco:{path}")} for path in rounds]
    assert (len(names[0] | names[1]), names[0] & names[1]) == (6, set())


def test_labels_go_round_from_the_model_by_a_person_to_the_next_model(tmp_path, figure_photos):
    folder, truth = figure_photos
    model = tiny.constant(tmp_path / "model.onnx")
    out = tmp_path / "one" / "labels.json"
    assert run(folder, "--model", model, "--most-uncertain", 4, "--out", out) == 0
    whole = content(out)  # now a person moves every joint to its place
    names = {image["id"]: image["file_name"] for image in whole["images"]}
    true = {sample.image.name: sample for sample in truth}
    for record in whole["annotations"]:
        sample = true[names[record["image_id"]]]
        record["keypoints"] = np.column_stack([sample.xy, sample.visible]).ravel().tolist()
    corrected = out.with_name("corrected.json")
    corrected.write_text(json.dumps(whole))
    onnx = train.fit(runs.settings(tmp_path, f"coco:{corrected}", epochs=1), progress=False)
    image = pictures.read(truth[0].image)
    assert load(onnx, detector="none")(image).skeleton.joints == LSP14.joints


def test_a_second_round_in_the_same_folder_is_refused(tmp_path, figure_photos, capsys):
    model, out = tiny.constant(tmp_path / "model.onnx"), tmp_path / "one" / "labels.json"
    common = (figure_photos[0], "--model", model, "--most-uncertain", 1, "--out", out)
    assert (run(*common), run(*common)) == (0, 2)
    assert "give each round a folder of its own" in capsys.readouterr().err


def test_mending_does_not_go_with_choosing(tmp_path, photos, model, capsys):
    args = ("--model", model, "--out", tmp_path / "l.json", "--mend", 0.85, "--most-uncertain", 2)
    assert run(photos, *args) == 2
    assert "do not go together" in capsys.readouterr().err


# photos that cannot be read


def test_a_broken_photo_is_listed_and_the_others_are_done(tmp_path, photos, model, capsys):
    (photos / "p2.png").write_bytes(b"no picture")
    assert run(photos, "--model", model, "--out", tmp_path / "l.json") == 1
    listed = capsys.readouterr().err
    done = len(content(tmp_path / "l.json")["annotations"])
    assert ("1 photo failed" in listed, "p2.png is not a readable" in listed, done) == (
        True,
        True,
        4,
    )


def test_a_photo_of_another_size_than_its_boxes_is_listed(tmp_path, photos, model, capsys):
    whole = {
        "images": [
            {"id": 1, "file_name": "p0.png", "height": 640, "width": 480},
            {"id": 2, "file_name": "p1.png", "height": 64, "width": 48},
        ],
        "annotations": [{"image_id": n, "bbox": [1, 1, 20, 20]} for n in (1, 2)],
    }
    (tmp_path / "b.json").write_text(json.dumps(whole))
    args = ("--model", model, "--boxes", tmp_path / "b.json", "--out", tmp_path / "l.json")
    assert run(photos, *args) == 1
    assert "p0.png is 48x64 pixels, but its boxes were given for 480x640" in capsys.readouterr().err


def test_without_a_readable_photo_there_is_no_file(tmp_path, photos, model):
    for path in photos.iterdir():
        path.write_bytes(b"no picture")
    assert run(photos, "--model", model, "--out", tmp_path / "l.json") == 1
    assert not (tmp_path / "l.json").exists()


# an interrupted run


def test_an_interrupted_run_goes_on_where_it_was(tmp_path, photos, model, few, monkeypatch):
    args = (photos, "--model", model, "--out", tmp_path / "l.json")
    with monkeypatch.context() as patch:
        stop_at(patch, 4)  # in the second chunk of two
        assert run(*args) != 0
    seen = stop_at(monkeypatch, 99)
    run(*args)
    assert sorted(path.name for path in seen) == ["p2.png", "p3.png", "p4.png"]


def test_an_interrupted_run_ends_with_the_same_file(tmp_path, photos, model, few, monkeypatch):
    run(photos, "--model", model, "--out", tmp_path / "whole.json")
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        run(photos, "--model", model, "--out", tmp_path / "l.json")
    run(photos, "--model", model, "--out", tmp_path / "l.json")
    assert content(tmp_path / "l.json") == content(tmp_path / "whole.json")


def test_an_interrupted_run_says_how_to_go_on(tmp_path, photos, model, few, monkeypatch, capsys):
    stop_at(monkeypatch, 4)
    run(photos, "--model", model, "--out", tmp_path / "l.json")
    said = capsys.readouterr().err.splitlines()
    assert "posegram: stopped; the same command goes on from here" in said


def test_an_interrupted_run_leaves_no_file_that_looks_finished(
    tmp_path, photos, model, few, monkeypatch
):
    stop_at(monkeypatch, 4)
    run(photos, "--model", model, "--out", tmp_path / "l.json")
    assert not (tmp_path / "l.json").exists()


def test_going_on_with_other_settings_is_refused(tmp_path, photos, model, few, monkeypatch, capsys):
    args = (photos, "--model", model, "--out", tmp_path / "l.json")
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        run(*args)
    assert run(*args, "--flip") == 2
    assert "is of a run with another flip" in capsys.readouterr().err


def test_a_photo_that_failed_is_tried_again(tmp_path, photos, model, few, monkeypatch):
    good = (photos / "p0.png").read_bytes()
    (photos / "p0.png").write_bytes(b"no picture")
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        run(photos, "--model", model, "--out", tmp_path / "l.json")
    (photos / "p0.png").write_bytes(good)
    assert run(photos, "--model", model, "--out", tmp_path / "l.json") == 0


def test_a_photo_replaced_since_is_looked_at_again(tmp_path, photos, model, few, monkeypatch):
    args = (photos, "--model", model, "--out", tmp_path / "l.json")
    with monkeypatch.context() as patch:
        stop_at(patch, 4)  # the first two photos are done
        run(*args)
    pictures.write(photos / "p0.png", np.full((50, 40, 3), 128, dtype=np.uint8))
    seen = stop_at(monkeypatch, 99)
    run(*args)
    assert sorted(path.name for path in seen) == ["p0.png", "p2.png", "p3.png", "p4.png"]


def test_a_finished_run_leaves_nothing_but_its_file(tmp_path, photos, model):
    (tmp_path / "out").mkdir()
    run(photos, "--model", model, "--out", tmp_path / "out" / "l.json")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["l.json"]


# misuse


def test_mending_without_labels_is_refused(tmp_path, photos, model, capsys):
    assert run(photos, "--model", model, "--mend", 0.85, "--out", tmp_path / "l.json") == 2
    assert "has no labels" in capsys.readouterr().err


def test_a_folder_to_write_is_refused_before_any_work(tmp_path, photos, model, capsys):
    assert run(photos, "--model", model, "--out", tmp_path) == 2
    assert f"cannot write {tmp_path}: it is a folder" in capsys.readouterr().err
    assert not tmp_path.with_name(f"{tmp_path.name}.parts").exists()


def test_labels_are_never_replaced_by_what_is_made_of_them(tmp_path, model, capsys):
    source = coco.write(tmp_path / "source.json", figures.samples(tmp_path / "f", 2))
    before = source.read_bytes()
    assert run(source, "--mend", 0.85, "--model", model, "--out", source) == 2
    assert "what is read is never changed" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_a_missing_source_is_refused(tmp_path, model, capsys):
    assert run(tmp_path / "gone", "--model", model, "--out", tmp_path / "l.json") == 2
    assert "gone: no such file or folder" in capsys.readouterr().err


def test_a_keypoint_rcnn_labels_whom_it_finds(tmp_path):
    weights = {f"network.{k}": v for k, v in rcnns.kept().state_dict().items()}
    torch.save({"card": rcnns.card().to_json(), "state_dict": weights}, tmp_path / "best.ckpt")
    (tmp_path / "in").mkdir()
    pictures.write(tmp_path / "in" / "a.png", rcnns.photo())
    model = f"{tmp_path / 'best.ckpt'}:box_score=0.05,people=3"
    assert run(tmp_path / "in", "--model", model, "--out", tmp_path / "o.json") == 0
    assert len(content(tmp_path / "o.json")["annotations"]) == 3


def test_photos_that_the_boxes_do_not_list_are_told(tmp_path, photos, model, capsys):
    whole = {"images": [{"id": 1, "file_name": "p0.png"}],
             "annotations": [{"image_id": 1, "bbox": [1, 1, 20, 20]}]}  # fmt: skip
    (tmp_path / "b.json").write_text(json.dumps(whole))
    args = ("--model", model, "--boxes", tmp_path / "b.json", "--out", tmp_path / "l.json")
    assert run(photos, *args) == 0
    assert "4 photos not in the file of boxes, so left out" in capsys.readouterr().err


def test_joints_that_mending_has_no_place_for_are_told(tmp_path, model, capsys):
    toes = Skeleton("toes", (*COCO17.joints, "toe"))
    made = figures.samples(tmp_path / "images", 2, skeleton=COCO17)
    wide = [
        replace(s, skeleton=toes, xy=np.vstack([s.xy, [[9, 9]]]), visible=np.append(s.visible, 2))
        for s in made
    ]
    spec = f"coco:{coco.write(tmp_path / 'l.json', wide, tmp_path / 'images')}"
    run(
        spec,
        "--images",
        tmp_path / "images",
        "--model",
        model,
        "--mend",
        "0.8",
        "--out",
        tmp_path / "m.json",
    )
    assert "--mend writes body19: 2 " in capsys.readouterr().err
