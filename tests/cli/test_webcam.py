import re
import sys
import threading
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest

import clips
import crowd
from posegram.cli import main
from posegram.cli.webcam import _Log
from posegram.pose import COCO17
from posegram.video import Broken, Frame, frames


def standing(image):
    """An estimate that finds one standing person in the middle of every picture."""
    return crowd.people([(image.shape[1] / 2, image.shape[0] / 2)], height=60.0)


standing.card = SimpleNamespace(name="standing", skeleton=COCO17)


@pytest.fixture
def run(monkeypatch, capsys):
    """One run of `posegram webcam` with a model that is never wrong: exit code, out, err."""
    monkeypatch.setattr(sys.modules["posegram.cli.webcam"], "load", lambda *a, **k: standing)

    def work(*args):
        with pytest.raises(SystemExit) as stop:
            main(["webcam", *map(str, args)])
        told = capsys.readouterr()
        return stop.value.code, told.out, told.err

    return work


@pytest.fixture
def camera(monkeypatch):
    """A camera whose clock does not begin at 0 and that ends when the event is set."""
    off = threading.Event()

    def moving(source, **options):
        for number in range(20_000):  # for a hundred seconds at most
            if off.wait(0.005):
                return
            yield Frame(clips.picture(number), 5000.0 + number / 50)

    monkeypatch.setattr("posegram.video.frames", moving)
    return off


def test_a_clip_is_recorded_frame_by_frame(tmp_path, run):
    code, said, _ = run(clips.make(tmp_path / "a.mp4"), "--record", tmp_path / "out.mp4")
    assert (code, len(list(frames(tmp_path / "out.mp4")))) == (0, 10)
    assert said.startswith("10 frames, ")


@pytest.mark.parametrize("option", [["--port", "8000"], ["--no-browser"]])
def test_a_recording_shows_no_page(tmp_path, run, option):
    clip = clips.make(tmp_path / "a.mp4")
    code, _, said = run(clip, "--record", tmp_path / "out.mp4", *option)
    assert (code, (tmp_path / "out.mp4").exists()) == (2, False)
    assert option[0] in said


def test_of_a_recorded_clip_nothing_is_left_out(tmp_path, run):
    _, said, _ = run(clips.make(tmp_path / "a.mp4"), "--record", tmp_path / "out.mp4")
    assert "ms; 0 frames left out -> " in said


@pytest.fixture
def clock(monkeypatch):
    """What time it is, seconds; it stands still."""
    now = [50.0]
    standing_still = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(sys.modules["posegram.cli.webcam"], "time", standing_still)
    return now


def logged(clock, *seconds):
    """A log of frames, one after the other, that took so long each."""
    log = _Log()
    moving = log.coming(Frame(clips.picture(), float(n)) for n in range(len(seconds)))
    for frame, spent in zip(moving, seconds, strict=True):
        clock[0] += spent
        log.finished(frame)
    return log


def test_latency_is_told_as_median_and_95th_percentile(clock):
    log = logged(clock, *[0.010] * 11, *[0.025] * 8, 0.9)
    assert str(log) == ("16.5 frames/s, latency median 10 ms, 95 % under 25 ms; 0 frames left out")


def test_frames_that_others_overtook_are_counted(clock):
    log = _Log()
    came = list(log.coming(Frame(clips.picture(), float(n)) for n in range(5)))
    for number in (0, 3):
        clock[0] += 0.125
        log.finished(came[number])
    assert (log.done, log.left_out, log.within(1.0)) == (2, 2, 250)


def test_a_log_of_a_long_run_is_small(clock):
    log = logged(clock, *[n % 7 / 128 for n in range(5000)])
    assert (len(log._spent), len(log._waiting)) == (7, 0)


def test_a_log_without_frames_has_no_latency():
    assert "latency median 0 ms" in str(_Log())


def test_people_are_drawn_into_what_is_recorded(tmp_path, run):
    clip = clips.make(tmp_path / "a.mp4")
    run(clip, "--record", tmp_path / "out.mp4")
    pairs = zip(frames(clip), frames(tmp_path / "out.mp4"), strict=True)
    assert min(np.abs(a.image.astype(int) - b.image)[20:85, 45:80].mean() for a, b in pairs) > 5


def test_a_camera_is_recorded_until_its_time_is_over(tmp_path, run, camera):
    code, _, _ = run("0", "--record", tmp_path / "out.mp4", "--seconds", "0.5")
    first = next(frames_of(tmp_path / "out.mp4"))
    assert (code, first.time) == (0, 0.0)


def frames_of(path):
    """The frames of a file, while `frames` stands for a camera."""
    from posegram import video

    with video._opened(path, True) as container:
        for picture in container.decode(video=0):
            yield Frame(picture.to_ndarray(format="rgb24"), picture.time)


