import signal
import subprocess
import sys

import av
import cv2
import numpy as np
import pytest

import clips
from posegram.recorder import Writer
from posegram.video import frames, probe


def record(path, count=5, size=(96, 128), **options):
    with Writer(path, size, **options) as writer:
        for number in range(count):
            writer.write(clips.picture(number, size), number / 25)
    return path


def test_what_is_written_can_be_read(tmp_path):
    assert len(list(frames(record(tmp_path / "a.mp4")))) == 5


def test_the_pictures_are_those_written(tmp_path):
    seen = [frame.image for frame in frames(record(tmp_path / "a.mp4", size=(192, 256)))]
    differences = [
        np.abs(image.astype(int) - clips.picture(n, (192, 256))).mean()
        for n, image in enumerate(seen)
    ]
    assert max(differences) < 4


def test_times_are_kept(tmp_path):
    told = [0.0, 0.02, 0.5, 0.51, 2.0]
    with Writer(tmp_path / "a.mp4", (96, 128)) as writer:
        for n, at in enumerate(told):
            writer.write(clips.picture(n), at)
    assert [f.time for f in frames(tmp_path / "a.mp4")] == pytest.approx(told, abs=2e-5)


def test_a_time_that_does_not_grow_is_moved_on(tmp_path):
    with Writer(tmp_path / "a.mp4", (96, 128)) as writer:
        for at in (0.0, 0.1, 0.1, 0.05):
            writer.write(clips.picture(), at)
    assert len(list(frames(tmp_path / "a.mp4"))) == 4


def test_odd_sides_grow_by_one_pixel(tmp_path):
    clip = probe(record(tmp_path / "a.mp4", size=(95, 127)))
    assert (clip.height, clip.width) == (96, 128)


def test_browsers_can_play_the_format(tmp_path):
    with av.open(str(record(tmp_path / "a.mp4"))) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt) == ("h264", "yuv420p")


def test_the_index_comes_first_so_that_a_browser_starts_at_once(tmp_path):
    data = record(tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def heard(path):
    """Packets of sound, and the time at which they end."""
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(audio=0) if p.dts is not None]
        return [bytes(p) for p in packets], float(packets[-1].pts * packets[-1].time_base)


def test_sound_is_copied_packet_by_packet(tmp_path):
    source = clips.make(tmp_path / "in.mp4", sound=0.35)
    out = record(tmp_path / "out.mp4", 10, sound=source)
    assert heard(out)[0] == heard(source)[0]


def test_sound_ends_with_the_pictures(tmp_path):
    source = clips.make(tmp_path / "in.mp4", sound=2.0)
    assert heard(record(tmp_path / "out.mp4", 10, sound=source))[1] == pytest.approx(0.36, abs=0.05)


def test_sound_starts_where_the_pictures_do(tmp_path):
    source = clips.make(tmp_path / "in.mp4", [n / 25 for n in range(50)], sound=2.0)
    first = heard(record(tmp_path / "out.mp4", 10, sound=source, start=1.0))[0][0]
    late = heard(source)[0].index(first) * 1024 / 44100
    assert late == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("start", [0.0, 1.0])
def test_sound_of_a_clip_with_a_clock_of_its_own_starts_there_too(tmp_path, start):
    moments = [n / 25 for n in range(50)]
    source = clips.make(tmp_path / "in.mts", moments, sound=2.0, offset=36_000)
    out = record(tmp_path / "out.mp4", 10, sound=source, start=start)
    assert heard(out)[1] == pytest.approx(0.36, abs=0.05)
    headless = [packet[7:] for packet in heard(source)[0]]  # .mts has a header before each packet
    first = headless.index(heard(out)[0][0]) * 1024 / 44100
    assert first == pytest.approx(start, abs=0.05)


@pytest.mark.parametrize("kind", [".nut", ".ivf", ".m4v"])
def test_containers_that_can_be_read_are_opened_for_their_sound(tmp_path, kind):
    codec, form = {".ivf": ("libvpx", "ivf"), ".nut": ("mpeg4", "nut"), ".m4v": ("mpeg4", "m4v")}[
        kind
    ]
    with av.open(str(tmp_path / f"in{kind}"), "w", format=form) as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        frame = av.VideoFrame.from_ndarray(clips.picture(0), format="rgb24")
        out.mux([*stream.encode(frame), *stream.encode(None)])
    assert not probe(record(tmp_path / "out.mp4", sound=tmp_path / f"in{kind}")).sound


