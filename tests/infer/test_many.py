import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import clips
import posegram
import tiny
from posegram import image as pictures
from posegram.infer import many, parts
from posegram.infer.many import Look, cut, predict_many
from posegram.pose import LSP14, MPII16


@pytest.fixture
def look(tmp_path):
    return Look(model=str(tiny.constant(tmp_path / "m.onnx")), detector="none")


def photos(folder, count=5):
    folder.mkdir(parents=True)
    for n in range(count):
        pictures.write(folder / f"{n}.png", np.full((40, 60, 3), 10 * n, dtype=np.uint8))
    return folder


def files(plan):
    return [Path(row.path).name for rows in plan.shards.values() for row in rows]


def test_it_is_a_public_name():
    assert posegram.predict_many is predict_many


def test_every_photo_of_a_folder_and_below_is_looked_at(tmp_path, look):
    photos(tmp_path / "in", 3)
    photos(tmp_path / "in" / "below", 2)
    report = predict_many(look.model, tmp_path / "in", tmp_path / "out", look=look)
    assert report.count == parts.Count(images=5, people=5, failed=0)


def test_a_list_names_files(tmp_path, look):
    folder = photos(tmp_path / "in")
    (tmp_path / "some.txt").write_text(f"{folder / '3.png'}\n\n{folder / '1.png'}\n")
    assert files(cut(tmp_path / "some.txt", tmp_path / "out", look)) == ["3.png", "1.png"]


def test_a_list_from_windows_names_files(tmp_path, look):
    text = f"\ufeff{photos(tmp_path / 'in') / '3.png'}\r\n\r\n"
    (tmp_path / "some.txt").write_text(text, encoding="utf-8", newline="")
    plan = cut(tmp_path / "some.txt", tmp_path / "out", look)
    assert [row.size > 0 for rows in plan.shards.values() for row in rows] == [True]


def test_a_list_that_is_not_in_utf8_is_refused(tmp_path, look):
    (tmp_path / "some.txt").write_bytes(b"caf\xe9.png\n")
    with pytest.raises(ValueError, match=r"some.txt is not in UTF-8"):
        cut(tmp_path / "some.txt", tmp_path / "out", look)


@pytest.mark.parametrize("shard", [1, 200])
def test_a_photo_that_is_listed_twice_is_looked_at_once(tmp_path, look, shard):
    folder = photos(tmp_path / "in", 2)
    plan = cut([folder, folder / "1.png", folder], tmp_path / "out", look, shard=shard)
    assert files(plan) == ["0.png", "1.png"]


def test_a_folder_that_is_not_there_is_refused(tmp_path, look):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*gone"):
        cut(tmp_path / "gone", tmp_path / "out", look)


def test_a_file_for_the_parts_is_refused(tmp_path, look):
    (tmp_path / "parts").write_bytes(b"somebody's")
    with pytest.raises(ValueError, match="parts is a file, wanted a folder for the parts"):
        cut(tmp_path, tmp_path / "parts", look)


def test_a_file_that_is_not_there_is_counted_as_failed(tmp_path, look):
    report = predict_many(
        look.model, [photos(tmp_path / "in"), tmp_path / "gone.jpg"], tmp_path / "out", look=look
    )
    assert (report.count.images, report.count.failed) == (5, 1)


def test_photos_are_cut_into_parts_of_that_many(tmp_path, look):
    plan = cut(photos(tmp_path / "in"), tmp_path / "out", look, shard=2)
    assert [len(rows) for rows in plan.shards.values()] == [2, 2, 1]


def test_a_clip_is_a_part_of_its_own(tmp_path, look):
    folder = photos(tmp_path / "in", 2)
    (folder / "1a.mp4").write_bytes(b"")
    plan = cut(folder, tmp_path / "out", look)
    assert sorted(len(rows) for rows in plan.shards.values()) == [1, 2]


def test_the_share_of_files_that_failed_is_told(tmp_path, look):
    report = predict_many(
        look.model, [photos(tmp_path / "in"), tmp_path / "gone.jpg"], tmp_path / "out", look=look
    )
    assert (report.files, report.failed_share) == (6, pytest.approx(1 / 6))


