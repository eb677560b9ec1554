import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from posegram.infer import parts
from posegram.pose import LSP14, People

K = len(LSP14)


def somebody(shift=0.0, track=None):
    """One person whose joints lie on a diagonal."""
    xy = np.stack([np.arange(K), np.arange(K)], axis=1)[None].astype(np.float32) + shift
    score = np.linspace(0.1, 0.9, K, dtype=np.float32)[None]
    box = np.array([[0, 0, 20, 20]], dtype=np.float32)
    return People(xy, score, box, LSP14, None if track is None else np.array([track]))


def written(folder, *parts_of_lines):
    """Parts with these lines, and their index."""
    made = [
        parts.save(folder / f"part-{n}.jsonl.gz", lines) for n, lines in enumerate(parts_of_lines)
    ]
    parts.index(folder, made, LSP14, {"model": "m"})
    return made


def photo(name, people=None, size=(30, 40)):
    return parts.line(Path(name), people or somebody(), size)


def test_a_part_gives_back_what_was_put_into_it(tmp_path):
    lines = [photo("a/1.jpg"), photo("a/2.jpg", People.none(LSP14))]
    (part,) = written(tmp_path, lines)
    assert list(parts.lines(part)) == lines


def test_the_heading_counts_photos_people_and_failures(tmp_path):
    (part,) = written(
        tmp_path, [photo("1.jpg"), photo("2.jpg"), parts.failure(Path("3.jpg"), "3.jpg: broken")]
    )
    assert parts.count_of(part) == parts.Count(images=2, people=2, failed=1)


def test_the_same_lines_make_the_same_bytes(tmp_path):
    one, two = written(tmp_path, [photo("1.jpg")], [photo("1.jpg")])
    assert one.read_bytes() == two.read_bytes()


def test_failures_are_told_of_all_parts(tmp_path):
    made = written(
        tmp_path, [photo("1.jpg")], [photo("2.jpg"), parts.failure(Path("3.jpg"), "3.jpg: no")]
    )
    assert list(parts.failures(made)) == ["3.jpg: no"]


def test_a_clip_in_pieces_is_told_of_once(tmp_path):
    broken = [parts.failure(Path("a.mp4"), "a.mp4 breaks off")]
    made = written(tmp_path, broken, broken, [parts.failure(Path("b.mp4"), "b.mp4 breaks off")])
    assert list(parts.failures(made)) == ["a.mp4 breaks off", "b.mp4 breaks off"]


def test_frames_of_pieces_that_were_reckoned_twice_are_merged_apart(tmp_path):
    pieces = [
        [parts.line(Path(clip), somebody(), (30, 40), n, n / 10) for n in numbers]
        for clip, numbers in (("a.mp4", (0, 1, 2)), ("a.mp4", (2, 3, 9)), ("b.mp4", (0, 1)))
    ]
    written(tmp_path, *pieces)
    parts.merge(tmp_path, "csv-wide", tmp_path / "all.csv", LSP14)
    with (tmp_path / "all.csv").open() as file:
        frames = [(row["image"], row["frame"]) for row in csv.DictReader(file)]
    assert frames == [
        *(("a.mp4", str(n)) for n in (0, 1, 2, 3, 4, 9)),
        *(("b.mp4", str(n)) for n in (0, 1)),
    ]


def test_a_part_that_was_cut_short_is_named(tmp_path):
    (part,) = written(tmp_path, [photo("1.jpg")])
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"part-0.jsonl.gz is damaged: remove it"):
        list(parts.lines(part))


def test_a_part_that_a_power_cut_left_empty_is_named(tmp_path):
    (part,) = written(tmp_path, [photo("1.jpg")])
    part.write_bytes(b"")
    with pytest.raises(ValueError, match=r"part-0.jsonl.gz is damaged: remove it"):
        parts.count_of(part)


def test_a_file_that_is_no_part_is_named(tmp_path):
    (part,) = written(tmp_path, [photo("1.jpg")])
    part.write_bytes(b"hello")
    with pytest.raises(ValueError, match="is damaged"):
        parts.count_of(part)


def test_merged_coco_results_have_the_numbers_of_the_files(tmp_path):
    written(tmp_path, [photo("a/000000000042.jpg")], [photo("b/000000000007.jpg")])
    path = parts.merge(tmp_path, "coco", tmp_path / "all.json", LSP14)
    assert [one["image_id"] for one in json.loads(path.read_text())] == [42, 7]


def test_merged_coco_results_have_the_joints(tmp_path):
    written(tmp_path, [photo("1.jpg", somebody(shift=0.25))])
    path = parts.merge(tmp_path, "coco", tmp_path / "all.json", LSP14)
    keypoints = json.loads(path.read_text())[0]["keypoints"]
    np.testing.assert_allclose(keypoints[0::3], np.arange(K) + 0.25)


