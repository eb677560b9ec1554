"""A stranger's clip, looked at in a process of its own."""

import subprocess

import pytest

import serving
from posegram.web import peek


def test_a_clip_tells_its_size_and_length(tmp_path):
    found = peek.facts(serving.clip(tmp_path / "a.mp4", 30, (48, 64)))
    assert (found["width"], found["height"], found["count"]) == (64, 48, 30)
    assert found["seconds"] == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize(
    "data", [b"\0\0\0\x18ftypisom" + b"\0" * 500, b"#EXTM3U\n/etc/passwd\n", b""]
)
def test_what_cannot_be_decoded_is_refused(tmp_path, data):
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(ValueError, match="the video is damaged"):
        peek.facts(tmp_path / "a.mp4")


def test_a_clip_without_its_end_is_refused(tmp_path):
    data = serving.clip(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: len(data) // 3])
    with pytest.raises(ValueError, match="the video is damaged"):
        peek.facts(tmp_path / "b.mp4")


def test_a_computer_too_busy_to_look_says_so(tmp_path, monkeypatch):
    def late(*_, **__):
        raise subprocess.TimeoutExpired("peek", 1)

    monkeypatch.setattr(subprocess, "run", late)
    with pytest.raises(TimeoutError, match="too busy"):
        peek.facts(tmp_path / "a.mp4")


def test_looking_loads_no_web_framework():
    check = "import posegram.web.peek, sys; print({'flask', 'torch'} & set(sys.modules))"
    done = subprocess.run([peek.sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
