import subprocess
import sys
import threading

import numpy as np
import pytest

import clips
from posegram.video import Broken, Frame, frames, latest, probe


def corner(image, size=8):
    """Index of the colour nearest to the top left of a picture."""
    mean = image[:size, :size].reshape(-1, 3).mean(axis=0)
    return int(np.abs(clips.COLOURS - mean).sum(axis=1).argmin())


def times(path, **options):
    return [frame.time for frame in frames(path, **options)]


# what a clip gives


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
def test_every_frame_comes_once(tmp_path, suffix):
    assert len(times(clips.make(tmp_path / f"a{suffix}"))) == 10


def test_frames_are_rgb_of_the_clips_size(tmp_path):
    first = next(frames(clips.make(tmp_path / "a.mp4")))
    assert (first.image.shape, first.image.dtype) == ((96, 128, 3), np.uint8)


def test_colours_are_right_to_a_few_grey_levels(tmp_path):
    first = next(frames(clips.make(tmp_path / "a.mp4")))
    assert np.abs(first.image[60:90, 80:120].mean(axis=(0, 1)) - clips.COLOURS[3]).max() < 4


def test_frames_keep_their_own_times(tmp_path):
    told = [0.0, 0.04, 0.3, 0.31, 0.9]
    assert times(clips.make(tmp_path / "a.mp4", told)) == pytest.approx(told, abs=1e-4)


@pytest.mark.parametrize(("rotation", "first"), [(0, 0), (90, 1), (180, 3), (-90, 2)])
def test_a_clip_that_was_filmed_sideways_is_stood_upright(tmp_path, rotation, first):
    path = clips.make(tmp_path / "a.mp4", rotation=rotation)
    assert corner(next(frames(path)).image) == first


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_whole_clip_whose_clock_begins_late_does_not_break_off(tmp_path, suffix):
    path = clips.make(tmp_path / f"a{suffix}", offset=1.5)
    assert times(path) == pytest.approx([n / 25 for n in range(10)])
    assert (probe(path).seconds, probe(path).count) == (pytest.approx(0.4), 10)


@pytest.mark.parametrize("start", [0.0, 0.2])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_last_frame_that_is_shown_for_long_ends_no_clip_too_early(tmp_path, suffix, start):
    path = clips.make(tmp_path / f"a{suffix}", last=3.0)
    assert probe(path).seconds == pytest.approx(3.36, abs=0.05)
    assert times(path, start=start) == pytest.approx([n / 25 for n in range(round(25 * start), 10)])


def test_start_and_end_cut_a_clip(tmp_path):
    path = clips.make(tmp_path / "a.mp4", [n / 10 for n in range(20)])
    assert times(path, start=0.7, end=1.1) == pytest.approx([0.7, 0.8, 0.9, 1.0])


@pytest.mark.parametrize("start", [0.0, 0.7, 1.5])
def test_frames_are_numbered_from_the_beginning_of_the_clip(tmp_path, start):
    path = clips.make(tmp_path / "a.mp4", [n / 10 for n in range(20)])
    first = round(10 * start)
    assert [f.number for f in frames(path, start=start)] == list(range(first, 20))


@pytest.mark.parametrize("start", [0.3, 1.0, 1.2])
def test_an_avi_file_is_cut_as_others_are(tmp_path, start):
    path = clips.make(tmp_path / "a.avi", [n / 25 for n in range(50)])
    assert start <= times(path, start=start)[0] < start + 0.1


def test_times_begin_at_0_whatever_the_clips_own_clock_shows(tmp_path):
    path = clips.make(tmp_path / "a.mts", offset=36_000)
    assert times(path) == pytest.approx([n / 25 for n in range(10)])
    assert (probe(path).seconds, probe(path).count) == (pytest.approx(0.4), 10)


@pytest.mark.parametrize("start", [0.1, 0.5, 1.0, 2.2, 14.9])
def test_start_and_end_cut_a_clip_with_a_clock_of_its_own(tmp_path, start):
    path = clips.make(tmp_path / "a.mts", [n / 25 for n in range(400)], offset=36_000)
    told = [n / 25 for n in range(400) if start - 1e-6 <= n / 25 < start + 0.5]
    assert times(path, start=start, end=start + 0.5) == pytest.approx(told)


def test_a_file_whose_name_looks_like_an_address_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clips.make(tmp_path / "a.mp4").rename("http:a.mp4")
    assert len(times("http:a.mp4")) == 10