def test_merged_annotations_keep_the_folders_below_the_common_one(tmp_path):
    written(tmp_path, [photo("x/a/1.jpg"), photo("x/b/1.jpg")])
    path = parts.merge(tmp_path, "coco-annotations", tmp_path / "all.json", LSP14)
    names = [one["file_name"] for one in json.loads(path.read_text())["images"]]
    assert names == ["a/1.jpg", "b/1.jpg"]


def test_photos_named_from_here_and_from_the_root_are_merged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(tmp_path, [photo("a/1.jpg"), photo(tmp_path / "b" / "2.jpg")])
    path = parts.merge(tmp_path, "coco-annotations", tmp_path / "all.json", LSP14)
    names = [one["file_name"] for one in json.loads(path.read_text())["images"]]
    assert names == ["a/1.jpg", "b/2.jpg"]


def test_frames_of_two_clips_have_ids_of_their_own(tmp_path):
    frames = [
        parts.line(Path(f"{clip}.mp4"), somebody(track=0), (30, 40), n, n / 25)
        for clip in "ab"
        for n in range(2)
    ]
    written(tmp_path, frames[:2], frames[2:])
    path = parts.merge(tmp_path, "coco", tmp_path / "all.json", LSP14)
    assert len({one["image_id"] for one in json.loads(path.read_text())}) == 4


def test_a_merged_table_has_frames_times_and_tracks(tmp_path):
    written(tmp_path, [parts.line(Path("a.mp4"), somebody(track=5), (30, 40), 3, 0.12)])
    path = parts.merge(tmp_path, "csv", tmp_path / "all.csv", LSP14)
    row = next(csv.DictReader(path.read_text().splitlines()))
    assert (row["frame"], row["time"], row["track"]) == ("3", "0.120000", "5")


def test_failures_are_left_out_of_what_is_merged(tmp_path):
    written(tmp_path, [parts.failure(Path("1.jpg"), "1.jpg: no"), photo("2.jpg")])
    path = parts.merge(tmp_path, "json", tmp_path / "all.json", LSP14)
    assert [one["image"] for one in json.loads(path.read_text())["frames"]] == ["2.jpg"]


@pytest.mark.parametrize("form", ["coco", "coco-annotations"])
def test_parts_of_failures_alone_are_merged_into_nobody(tmp_path, form):
    written(tmp_path, [parts.failure(Path("1.jpg"), "1.jpg: no")])
    whole = json.loads(parts.merge(tmp_path, form, tmp_path / "all.json", LSP14).read_text())
    assert (whole if form == "coco" else whole["images"]) == []


def test_parts_that_are_missing_are_counted(tmp_path):
    one, _ = written(tmp_path, [photo("1.jpg")], [photo("2.jpg")])
    one.unlink()
    with pytest.raises(FileNotFoundError, match="1 of 2 parts are missing"):
        parts.merge(tmp_path, "json", tmp_path / "all.json", LSP14)


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no parts.json"):
        parts.merge(tmp_path, "json", tmp_path / "all.json", LSP14)


def test_an_index_that_a_power_cut_left_empty_is_named(tmp_path):
    (tmp_path / parts.INDEX).touch()
    with pytest.raises(ValueError, match=r"parts\.json: not a readable JSON file"):
        parts.merge(tmp_path, "json", tmp_path / "all.json", LSP14)


def test_parts_of_another_run_are_not_merged(tmp_path):
    written(tmp_path, [photo("1.jpg")])
    parts.save(tmp_path / "part-old.jsonl.gz", [photo("old.jpg")])
    path = parts.merge(tmp_path, "json", tmp_path / "all.json", LSP14)
    assert "old.jpg" not in path.read_text()


def test_joints_that_do_not_exist_stay_so(tmp_path):
    people = somebody()
    people.xy[0, 3] = np.nan
    people.score[0, 3] = 0
    (part,) = written(tmp_path, [photo("1.jpg", people)])
    with gzip.open(part, "rt") as text:
        assert json.loads(text.readlines()[1])["xy"][0][6:8] == [None, None]


@pytest.mark.parametrize("names", [("a.mov", "a.mp4"), ("a.mp4", "a/frame_000000.png")])
def test_clips_and_photos_of_like_names_have_pictures_of_their_own(tmp_path, names):
    lines = [parts.line(Path(names[0]), somebody(track=0), (30, 40), 0, 0.0)]
    other = Path(names[1])
    again = (0, 0.0) if other.suffix == ".mp4" else ()
    lines.append(parts.line(other, somebody(), (30, 40), *again))
    written(tmp_path, lines)
    path = parts.merge(tmp_path, "coco-annotations", tmp_path / "all.json", LSP14)
    images = json.loads(path.read_text())["images"]
    assert len({one["id"] for one in images}) == len({one["file_name"] for one in images}) == 2
