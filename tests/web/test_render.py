"""A visitor's clip in, files out."""

import csv
import json

import pytest

import serving
import tiny
from posegram import video
from posegram.infer.load import load
from posegram.pose import BODY19, LSP14
from posegram.web import render


@pytest.fixture(scope="module")
def estimate(tmp_path_factory):
    return load(tiny.constant(tmp_path_factory.mktemp("m") / "a.onnx"), detector="none")


@pytest.fixture
def made(estimate, tmp_path):
    source = serving.clip(tmp_path / "a.mp4", 30)
    (tmp_path / "out").mkdir()
    told = []

    def progress(done, total):
        told.append(done)
        return True

    wanted = render.Wanted("still", smooth=False)
    return render.make(estimate, source, tmp_path / "out", wanted, progress), tmp_path, told


def test_every_file_is_there(made):
    assert {path.name for path in (made[1] / "out").iterdir()} == set(render.FILES)


def test_every_frame_is_in_the_clip(made):
    assert made[0] == (30, "")
    assert len(list(video.frames(made[1] / "out" / "clip.mp4"))) == 30


def test_every_frame_is_in_the_table(made):
    with (made[1] / "out" / "poses.csv").open() as file:
        frames = [int(row["frame"]) for row in csv.DictReader(file)]
    assert sorted(set(frames)) == list(range(30))
    assert len(frames) == 30 * len(LSP14)


def test_every_frame_is_a_row_of_the_wide_table_with_angles(made):
    with (made[1] / "out" / "poses_wide.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(30))
    angles = [float(row["left_knee_angle"]) for row in rows]
    assert angles == pytest.approx([180] * 30, abs=0.1)  # the network's joints lie on one line


def test_no_file_tells_where_the_clip_lay_on_the_server(made):
    texts = [(made[1] / "out" / name).read_text() for name in render.FILES if name != "clip.mp4"]
    assert not any(str(made[1]) in text for text in texts)


def test_every_frame_is_in_the_json_and_coco_files(made):
    poses = json.loads((made[1] / "out" / "poses.json").read_text())
    coco = json.loads((made[1] / "out" / "coco.json").read_text())
    assert len(poses["frames"]) == len(coco["images"]) == 30


def test_progress_is_told_of_every_frame(made):
    assert made[2] == list(range(1, 31))


def test_a_clip_that_breaks_off_says_so(estimate, tmp_path):
    whole = serving.clip(tmp_path / "a.mp4", 60)
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 4 // 5])
    (tmp_path / "out").mkdir()
    wanted = render.Wanted("still", smooth=False)
    frames, said = render.make(estimate, whole, tmp_path / "out", wanted, lambda *_: True)
    assert 0 < frames < 60
    assert said.startswith("The video ends too early")


def test_the_joints_can_be_chosen(estimate, tmp_path):
    source = serving.clip(tmp_path / "a.mp4", 3)
    wanted = render.Wanted("still", "coco17", smooth=False)
    render.make(estimate, source, tmp_path, wanted, lambda *_: True)
    assert json.loads((tmp_path / "poses.json").read_text())["skeleton"] == "coco17"


def test_our_19_joints_become_cocos_17(tmp_path):
    model = tiny.constant(tmp_path / "b.onnx", skeleton=BODY19)
    source = serving.clip(tmp_path / "a.mp4", 3)
    estimate = load(model, detector="none")
    render.make(estimate, source, tmp_path, render.Wanted("b"), lambda *_: True)
    assert json.loads((tmp_path / "poses.json").read_text())["skeleton"] == "coco17"


def test_a_playlist_under_a_clips_name_is_refused(estimate, tmp_path):
    serving.clip(tmp_path / "secret.mp4", 3)
    (tmp_path / "a.mp4").write_text("#EXTM3U\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n")
    with pytest.raises(ValueError, match=r"a\.mp4"):
        render.make(estimate, tmp_path / "a.mp4", tmp_path, render.Wanted("still"), lambda *_: True)


def test_a_folder_is_removed_with_all_in_it(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("x")
    render.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()