def test_a_stream_that_changes_its_size_is_recorded_to_its_end(tmp_path, run, monkeypatch):
    sizes = [(96, 128)] * 3 + [(240, 180)] * 3 + [(48, 64)] * 2
    moving = [Frame(clips.picture(n, size), n / 25) for n, size in enumerate(sizes)]
    monkeypatch.setattr("posegram.video.frames", lambda *_, **__: iter(moving))
    code, said, _ = run(clips.make(tmp_path / "a.mp4"), "--record", tmp_path / "out.mp4")
    shapes = [frame.image.shape for frame in frames_of(tmp_path / "out.mp4")]
    assert (code, said[:9], shapes) == (0, "8 frames,", [(96, 128, 3)] * 8)


def test_a_camera_is_shown_at_a_page_of_this_computer(run, camera, monkeypatch):
    seen = []

    def visit(address):
        def look():
            with urllib.request.urlopen(f"{address}stream", timeout=60) as answer:
                seen.append(answer.read(2000))
            camera.set()

        threading.Thread(target=look, daemon=True).start()

    monkeypatch.setattr("webbrowser.open", visit)
    code, said, _ = run("0")
    assert (code, b"image/jpeg" in seen[0]) == (0, True)
    assert "showing at http://127.0.0.1:" in said
    told = r" shown, [\d.]+ frames/s, latency median \d+ ms, 95 % under \d+ ms; [\d,]+ frames? left"
    assert re.search(told, said)


def test_no_browser_is_opened_when_none_is_wanted(run, camera, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    run("0", "--seconds", "0.1", "--no-browser")
    assert opened == []


def test_a_clip_is_shown_to_its_end(tmp_path, run):
    code, said, _ = run(clips.make(tmp_path / "a.mp4"), "--no-browser")
    assert (code, "frames shown" in said) == (0, True)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("77", "cannot open the camera or stream 77"),
        ("rtsp://127.0.0.1:1/a", "cannot open the camera or stream rtsp://127.0.0.1:1/a"),
        ("gone.mp4", "there is no file gone.mp4"),
    ],
)
@pytest.mark.parametrize("record", [True, False])
def test_a_source_that_is_not_there_is_one_sentence(tmp_path, run, source, sentence, record):
    more = ["--record", tmp_path / "out.mp4"] if record else ["--no-browser"]
    code, _, told = run(source, *more)
    assert (code, told.startswith(f"posegram: {sentence}"), told.count("\n")) == (2, True, 1)


def test_no_page_is_opened_for_a_source_that_is_not_there(run, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    _, said, _ = run("gone.mp4")
    assert (opened, said) == ([], "")


def test_a_missing_folder_is_one_sentence(tmp_path, run):
    clip = clips.make(tmp_path / "a.mp4")
    code, _, told = run(clip, "--record", tmp_path / "gone" / "out.mp4")
    assert (code, "there is no folder" in told) == (2, True)


def test_a_clip_is_not_replaced_by_its_recording(tmp_path, run):
    clip = clips.make(tmp_path / "a.mp4")
    before = clip.read_bytes()
    code, _, told = run(clip, "--record", clip)
    assert (code, told.count("\n"), clip.read_bytes() == before) == (2, 1, True)


def test_a_source_that_breaks_off_is_failed_work_and_its_beginning_recorded(tmp_path, run):
    clip = clips.cut(clips.make(tmp_path / "a.mp4", [n / 25 for n in range(100)]))
    code, said, told = run(clip, "--record", tmp_path / "out.mp4")
    count = len(list(frames(tmp_path / "out.mp4")))
    assert (code, told.startswith(f"posegram: {clip} breaks off after ")) == (1, True)
    assert said.startswith(f"{count} frames, ")


def test_a_source_that_breaks_off_before_its_first_picture_is_refused(tmp_path, run, monkeypatch):
    def broken(*args, **options):
        raise Broken("a.mp4 breaks off before its first frame")
        yield

    monkeypatch.setattr("posegram.video.frames", broken)
    code, _, told = run(tmp_path / "a.mp4", "--record", tmp_path / "out.mp4")
    assert (code, told) == (2, "posegram: a.mp4 breaks off before its first frame\n")


def test_what_load_takes_can_be_chosen(tmp_path, run, monkeypatch):
    told = {}

    def load(model, **options):
        told.update(options)
        return standing

    monkeypatch.setattr(sys.modules["posegram.cli.webcam"], "load", load)
    clip, out = clips.make(tmp_path / "a.mp4"), tmp_path / "out.mp4"
    args = ("--detector", "none", "--threads", "1", "--engine", "auto", "--weights", "w.pth")
    assert run(clip, "--record", out, *args)[0] == 0
    assert told == {"detector": "none", "threads": 1, "engine": "auto", "weights": "w.pth"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists its cameras as files")
def test_a_camera_that_is_not_there_is_refused_with_those_that_are(run):
    code, _, said = run("93")
    assert (code, said.count("\n")) == (2, 1)
    assert "; there is no camera (/dev/video0)" in said or "; there are /dev/video" in said
