import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

import rcnns
import tiny
from posegram import image as pictures
from posegram.cli import main
from posegram.data import yolo_folders
from posegram.models import published
from posegram.pose import BODY19, COCO17, LSP14, MPII16


@pytest.fixture
def model(tmp_path):
    return tiny.constant(tmp_path / "model.onnx", skeleton=COCO17)


def photo(path, height=120, width=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures.write(path, np.full((height, width, 3), 128, dtype=np.uint8))
    return path


def run(*args):
    """Exit code of one run of `posegram predict`; drawn photos are one person, unless told."""
    whole = () if "--detector" in args else ("--detector", "none")
    with pytest.raises(SystemExit) as stop:
        main(["predict", *map(str, args), *whole])
    return stop.value.code


def load(path):
    return json.loads(path.read_text())


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


# what a photo's results are


def test_a_photo_gives_a_picture_and_json(tmp_path, model):
    assert run(photo(tmp_path / "street.png"), "--out", tmp_path / "out", "--model", model) == 0
    assert listing(tmp_path / "out") == ["street.json", "street.png"]


def test_the_json_holds_names_pixels_and_scores(tmp_path):
    truth = np.array([[20, 30], [70, 55], [40, 80]])
    pictures.write(tmp_path / "spots.png", tiny.spots(truth, (128, 128)))
    model = tiny.colours(tmp_path / "m.onnx")
    run(tmp_path / "spots.png", "--out", tmp_path / "out", "--model", model)
    (person,) = load(tmp_path / "out" / "spots.json")["people"]
    found = [(person["joints"][j]["x"], person["joints"][j]["y"]) for j in tiny.RGB.joints]
    np.testing.assert_allclose(found, truth, atol=1.0)


def test_without_boxes_the_whole_photo_is_one_person(tmp_path, model):
    run(photo(tmp_path / "a.png", 64, 48), "--out", tmp_path / "out", "--model", model)
    (person,) = load(tmp_path / "out" / "a.json")["people"]
    first = tiny.places(COCO17)[0] * (48, 64) - 0.5
    assert (person["joints"]["nose"]["x"], person["joints"]["nose"]["y"]) == pytest.approx(first)


def test_the_picture_has_the_photos_size_and_a_person_in_it(tmp_path, model):
    run(photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    drawn = pictures.read(tmp_path / "out" / "a.png")
    assert (drawn.shape, bool((drawn != 128).any())) == ((120, 100, 3), True)


def test_a_threshold_hides_joints_in_the_picture(tmp_path, model):
    args = (photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    run(*args, "--threshold", "1")
    assert (pictures.read(tmp_path / "out" / "a.png") == 128).all()


def test_pictures_are_left_out_on_request(tmp_path, model):
    run(photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model, "--no-pictures")
    assert listing(tmp_path / "out") == ["a.json"]


def test_a_photo_lying_on_its_side_is_stood_upright(tmp_path, model):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    PIL.Image.new("RGB", (60, 40)).save(tmp_path / "a.jpg", exif=exif)
    run(tmp_path / "a.jpg", "--out", tmp_path / "out", "--model", model)
    record = load(tmp_path / "out" / "a.json")
    assert (record["width"], record["height"]) == (40, 60)


def test_a_run_without_a_terminal_ends_with_one_line(tmp_path, model, capsys):
    run(photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    told = capsys.readouterr()
    assert (told.out, told.err) == (f"1 photo, 1 person -> {tmp_path / 'out'}\n", "")


# the choice of joints


@pytest.mark.parametrize("name", ["coco17", "body19", "lsp14", "mpii16"])
def test_the_skeleton_is_chosen_by_name(tmp_path, model, name):
    args = (photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    run(*args, "--skeleton", name)
    assert load(tmp_path / "out" / "a.json")["skeleton"] == name


def test_joints_that_the_model_lacks_are_null(tmp_path, model):
    args = (photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    run(*args, "--skeleton", "lsp14")
    (person,) = load(tmp_path / "out" / "a.json")["people"]
    assert [j for j, at in person["joints"].items() if at is None] == ["neck", "head_top"]


@pytest.mark.parametrize(
    ("own", "written"),
    [(LSP14, "lsp14"), (MPII16, "mpii16"), (COCO17, "coco17"), (BODY19, "coco17")],
    ids=lambda s: getattr(s, "name", s),
)
def test_the_usual_joints_are_the_models_own_but_cocos_for_body19(tmp_path, own, written):
    model = tiny.constant(tmp_path / "m.onnx", skeleton=own)
    run(photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    assert load(tmp_path / "out" / "a.json")["skeleton"] == written


# folders and names


def test_a_folder_gives_the_results_of_every_photo_in_it(tmp_path, model):
    for name in ("a.png", "b.JPG", "c.webp"):
        photo(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("not a photo")
    run(tmp_path / "in", "--out", tmp_path / "out", "--model", model)
    told = ["a.json", "a.png", "b.JPG", "b.json", "c.json", "c.webp"]
    assert listing(tmp_path / "out") == told


def test_what_is_left_out_of_a_folder_is_said(tmp_path, model, capsys):
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "more" / "b.png")
    for name in ("b.psd", "c.DNG", "d.psd", ".hidden"):
        (tmp_path / "in" / name).touch()
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--model", model) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"posegram: {tmp_path / 'in'}: 3 files left out: .dng, .psd",
        f"posegram: {tmp_path / 'in'}: 1 folder left out: --recursive opens it",
    ]


def test_a_folder_of_folders_alone_says_how_to_open_them(tmp_path, model, capsys):
    photo(tmp_path / "in" / "more" / "b.png")
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--model", model) == 2
    assert "1 folder left out: --recursive opens it" in capsys.readouterr().err


@pytest.fixture
def deep(tmp_path):
    """A folder with a photo of one name in it and below."""
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "one" / "a.png")
    return tmp_path / "in"


def _all(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_results_of_folders_within_folders_keep_the_folders(tmp_path, model, deep, capsys):
    assert run(deep, "--out", tmp_path / "out", "--model", model, "--recursive") == 0
    assert _all(tmp_path / "out") == ["a.json", "a.png", "one/a.json", "one/a.png"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("form", "name"), [("coco", "images.json"), ("coco-annotations", "photos_coco.json")]
)
def test_file_names_of_folders_within_folders_keep_the_folders(tmp_path, model, deep, form, name):
    args = ("--out", tmp_path / "out", "--model", model, "--format", form, "--no-pictures")
    run(deep, *args, "--recursive")
    listed = load(tmp_path / "out" / name)
    images = listed if form == "coco" else listed["images"]
    assert [image["file_name"] for image in images] == ["a.png", "one/a.png"]


def test_labels_of_folders_within_folders_keep_the_folders(tmp_path, model, deep):
    run(deep, "--out", tmp_path / "out", "--model", model, "--format", "yolo", "--recursive")
    labels = [name for name in _all(tmp_path / "out") if name.endswith(".txt")]
    assert [name.rpartition("labels/")[2] for name in labels] == ["a.txt", "one/a.txt"]


def test_results_in_the_folder_itself_are_not_looked_at_again(tmp_path, model, deep, capsys):
    for _ in range(2):
        run(deep, "--out", deep / "out", "--model", model, "--recursive")
    assert _all(deep / "out") == ["a.json", "a.png", "one/a.json", "one/a.png"]
    assert capsys.readouterr().err == ""


def test_a_folder_is_read_in_natural_order(tmp_path, model):
    for n in (10, 9, 1):
        photo(tmp_path / "in" / f"frame{n}.png")
    args = ("--out", tmp_path / "out", "--model", model, "--format", "coco")
    run(tmp_path / "in", *args)
    names = [image["file_name"] for image in load(tmp_path / "out" / "images.json")]
    assert names == ["frame1.png", "frame9.png", "frame10.png"]


def test_a_photo_named_twice_is_done_once(tmp_path, model, capsys):
    a = photo(tmp_path / "in" / "a.png")
    run(a, tmp_path / "in", "--out", tmp_path / "out", "--model", model)
    assert capsys.readouterr().out.startswith("1 photo,")


def test_photos_of_one_name_do_not_overwrite_each_other(tmp_path, model):
    given = [photo(tmp_path / f / "a.png") for f in ("x", "y")] + [photo(tmp_path / "x" / "a.jpg")]
    run(*given, "--out", tmp_path / "out", "--model", model)
    told = {f"a{n}.json": p.as_posix() for n, p in zip(("", "_2", "_3"), given, strict=True)}
    assert {p.name: load(p)["image"] for p in (tmp_path / "out").glob("*.json")} == told


def test_a_new_name_is_nobody_elses(tmp_path, model):
    given = [photo(tmp_path / f) for f in ("x/a.png", "y/a.png", "x/a_2.png")]
    run(*given, "--out", tmp_path / "out", "--model", model)
    assert listing(tmp_path / "out") == sorted(
        f"{n}.{end}" for n in ("a", "a_2", "a_3") for end in ("json", "png")
    )
    assert load(tmp_path / "out" / "a_2.json")["image"] == given[2].as_posix()


def test_photos_of_one_name_have_yolo_labels_each(tmp_path, model):
    for name in ("a.jpg", "a.png", "a_2.png"):
        photo(tmp_path / "in" / name)
    args = ("--model", model, "--format", "yolo")
    assert run(tmp_path / "in", "--out", tmp_path / "out", *args) == 0
    found = tmp_path / "out" / "photos_yolo"
    assert listing(found / "labels") == ["a.txt", "a_2.txt", "a_3.txt"]
    assert listing(found / "images") == ["a.jpg", "a_2.png", "a_3.png"]
    assert (found / "images" / "a_3.png").samefile(tmp_path / "in" / "a.png")
    assert len(yolo_folders.pairs(found)) == 3


def test_yolo_labels_beside_the_photos_keep_the_photos_names(tmp_path, model):
    photo(tmp_path / "in" / "a.png")
    args = ("--model", model, "--format", "yolo", "--no-pictures")
    run(tmp_path / "in", "--out", tmp_path / "in", *args)
    assert listing(tmp_path / "in" / "photos_yolo" / "labels") == ["a.txt"]
    assert not (tmp_path / "in" / "photos_yolo" / "images").exists()  # as --no-pictures says


def test_names_that_differ_in_case_alone_do_not_overwrite_each_other(tmp_path, model):
    given = [photo(tmp_path / "x" / "A.png"), photo(tmp_path / "y" / "a.png")]
    run(*given, "--out", tmp_path / "out", "--model", model, "--no-pictures")
    assert listing(tmp_path / "out") == ["A.json", "a_2.json"]


def test_results_beside_the_photos_leave_the_photos_alone(tmp_path, model):
    given = photo(tmp_path / "in" / "a.png")
    before = given.read_bytes()
    run(given, "--out", tmp_path / "in", "--model", model)
    assert given.read_bytes() == before
    assert listing(tmp_path / "in") == ["a.png", "a_2.json", "a_2.png"]


@pytest.mark.parametrize("out", ["in", "in/", "link"])
def test_pictures_among_the_photos_of_a_folder_are_refused(tmp_path, model, capsys, out):
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "link").symlink_to(tmp_path / "in")
    assert run(tmp_path / "in", "--out", f"{tmp_path}/{out}", "--model", model) == 2
    assert "give another --out, or --no-pictures" in capsys.readouterr().err
    assert listing(tmp_path / "in") == ["a.png"]


def test_results_without_pictures_may_lie_among_the_photos(tmp_path, model):
    photo(tmp_path / "in" / "a.png")
    args = ("--out", tmp_path / "in", "--model", model, "--no-pictures")
    assert [run(tmp_path / "in", *args) for _ in range(2)] == [0, 0]
    assert listing(tmp_path / "in") == ["a.png", "a_2.json"]


@pytest.mark.parametrize(("given", "other"), [("a.gif", "a.jpg"), ("a.png", "a.json")])
def test_results_beside_a_photo_leave_other_files_of_its_name_alone(tmp_path, model, given, other):
    PIL.Image.new("RGB", (100, 120)).save(tmp_path / given)
    (tmp_path / other).write_bytes(b"somebody's")
    assert run(tmp_path / given, "--out", tmp_path, "--model", model, "--no-pictures") == 0
    assert run(tmp_path / given, "--out", tmp_path, "--model", model) == 0
    assert (tmp_path / other).read_bytes() == b"somebody's"


def test_results_in_a_link_to_the_photos_folder_leave_the_photos_alone(tmp_path, model):
    before = photo(tmp_path / "in" / "a.png").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    run(tmp_path / "in" / "a.png", "--out", tmp_path / "link", "--model", model)
    assert (tmp_path / "in" / "a.png").read_bytes() == before


def test_a_second_run_replaces_the_first_ones_results(tmp_path, model):
    args = (photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    run(*args)
    run(*args)
    assert listing(tmp_path / "out") == ["a.json", "a.png"]


def test_what_was_done_before_is_left_alone_on_request(tmp_path, model, capsys):
    args = ("--out", tmp_path / "out", "--model", model, "--no-pictures")
    run(photo(tmp_path / "in" / "a.png"), *args)
    before = (tmp_path / "out" / "a.json").stat().st_mtime_ns
    photo(tmp_path / "in" / "b.png")
    capsys.readouterr()
    assert run(tmp_path / "in", *args, "--skip-done") == 0
    assert capsys.readouterr().err == "posegram: 1 file done before\n"
    assert listing(tmp_path / "out") == ["a.json", "b.json"]
    assert (tmp_path / "out" / "a.json").stat().st_mtime_ns == before


def test_a_photo_that_was_changed_since_was_not_done_before(tmp_path, model):
    args = (photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    run(*args)
    results = tmp_path / "out" / "a.json"
    os.utime(results, (0, 0))
    assert run(*args, "--skip-done") == 0
    assert results.stat().st_mtime > 0


def test_a_photo_whose_picture_is_missing_was_not_done_before(tmp_path, model):
    args = (photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    run(*args)
    (tmp_path / "out" / "a.png").unlink()
    assert run(*args, "--skip-done") == 0
    assert listing(tmp_path / "out") == ["a.json", "a.png"]


def test_another_photo_of_that_name_was_not_done_before(tmp_path, model, capsys):
    given = [
        photo(tmp_path / folder / "a.png", height) for folder, height in (("A", 90), ("B", 80))
    ]
    out = tmp_path / "out"
    for path in given:
        assert run(path, "--out", out, "--model", model, "--skip-done") == 0
    assert listing(out) == ["a.json", "a.png", "a_2.json", "a_2.png"]
    assert [load(out / f"{name}.json")["height"] for name in ("a", "a_2")] == [90, 80]
    said = f"holds results of another a.png, so those of {given[1]} are called a_2\n"
    assert said in capsys.readouterr().err
    assert run(given[1], "--out", out, "--model", model, "--skip-done") == 0
    assert capsys.readouterr() == ("", "posegram: 1 file done before\n")


def test_another_photo_of_that_name_does_not_replace_the_first_ones_results(tmp_path, model):
    for folder, height in (("A", 90), ("B", 80)):
        path = photo(tmp_path / folder / "a.png", height)
        run(path, "--out", tmp_path / "out", "--model", model, "--no-pictures")
    assert load(tmp_path / "out" / "a.json")["height"] == 90


def test_nobody_above_the_smallest_score_is_told_how_to_see_the_others(tmp_path, model, capsys):
    args = (photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model)
    run(*args, "--min-score", "1")
    said = "posegram: nobody scores 1; --min-score 0 keeps unlikely people, too\n"
    assert capsys.readouterr().err == said
    run(*args)
    assert capsys.readouterr().err == ""


def test_all_may_have_been_done_before_in_given_boxes(tmp_path, model, capsys):
    given = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png")]
    path = boxes_file(tmp_path / "x.json", [{"id": 1, "file_name": "a.png"}], [])
    args = (*given, "--out", tmp_path / "out", "--model", model, "--boxes", path)
    run(*args)
    capsys.readouterr()
    assert run(*args, "--skip-done") == 0
    assert "1 file done before" in capsys.readouterr().err


def test_one_file_of_all_results_is_never_done_before(tmp_path, model, capsys):
    args = ("--out", tmp_path, "--model", model, "--format", "csv", "--skip-done")
    assert run(photo(tmp_path / "a.png"), *args) == 2
    assert "--skip-done is for results of a file each" in capsys.readouterr().err


def test_a_link_to_nowhere_is_listed_among_what_failed(tmp_path, model, capsys):
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "b.png").symlink_to(tmp_path / "gone.png")
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--model", model) == 1
    assert f"there is no file {tmp_path / 'in' / 'b.png'}" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_killed_run_keeps_its_table(tmp_path, model):
    for number in range(4):
        photo(tmp_path / "in" / f"{number}.png")
    args = [str(a) for a in (tmp_path / "in", "--out", tmp_path / "out", "--model", model)]
    code = f"""
import os, signal
from posegram import image
from posegram.cli import main
read, seen = image.read, []
def reading(path):
    seen.append(path)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return read(path)
image.read = reading
more = ["--detector", "none", "--format", "csv", "--no-pictures", "--threads", "1"]
main(["predict", *{args!r}, *more])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    lines = (tmp_path / "out" / "photos.csv").read_text().splitlines()
    photos = {line.split(",")[0] for line in lines[1:]}
    assert (done.returncode, len(photos)) == (128 + signal.SIGTERM, 2)
    assert listing(tmp_path / "out") == ["photos.csv"]


# COCO results


def boxes_file(path, images, annotations):
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
    return path


def note(number, image, bbox, **more):
    return {"id": number, "image_id": image, "category_id": 1, "bbox": bbox} | more


@pytest.fixture
def scored(tmp_path, model):
    """Two photos, three boxes in an order across them; the COCO results of that."""
    for name in ("street.png", "beach.png"):
        photo(tmp_path / "in" / name)
    images = [{"id": 70, "file_name": "street.png"}, {"id": 5, "file_name": "beach.png"}]
    notes = [
        note(1, 70, [10, 20, 30, 40], category_id=4),
        note(2, 5, [0, 0, 100, 120], iscrowd=1),
        note(3, 70, [50, 10, 24.5, 80]),
    ]
    path = boxes_file(tmp_path / "boxes.json", images, notes)
    args = ("--out", tmp_path / "out", "--model", model, "--boxes", path, "--format", "coco")
    assert run(tmp_path / "in", *args) == 0
    return load(tmp_path / "out" / "coco_results.json")


def test_coco_results_have_one_entry_per_given_box_in_the_files_order(scored):
    assert [entry["image_id"] for entry in scored] == [70, 5, 70]


def test_coco_results_take_the_category_from_the_file_of_boxes(scored):
    assert [entry["category_id"] for entry in scored] == [4, 1, 1]


def test_coco_results_have_the_keys_of_the_format_and_no_others(scored):
    assert all(list(e) == ["image_id", "category_id", "keypoints", "score"] for e in scored)


def test_coco_keypoints_are_the_pixels_that_the_box_implies(scored):
    """By hand: the crop is 48 x 64, of 1.25 x the box grown to its aspect, around its centre."""
    for entry, (x, y, w, h) in zip(
        scored, [(10, 20, 30, 40), (0, 0, 100, 120), (50, 10, 24.5, 80)], strict=True
    ):
        tall = 1.25 * max(h, w * 64 / 48)
        centre = np.array([x + w / 2, y + h / 2])
        told = centre + (tiny.places(COCO17) - 0.5) * (tall * 48 / 64, tall)
        found = np.reshape(entry["keypoints"], (17, 3))[:, :2]
        np.testing.assert_allclose(found, told, atol=2e-3)


def test_coco_scores_are_the_joints_probabilities_and_their_weighted_mean(scored):
    sure = 1 / (1 + np.exp(-tiny.logits(COCO17)))
    joints = np.reshape(scored[0]["keypoints"], (17, 3))[:, 2]
    np.testing.assert_allclose(joints, sure, atol=1e-4)
    assert scored[0]["score"] == pytest.approx((sure**2).sum() / sure.sum(), abs=1e-5)


def test_coco_results_come_with_pictures_but_without_a_json_per_photo(tmp_path, scored):
    assert listing(tmp_path / "out") == ["beach.png", "coco_results.json", "street.png"]


def test_absent_joints_are_zeros_in_coco_results(tmp_path):
    model = tiny.constant(tmp_path / "m.onnx", skeleton=LSP14)
    args = ("--out", tmp_path / "out", "--model", model, "--format", "coco")
    run(photo(tmp_path / "a.png"), *args, "--skeleton", "coco17")
    (entry,) = load(tmp_path / "out" / "coco_results.json")
    rows = np.reshape(entry["keypoints"], (17, 3))
    assert (rows[:5].tolist(), bool((rows[5:, 2] > 0).all())) == ([[0, 0, 0]] * 5, True)


def test_without_boxes_ids_are_the_numbers_in_coco_file_names(tmp_path, model):
    for name in ("000000000123.png", "000000000045.png"):
        photo(tmp_path / "in" / name)
    args = ("--out", tmp_path / "out", "--model", model, "--format", "coco")
    run(tmp_path / "in", *args)
    assert [e["image_id"] for e in load(tmp_path / "out" / "coco_results.json")] == [45, 123]


def test_without_boxes_and_numbers_ids_are_positions_and_listed(tmp_path, model):
    args = ("--out", tmp_path / "out", "--model", model, "--format", "coco")
    run(photo(tmp_path / "street.png", 90, 70), photo(tmp_path / "beach.png"), *args)
    assert load(tmp_path / "out" / "images.json") == [
        {"id": 2, "file_name": "street.png", "width": 70, "height": 90},
        {"id": 1, "file_name": "beach.png", "width": 100, "height": 120},
    ]


def test_pycocotools_takes_the_results(tmp_path, model, capsys):
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    photo(tmp_path / "in" / "a.png")
    box = [10, 20, 60, 80]
    args = ("--out", tmp_path / "out", "--model", model, "--format", "coco")
    truth = {
        "images": [{"id": 9, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [note(1, 9, box, area=2000, iscrowd=0, num_keypoints=17)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    run(tmp_path / "in", *args, "--boxes", tmp_path / "truth.json")
    results = tmp_path / "out" / "coco_results.json"
    rows = np.reshape(load(results)[0]["keypoints"], (17, 3))
    rows[:, 2] = 2  # the prediction as its own truth
    truth["annotations"][0]["keypoints"] = rows.ravel().tolist()
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    labels = coco.COCO(str(tmp_path / "truth.json"))
    engine = evaluation.COCOeval(labels, labels.loadRes(str(results)), "keypoints")
    engine.evaluate()
    engine.accumulate()
    engine.summarize()
    assert engine.stats[0] == pytest.approx(1.0)


# boxes


def test_boxes_choose_the_people_in_the_json_too(tmp_path, model):
    a = photo(tmp_path / "a.png")
    notes = [note(1, 1, [10, 20, 30, 40]), note(2, 1, [50, 20, 30, 40])]
    path = boxes_file(tmp_path / "b.json", [{"id": 1, "file_name": "a.png"}], notes)
    run(a, "--out", tmp_path / "out", "--model", model, "--boxes", path)
    told = [[10, 20, 40, 60], [50, 20, 80, 60]]
    assert [p["box"] for p in load(tmp_path / "out" / "a.json")["people"]] == told


def test_a_listed_photo_without_boxes_has_nobody_in_it(tmp_path, model):
    a = photo(tmp_path / "a.png")
    path = boxes_file(tmp_path / "b.json", [{"id": 1, "file_name": "a.png"}], [])
    assert run(a, "--out", tmp_path / "out", "--model", model, "--boxes", path) == 0
    assert load(tmp_path / "out" / "a.json")["people"] == []


@pytest.mark.parametrize("more", [("--detector", "detector"), ("--max-people", 1)])
def test_what_finds_people_is_refused_beside_boxes(tmp_path, model, capsys, more):
    a = photo(tmp_path / "a.png")
    path = boxes_file(tmp_path / "b.json", [{"id": 1, "file_name": "a.png"}], [])
    assert run(a, "--out", tmp_path / "out", "--model", model, "--boxes", path, *more) == 2
    assert f"{more[0]} is for people who are found; --boxes says" in capsys.readouterr().err


def test_photos_that_the_file_of_boxes_does_not_list_are_left_out_and_told(tmp_path, model, capsys):
    given = [photo(tmp_path / "a.png"), photo(tmp_path / "b.png")]
    path = boxes_file(tmp_path / "x.json", [{"id": 1, "file_name": "a.png"}], [])
    assert run(*given, "--out", tmp_path / "out", "--model", model, "--boxes", path) == 0
    assert "1 photo not in the file of boxes, so left out: b.png" in (capsys.readouterr().err)
    assert listing(tmp_path / "out") == ["a.json", "a.png"]


def test_a_file_of_boxes_for_other_photos_is_misuse(tmp_path, model, capsys):
    path = boxes_file(tmp_path / "x.json", [{"id": 1, "file_name": "other.png"}], [])
    args = ("--out", tmp_path / "out", "--model", model, "--boxes", path)
    assert run(photo(tmp_path / "a.png"), *args) == 2
    assert "x.json lists none of the photos (1)" in capsys.readouterr().err


def test_a_photo_of_another_size_than_its_boxes_fails(tmp_path, model, capsys):
    images = [{"id": 1, "file_name": "a.png", "width": 640, "height": 480}]
    path = boxes_file(tmp_path / "x.json", images, [note(1, 1, [10, 20, 30, 40])])
    args = ("--out", tmp_path / "out", "--model", model, "--boxes", path)
    assert run(photo(tmp_path / "a.png"), *args) == 1
    assert "is 100x120 pixels, but its boxes were given for 640x480" in capsys.readouterr().err


def test_boxes_and_a_smallest_score_do_not_go_together(tmp_path, model, capsys):
    path = boxes_file(tmp_path / "x.json", [{"id": 1, "file_name": "a.png"}], [])
    args = ("--out", tmp_path / "out", "--model", model, "--boxes", path, "--min-score", "0.5")
    assert run(photo(tmp_path / "a.png"), *args) == 2
    assert "--min-score is for people who are found" in capsys.readouterr().err


def test_boxes_and_a_number_of_people_do_not_go_together(tmp_path, model, capsys):
    path = boxes_file(tmp_path / "x.json", [{"id": 1, "file_name": "a.png"}], [])
    args = ("--out", tmp_path / "out", "--model", model, "--boxes", path, "--max-people", "1")
    assert run(photo(tmp_path / "a.png"), *args) == 2
    assert "--max-people is for people who are found" in capsys.readouterr().err


# how the model works


@pytest.fixture
def told(monkeypatch, model):
    """What `load` was asked for."""
    asked = {}
    given = sys.modules["posegram.cli.predict"].load(model, detector="none")
    monkeypatch.setattr(
        sys.modules["posegram.cli.predict"], "load", lambda *a, **k: asked.update(k) or given
    )
    return asked


def test_threads_and_engine_are_those_asked_for(tmp_path, told):
    args = ("--out", tmp_path / "out", "--threads", 1, "--engine", "auto")
    assert run(photo(tmp_path / "a.png"), *args) == 0
    assert (told["threads"], told["engine"]) == (1, "auto")


def test_an_unknown_engine_is_misuse(tmp_path, model, capsys):
    args = ("--out", tmp_path / "out", "--model", model, "--engine", "steam")
    assert run(photo(tmp_path / "a.png"), *args) == 2
    assert "no engine 'steam'; there are onnxruntime, openvino, auto" in capsys.readouterr().err


def test_flipping_averages_with_the_mirrored_crop(tmp_path, model):
    a = photo(tmp_path / "a.png")
    for out, flip in (("plain", ()), ("both", ("--flip",))):
        run(a, "--out", tmp_path / out, "--model", model, *flip)
    (plain,), (both,) = (load(tmp_path / o / "a.json")["people"] for o in ("plain", "both"))
    assert both["joints"]["left_wrist"] != plain["joints"]["left_wrist"]


# Keypoint R-CNN


def test_the_weights_of_keypoint_rcnn_may_be_named(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "CARD", rcnns.card())
    torch.save(rcnns.kept().state_dict(), tmp_path / "w.pth")
    named = ("--model", "keypoint-rcnn:box_score=0.05,people=3", "--weights", tmp_path / "w.pth")
    pictures.write(tmp_path / "a.png", rcnns.photo())
    assert run(tmp_path / "a.png", "--out", tmp_path / "out", *named) == 0
    assert len(load(tmp_path / "out" / "a.json")["people"]) == 3


def test_weights_for_another_model_are_misuse(tmp_path, model, capsys):
    named = ("--model", model, "--weights", tmp_path / "w.pth")
    assert run(photo(tmp_path / "a.png"), "--out", tmp_path / "out", *named) == 2
    assert "weights are for keypoint-rcnn" in capsys.readouterr().err


# when things go wrong


def test_broken_photos_are_listed_and_the_rest_is_done(tmp_path, model, capsys):
    photo(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.jpg").write_text("text")
    (tmp_path / "in" / "empty.png").touch()
    assert run(tmp_path / "in", "--out", tmp_path / "out", "--model", model) == 1
    told = capsys.readouterr()
    assert listing(tmp_path / "out") == ["good.json", "good.png"]
    assert told.out.startswith("1 photo,")
    kinds = "JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC"
    assert told.err.splitlines() == [
        "posegram: 2 photos failed:",
        f"  {tmp_path / 'in' / 'bad.jpg'} is not a readable {kinds} image",
        f"  {tmp_path / 'in' / 'empty.png'} is empty",
    ]


def test_a_broken_photo_does_not_shift_the_others_ids(tmp_path, model):
    for name in ("b.png", "c.png"):
        photo(tmp_path / "in" / name)
    (tmp_path / "in" / "a.png").touch()
    args = ("--out", tmp_path / "out", "--model", model, "--format", "coco")
    assert run(tmp_path / "in", *args) == 1
    assert [e["image_id"] for e in load(tmp_path / "out" / "coco_results.json")] == [2, 3]


def test_a_missing_photo_among_others_is_listed_and_the_rest_is_done(tmp_path, model, capsys):
    args = ("--out", tmp_path / "out", "--model", model)
    assert run(photo(tmp_path / "a.png"), tmp_path / "gone.png", *args) == 1
    assert "gone.png" in capsys.readouterr().err
    assert listing(tmp_path / "out") == ["a.json", "a.png"]


def test_results_go_into_a_folder_called_poses_where_none_is_named(tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(photo(tmp_path / "a.png"), "--model", model) == 0
    assert listing(tmp_path / "poses") == ["a.json", "a.png"]


def test_a_picture_of_too_many_pixels_is_refused_in_one_sentence_alone(tmp_path, model, capfd):
    args = ["predict", *map(str, (tmp_path / "a.png", "--out", tmp_path, "--model", model))]
    code = f"from posegram.cli import main; main({args!r})"
    PIL.Image.new("1", (10_000, 9_500)).save(tmp_path / "a.png")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 1
    assert capfd.readouterr().err.splitlines() == [
        "posegram: 1 photo failed:",
        f"  {tmp_path / 'a.png'} has more than 89,000,000 pixels, "
        "which is refused as a decompression bomb; give a smaller copy",
    ]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["gone.png"], "there is no file gone.png"),
        (
            ["https://a.org/b.jpg"],
            "there is no file https:/a.org/b.jpg; fetch an address first, and",
        ),
        (
            ["rtsp://a/b"],
            "there is no file rtsp:/a/b; fetch an address first, and see a live stream by",
        ),
        (["0"], "there is no file 0; see a camera by: posegram webcam 0"),
        (["-"], "there is no file -; photos are read from files"),
        (["empty"], "the folder empty holds no photo"),
        (["a.png", "--model", "nonesuch"], "no model 'nonesuch'; bundled are"),
        (["a.png", "--model", "gone.onnx"], "there is no model file gone.onnx"),
        (["a.png", "--skeleton", "coco"], "no skeleton 'coco'; there are body19"),
        (["a.png", "--boxes", "gone.json"], "gone.json: no such file"),
        (["a.png", "--out", "a.png"], "cannot make the folder a.png for the results"),
        (["a.png", "--out", "a.png/sub"], "cannot make the folder a.png/sub for the results"),
    ],
)
def test_misuse_is_one_sentence_and_exit_code_2(
    tmp_path, model, monkeypatch, capsys, args, sentence
):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    usual = [] if "--model" in args else ["--model", str(model)]
    usual += [] if "--out" in args else ["--out", "out"]
    assert run(*args, *usual) == 2
    told = capsys.readouterr().err
    assert (told.count("\n"), told.startswith(f"posegram: {sentence}")) == (1, True)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_misuse(tmp_path, model, capsys):
    (tmp_path / "out").mkdir(mode=0o500)
    assert run(photo(tmp_path / "a.png"), "--out", tmp_path / "out", "--model", model) == 2
    assert "cannot write to the folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args", [[], ["a.png"], ["--out", "out"], ["a.png", "--out", "out", "--no"]]
)
def test_a_command_that_is_incomplete_or_unknown_is_misuse(args, capsys):
    assert run(*args) == 2


@pytest.mark.parametrize("value", ["-0.1", "1.1", "much"])
def test_a_threshold_outside_0_to_1_is_misuse(value, capsys):
    assert run("a.png", "--out", "out", "--threshold", value) == 2


@pytest.mark.parametrize(
    ("names", "code"), [(["a.png"], 0), (["a.png", "bad.png"], 1), (["gone.png"], 2)]
)
def test_the_exit_code_reaches_the_shell(tmp_path, model, names, code):
    photo(tmp_path / "a.png")
    (tmp_path / "bad.png").write_text("text")
    command = [sys.executable, "-m", "posegram", "predict", *names, "--out", "out"]
    done = subprocess.run(
        [*command, "--model", str(model)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_real_photos_with_given_boxes_score_one_entry_per_box(shared, tmp_path, model):
    truth = shared / "data" / "coco" / "person_keypoints_train.json"
    given = load(truth)
    files = {image["id"]: Path(image["file_name"]).name for image in given["images"]}
    some = sorted(files.values())[:12]
    args = ("--out", tmp_path, "--model", model, "--boxes", truth, "--format", "coco")
    photos = [shared / "data" / "coco" / "images" / name for name in some]
    assert run(*photos, *args, "--no-pictures") == 0
    told = [n["image_id"] for n in given["annotations"] if files[n["image_id"]] in some]
    assert [e["image_id"] for e in load(tmp_path / "coco_results.json")] == told