@pytest.fixture
def pieces(monkeypatch):
    """Clips are cut every 0.8 s."""
    monkeypatch.setattr(many, "_PIECE", 0.8)


def all_lines(plan):
    return [line for part in plan.shards for line in parts.lines(part)]


def test_a_clip_of_which_nobody_is_followed_is_cut(tmp_path, look, pieces):
    clip = clips.make(tmp_path / "a.mp4", [n / 25 for n in range(50)])
    plan = cut(clip, tmp_path / "out", replace(look, follow=False))
    assert [(row.start, row.end) for (row,) in plan.shards.values()] == [(0.0, 0.8), (0.8, None)]


def test_a_clip_of_which_people_are_followed_is_not_cut(tmp_path, look, pieces):
    clip = clips.make(tmp_path / "a.mp4", [n / 25 for n in range(50)])
    assert len(cut(clip, tmp_path / "out", look).shards) == 1


def test_pieces_hold_together_what_the_whole_clip_holds(tmp_path, look, monkeypatch):
    clip, alone = clips.make(tmp_path / "a.mp4", [n / 25 for n in range(90)]), []
    for seconds in (1200.0, 0.5):
        monkeypatch.setattr(many, "_PIECE", seconds)
        plan = cut(clip, tmp_path / f"{seconds}", replace(look, follow=False))
        list(many.run(plan))
        alone.append(all_lines(plan))
    assert len(plan.shards) == 7
    assert len(alone[0]) == 90
    assert alone[0] == alone[1]


def test_a_broken_clip_in_pieces_has_failed_once(tmp_path, look, pieces):
    clip = clips.make(tmp_path / "a.mp4", [n / 25 for n in range(100)])
    clips.cut(clip)
    report = predict_many(
        look.model, [clip, clip.with_name("gone.mp4")], tmp_path / "out",
        look=replace(look, follow=False),
    )  # fmt: skip
    told = list(parts.failures(report.parts))
    assert len(report.parts) > 2
    assert (report.files, report.count.failed, len(told)) == (2, 2, 2)


def test_a_clip_that_is_none_is_not_cut(tmp_path, look, pieces):
    (tmp_path / "a.mp4").write_bytes(b"no clip")
    plan = cut(tmp_path / "a.mp4", tmp_path / "out", replace(look, follow=False))
    assert [row.end for (row,) in plan.shards.values()] == [None]


def test_what_is_done_is_not_done_again(tmp_path, look):
    folder, out = photos(tmp_path / "in"), tmp_path / "out"
    first = predict_many(look.model, folder, out, look=look)
    before = {part: part.stat().st_mtime_ns for part in first.parts}
    second = predict_many(look.model, folder, out, look=look)
    assert second.before == len(first.parts)
    assert {part: part.stat().st_mtime_ns for part in second.parts} == before


def test_a_missing_part_is_done_again(tmp_path, look):
    folder, out = photos(tmp_path / "in"), tmp_path / "out"
    first = predict_many(look.model, folder, out, look=look)
    whole = first.parts[0].read_bytes()
    first.parts[0].unlink()
    assert predict_many(look.model, folder, out, look=look).parts[0].read_bytes() == whole


@pytest.mark.parametrize("change", [{"least": 0.5}, {"flip": True}, {"most": 1}])
def test_other_settings_make_other_parts(tmp_path, look, change):
    folder = photos(tmp_path / "in")
    other = Look(**(vars(look) | change))
    assert not set(cut(folder, tmp_path / "out", look).shards) & set(
        cut(folder, tmp_path / "out", other).shards
    )


def test_another_model_under_the_same_name_makes_other_parts(tmp_path, look):
    folder = photos(tmp_path / "in")
    before = set(cut(folder, tmp_path / "out", look).shards)
    tiny.constant(tmp_path / "m.onnx", size=(96, 64))
    assert not before & set(cut(folder, tmp_path / "out", look).shards)