def test_a_clip_without_sound_stays_silent(tmp_path):
    source = clips.make(tmp_path / "in.mp4")
    assert not probe(record(tmp_path / "out.mp4", sound=source)).sound


@pytest.fixture
def unheard(tmp_path):
    """A clip whose sound is of a kind that nobody knows."""
    source = clips.make(tmp_path / "in.mkv", sound=0.4)
    source.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_ZZZ"))
    return source


def test_sound_of_a_kind_that_nobody_knows_is_left_out_and_said(tmp_path, unheard):
    with Writer(tmp_path / "out.mp4", (96, 128), sound=unheard) as writer:
        writer.write(clips.picture(), 0.0)
    assert writer.muted == "an .mp4 does not hold its kind of sound (unknown)"
    assert (writer.sound, probe(tmp_path / "out.mp4").sound) == (False, False)


def test_a_clip_that_cannot_be_opened_for_its_sound_costs_no_pictures(tmp_path):
    (tmp_path / "photo.mp4").write_bytes(cv2.imencode(".jpg", clips.picture())[1].tobytes())
    with Writer(tmp_path / "out.mp4", (96, 128), sound=tmp_path / "photo.mp4") as writer:
        writer.write(clips.picture(), 0.0)
    assert writer.muted.startswith("its sound cannot be opened (")
    assert probe(tmp_path / "out.mp4").count == 1


@pytest.mark.parametrize("fault", [KeyboardInterrupt, RuntimeError])
def test_a_block_that_is_broken_off_leaves_what_was_written(tmp_path, fault):
    def work():
        with Writer(tmp_path / "a.mp4", (96, 128)) as writer:
            for number in range(3):
                writer.write(clips.picture(number), number / 25)
            raise fault

    with pytest.raises(fault):
        work()
    assert len(list(frames(tmp_path / "a.mp4"))) == 3


def test_ctrl_c_leaves_a_clip_that_plays(tmp_path):
    code = f"""
import clips, itertools, pathlib, signal
# a suite that was started in the background ignores it, and so would its children
signal.signal(signal.SIGINT, signal.default_int_handler)
from posegram.recorder import Writer
with Writer(pathlib.Path({str(tmp_path / "a.mp4")!r}), (96, 128)) as writer:
    for n in itertools.count():
        writer.write(clips.picture(n), n / 25)
        print(n, flush=True)
"""
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=clips.__file__.rpartition("/")[0],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with child:
        for line in child.stdout:
            if int(line) == 60:
                child.send_signal(signal.SIGINT)
                break
        child.stdout.read()
    assert len(list(frames(tmp_path / "a.mp4"))) > 60


def test_a_block_without_frames_leaves_an_older_file_alone(tmp_path):
    before = record(tmp_path / "a.mp4").read_bytes()
    with Writer(tmp_path / "a.mp4", (96, 128)):
        pass
    assert (tmp_path / "a.mp4").read_bytes() == before


def test_nothing_else_is_left_in_the_folder(tmp_path):
    record(tmp_path / "a.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_a_frame_of_another_size_is_refused(tmp_path):
    with (
        Writer(tmp_path / "a.mp4", (96, 128)) as writer,
        pytest.raises(ValueError, match=r"is \(50, 60, 3\), not \(96, 128, 3\)"),
    ):
        writer.write(clips.picture(0, (50, 60)), 0.0)


def test_a_name_that_does_not_end_in_mp4_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot write .*a\.avi: its name must end in \.mp4"):
        Writer(tmp_path / "a.avi", (96, 128))


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        Writer(tmp_path / "gone" / "a.mp4", (96, 128))


def test_sound_that_cannot_be_opened_leaves_nothing_behind(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        Writer(tmp_path / "a.mp4", (96, 128), sound=tmp_path / "gone.mp4")
    assert list(tmp_path.iterdir()) == []