def test_a_file_of_a_stranger_gives_the_same_frames(tmp_path):
    path = clips.make(tmp_path / "a.mp4")
    assert times(path, trusted=False) == times(path)


# what is known before


def test_probe_knows_size_length_and_rate(tmp_path):
    clip = probe(clips.make(tmp_path / "a.mp4"))
    assert (clip.width, clip.height, clip.seconds, clip.fps, clip.count, clip.sound) == (
        *(128, 96, pytest.approx(0.4), pytest.approx(25)),
        *(10, False),
    )


def test_probe_knows_the_upright_size(tmp_path):
    clip = probe(clips.make(tmp_path / "a.mp4", rotation=90))
    assert (clip.width, clip.height) == (96, 128)


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_probe_estimates_the_count_of_any_container(tmp_path, suffix):
    assert probe(clips.make(tmp_path / f"a{suffix}")).count == pytest.approx(10, abs=1)


def test_probe_hears_sound(tmp_path):
    assert probe(clips.make(tmp_path / "a.mp4", sound=0.5)).sound


# what is refused


@pytest.mark.parametrize("look", [probe, times])
@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gone.mp4", "there is no file {}"),
        ("empty.mp4", "{} is empty"),
        ("text.mp4", "{} is not a readable video (another kind of file, or cut off)"),
        ("headless.mp4", "{} is not a readable video (another kind of file, or cut off)"),
        ("sound.mp4", "{} holds sound but no video"),
        ("folder", "{} is a folder, not a video"),
    ],
)
def test_what_is_no_video_is_refused_in_one_sentence(tmp_path, look, trusted, name, sentence):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello " * 500)
    clips.cut(clips.make(tmp_path / "headless.mp4"), 0.05)
    clips.sound_only(tmp_path / "sound.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises((ValueError, FileNotFoundError)) as refused:
        look(tmp_path / name, trusted=trusted)
    assert str(refused.value) == sentence.format(tmp_path / name)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_clip_without_its_end_gives_its_frames_and_then_says_so(tmp_path, suffix):
    seen = []
    path = clips.cut(clips.make(tmp_path / f"a{suffix}", [n / 25 for n in range(60)]))
    with pytest.raises(Broken, match="breaks off after"):
        seen.extend(frames(path))
    assert 20 < len(seen) < 50


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\na.mp4\n", "ffconcat version 1.0\nfile a.mp4\n"]
)
def test_a_strangers_playlist_is_not_followed(tmp_path, text):
    clips.make(tmp_path / "a.mp4")
    (tmp_path / "list.mp4").write_text(text)
    with pytest.raises(ValueError, match="is not a readable video"):
        times(tmp_path / "list.mp4", trusted=False)


@pytest.mark.parametrize("source", ["http://127.0.0.1:1/a.mp4", "0", "/dev/video0"])
def test_a_stranger_names_no_stream_and_no_camera(source):
    with pytest.raises(ValueError, match="is no file"):
        times(source, trusted=False)


@pytest.mark.parametrize("source", ["http://127.0.0.1:1/a.mp4", "/dev/video77", "77"])
def test_a_camera_or_stream_that_is_not_there_is_one_sentence(source):
    with pytest.raises(OSError, match="cannot open the camera or stream"):
        times(source)


def test_without_pyav_a_sentence_says_what_to_install():
    code = "import sys; sys.modules['av'] = None; import posegram.video"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: video needs PyAV: pip install 'posegram[video]'" in done.stderr


# live pictures


def still(number):
    return Frame(np.zeros((2, 2, 3), dtype=np.uint8), float(number))


def test_a_slow_reader_gets_the_newest_frame():
    first_taken, all_sent = threading.Event(), threading.Event()

    def camera():
        yield still(0)
        first_taken.wait(10)
        for number in range(1, 6):
            yield still(number)
        all_sent.set()
        threading.Event().wait(0.2)
        yield still(9)

    live = latest(camera())
    seen = [next(live).time]
    first_taken.set()
    all_sent.wait(10)
    seen.append(next(live).time)
    assert seen in ([0.0, 5.0], [0.0, 4.0])


def test_a_camera_that_stalls_is_left_when_told_to():
    stalled, left = threading.Event(), threading.Event()

    def camera():
        yield still(0)
        stalled.wait(10)

    live = latest(camera(), stop=left.is_set)
    next(live)
    left.set()
    assert next(live, None) is None
    assert not stalled.is_set()
    stalled.set()


def test_a_camera_that_fails_fails_its_reader():
    def camera():
        yield still(0)
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        list(latest(camera()))