def test_a_changed_photo_makes_another_part(tmp_path, look):
    folder = photos(tmp_path / "in")
    before = set(cut(folder, tmp_path / "out", look).shards)
    pictures.write(folder / "3.png", np.zeros((50, 60, 3), dtype=np.uint8))
    assert not before & set(cut(folder, tmp_path / "out", look).shards)


def test_the_index_names_model_joints_and_parts(tmp_path, look):
    plan = cut(photos(tmp_path / "in"), tmp_path / "out", look)
    index = json.loads((tmp_path / "out" / "parts.json").read_text())
    assert index["model"] == "constant"
    assert tuple(index["joints"]) == LSP14.joints
    assert index["parts"] == [part.name for part in plan.shards]


def test_people_are_as_one_look_finds_them(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    pictures.write(folder / "a.png", image)
    model = str(tiny.constant(tmp_path / "m.onnx"))
    report = predict_many(model, folder, tmp_path / "out", look=Look(detector="none"))
    (line,) = parts.lines(report.parts[0])
    found = posegram.load(model, detector="none")(image)
    np.testing.assert_allclose(np.reshape(line["xy"][0], (-1, 2)), found.xy[0], atol=1e-3)


def test_what_a_killed_run_left_half_written_goes(tmp_path, look):
    photo = tmp_path / "in" / "a.png"
    photo.parent.mkdir()
    pictures.write(photo, np.zeros((40, 60, 3), dtype=np.uint8))
    half = tmp_path / "out" / f".{'0' * 32}.part"
    half.parent.mkdir()
    half.touch()
    os.utime(half, (0, 0))
    cut(photo, tmp_path / "out", look)
    assert not half.exists()


def test_nothing_to_look_at_is_refused(tmp_path, look):
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(ValueError, match="no photo and no clip"):
        cut(tmp_path / "empty.txt", tmp_path / "out", look)


def test_a_list_that_is_not_there_is_refused(tmp_path, look):
    with pytest.raises(FileNotFoundError, match=r"there is no list .*gone.txt"):
        cut(tmp_path / "gone.txt", tmp_path / "out", look)


def test_an_unknown_executor_is_refused(tmp_path, look):
    with pytest.raises(ValueError, match="no executor 'dask'; there are local, ray"):
        many.run(cut(photos(tmp_path / "in"), tmp_path / "out", look), "dask")


def test_the_joints_are_those_that_are_wished_for(tmp_path, look):
    wish = replace(look, skeleton="mpii16")
    assert cut(photos(tmp_path / "in"), tmp_path / "out", wish).skeleton is MPII16


def test_no_workers_stand_for_as_many_as_there_are_cores(tmp_path, look):
    many.run(cut(photos(tmp_path / "in"), tmp_path / "out", look), workers=0).close()


def test_fewer_workers_than_none_are_refused(tmp_path, look):
    with pytest.raises(ValueError, match="workers must be 0 or more, not -1"):
        many.run(cut(photos(tmp_path / "in"), tmp_path / "out", look), workers=-1)


def test_a_model_that_does_not_load_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.onnx"):
        cut(photos(tmp_path / "in"), tmp_path / "out", Look(model=str(tmp_path / "gone.onnx")))
    assert not (tmp_path / "out").exists()


def test_other_presets_of_a_model_have_parts_of_their_own(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b'{"kind": "rcnn"}')
    facts = [many._facts(Look(model=f"{tmp_path}/x.onnx{behind}", detector="none"))
             for behind in ("", ":fast", ":fast,people=5")]  # fmt: skip
    assert len({json.dumps(one) for one in facts}) == 3


def test_parts_of_whole_files_are_called_as_they_were_before_clips_could_be_cut(tmp_path, look):
    """So a folder that an older posegram began is gone on with."""
    plan = cut(photos(tmp_path / "in", 1), tmp_path / "out", look)
    ((part, ((path, size, changed, *_),)),) = plan.shards.items()
    facts = {key: value for key, value in many._facts(look).items() if key != "follow"}
    text = json.dumps([facts, [[path, size, changed]]], sort_keys=True)
    assert part.name == f"part-{hashlib.sha256(text.encode()).hexdigest()[:16]}.jsonl.gz"
