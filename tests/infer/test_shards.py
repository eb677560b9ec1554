from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clips
import tiny
from posegram import image as pictures
from posegram.infer import parts
from posegram.infer.shards import Look, Row, Worker
from posegram.pose import LSP14


@pytest.fixture
def look(tmp_path):
    return Look(model=str(tiny.constant(tmp_path / "m.onnx")), detector="none")


def photo(path, size=(48, 64)):
    pictures.write(path, np.full((*size, 3), 90, dtype=np.uint8))
    return Row(str(path))


def test_a_photo_becomes_a_line(tmp_path, look):
    (line,) = Worker(look, LSP14).lines(photo(tmp_path / "a.png"))
    assert line["size"] == [48, 64]
    assert len(line["xy"][0]) == 2 * len(LSP14)


def test_a_shard_becomes_a_part_with_its_files_in_order(tmp_path, look):
    rows = [photo(tmp_path / f"{name}.png") for name in "cab"]
    part = Worker(look, LSP14).shard(tmp_path / "part-x.jsonl.gz", rows)
    assert [Path(line["image"]).stem for line in parts.lines(part)] == ["c", "a", "b"]


def test_a_broken_photo_is_a_line_with_an_error(tmp_path, look):
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    (line,) = Worker(look, LSP14).lines(Row(str(tmp_path / "broken.jpg")))
    assert line["image"].endswith("broken.jpg")
    assert "broken.jpg" in line["error"]


def test_a_photo_that_is_gone_is_a_line_with_an_error(tmp_path, look):
    (line,) = Worker(look, LSP14).lines(Row(str(tmp_path / "gone.jpg")))
    assert "there is no" in line["error"]


def test_a_photo_for_which_memory_is_short_is_a_line_with_an_error(tmp_path, look, monkeypatch):
    def read(path):
        raise MemoryError

    monkeypatch.setattr(pictures, "read", read)
    (line,) = Worker(look, LSP14).lines(Row("a.png"))
    assert line["error"] == "a.png: MemoryError"


def test_a_clip_becomes_a_line_a_frame(tmp_path, look):
    clip = clips.make(tmp_path / "a.mp4")
    lines = Worker(look, LSP14).lines(Row(str(clip)))
    assert [line["frame"] for line in lines] == list(range(10))
    assert lines[5]["time"] == pytest.approx(0.2)
    assert all(line["track"] == [lines[0]["track"][0]] for line in lines)


def test_a_piece_of_a_clip_becomes_a_line_a_frame_of_it(tmp_path, look):
    clip = clips.make(tmp_path / "a.mp4")
    row = Row(str(clip), start=0.12, end=0.2)
    alone = replace(look, follow=False)
    lines = Worker(alone, LSP14).lines(row)
    assert [(line["frame"], line["time"]) for line in lines] == [(3, 0.12), (4, 0.16)]
    assert all("track" not in line for line in lines)


def test_a_clip_that_breaks_off_keeps_its_frames_and_tells(tmp_path, look):
    clip = clips.cut(clips.make(tmp_path / "a.mp4", [n / 25 for n in range(60)]))
    *frames, last = Worker(look, LSP14).lines(Row(str(clip)))
    assert 0 < len(frames) < 60
    assert "breaks off after" in last["error"]


def test_who_is_unlikely_is_left_out(tmp_path, look):
    picky = Look(look.model, look.detector, least=0.99)
    (line,) = Worker(picky, LSP14).lines(photo(tmp_path / "a.png"))
    assert line["xy"] == []
