import csv
import io
import itertools
import json
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import clips
import crowd
from posegram.infer.film import Plan, film
from posegram.infer.follow import Follower
from posegram.infer.topdown import TopDown
from posegram.pose import COCO17, LSP14, Card, Skeleton
from posegram.smooth import jitter
from posegram.video import frames, probe


def standing(image, time):
    """One person in the middle, with an id."""
    return crowd.people([(64, 55)], names=(3,), height=60.0)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def clip(tmp_path):
    return clips.make(tmp_path / "in.mp4", [n / 25 for n in range(10)])


# what is made of a clip


def test_the_drawn_clip_has_every_frame_at_its_time(tmp_path):
    told = [0.0, 0.04, 0.3, 0.31, 0.9]
    clip = clips.make(tmp_path / "in.mp4", told)
    film(standing, clip, tmp_path / "out.mp4")
    assert [f.time for f in frames(tmp_path / "out.mp4")] == pytest.approx(told, abs=1e-4)


def test_a_clip_with_a_clock_of_its_own_is_drawn_from_0_on(tmp_path):
    clip = clips.make(tmp_path / "in.mts", sound=0.4, offset=36_000)
    film(standing, clip, tmp_path / "out.mp4", plan=Plan({"csv": tmp_path / "a.csv"}))
    assert probe(tmp_path / "out.mp4").seconds == pytest.approx(0.4, abs=0.05)
    assert float(rows(tmp_path / "a.csv")[0]["time"]) == pytest.approx(0, abs=0.05)


def test_people_below_the_least_score_are_left_out(tmp_path, clip):
    plan = Plan({"csv": tmp_path / "a.csv"}, least=1.01)
    assert film(standing, clip, tmp_path / "out.mp4", plan=plan).people == 0
    assert rows(tmp_path / "a.csv") == []
    assert (
        np.abs(
            next(frames(clip)).image.astype(int) - next(frames(tmp_path / "out.mp4")).image
        ).mean()
        < 4
    )


def test_people_are_drawn_into_it(tmp_path, clip):
    film(standing, clip, tmp_path / "out.mp4")
    pairs = zip(frames(clip), frames(tmp_path / "out.mp4"), strict=True)
    changed = [np.abs(a.image.astype(int) - b.image)[20:85, 45:80].mean() for a, b in pairs]
    assert min(changed) > 5


def test_a_sideways_clip_is_drawn_upright(tmp_path):
    clip = clips.make(tmp_path / "in.mp4", rotation=90)
    film(standing, clip, tmp_path / "out.mp4")
    made = probe(tmp_path / "out.mp4")
    assert (made.height, made.width) == (128, 96)


@pytest.mark.parametrize(("rotation", "shown"), [(0, Fraction(4, 3)), (90, Fraction(3, 4))])
def test_a_clip_of_wide_pixels_is_shown_as_wide_as_before(tmp_path, rotation, shown):
    clip = clips.make(tmp_path / "in.mp4", rotation=rotation, pixel=Fraction(4, 3))
    film(standing, clip, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").pixel == shown


@pytest.mark.parametrize("drawn", [True, False])
def test_a_clip_is_not_replaced_by_what_is_made_of_it(clip, drawn):
    before = clip.read_bytes()
    plan = Plan() if drawn else Plan({"csv": clip})
    with pytest.raises(ValueError, match="it is the clip itself"):
        film(standing, clip, clip if drawn else None, plan=plan)
    assert clip.read_bytes() == before


def test_odd_sides_are_no_trouble(tmp_path, clip):
    film(standing, clip, tmp_path / "out.mp4", draw=lambda image, people: image[:95, :127])
    assert probe(tmp_path / "out.mp4").height == 96


def test_the_sound_comes_along(tmp_path):
    clip = clips.make(tmp_path / "in.mp4", sound=0.4)
    film(standing, clip, tmp_path / "out.mp4")
    assert probe(tmp_path / "out.mp4").sound


def test_results_hold_every_frame_and_joint(tmp_path, clip):
    film(standing, clip, None, plan=Plan({"csv": tmp_path / "out.csv"}))
    found = rows(tmp_path / "out.csv")
    assert [int(r["frame"]) for r in found[::17]] == list(range(10))
    assert (len(found), found[-1]["time"], found[0]["track"]) == (170, "0.360000", "3")


@pytest.mark.parametrize("part", [{}, {"start": 0.1}, {"end": 0.2}, {"stride": 3}])
def test_json_says_before_its_frames_which_part_of_the_clip_they_are(tmp_path, clip, part):
    film(standing, clip, None, plan=Plan({"json": tmp_path / "a.json"}, **part))
    told = json.loads((tmp_path / "a.json").read_text())
    expected = {"start": 0.0, "end": None, "stride": 1} | part
    assert told.get("part") == (expected if part else None)
    assert (next(iter(told)), list(told)[-1]) == ("model", "frames")


def test_several_forms_are_written_at_once(tmp_path, clip):
    wanted = {"csv": tmp_path / "a.csv", "json": tmp_path / "b.json"}
    made = film(standing, clip, tmp_path / "c.mp4", plan=Plan(wanted))
    assert made.files == (tmp_path / "c.mp4", *wanted.values())
    assert all(path.stat().st_size for path in made.files)


def test_joints_are_those_of_the_skeleton_asked_for(tmp_path, clip):
    film(standing, clip, None, plan=Plan({"json": tmp_path / "a.json"}, skeleton=LSP14))
    assert json.loads((tmp_path / "a.json").read_text())["joints"] == list(LSP14.joints)


def test_the_summary_counts_frames_and_people(tmp_path, clip):
    made = film(standing, clip, None)
    assert (made.frames, made.people, made.fault, made.stopped) == (10, 1, "", False)


def test_a_part_of_a_clip_begins_at_zero_and_keeps_its_own_times_in_the_results(tmp_path):
    clip = clips.make(tmp_path / "in.mp4", [n / 25 for n in range(50)], sound=2.0)
    plan = Plan({"csv": tmp_path / "a.csv"}, start=1.0, end=1.4)
    film(standing, clip, tmp_path / "out.mp4", plan=plan)
    made = [f.time for f in frames(tmp_path / "out.mp4")]
    assert made == pytest.approx(np.arange(10) / 25, abs=1e-4)
    assert float(rows(tmp_path / "a.csv")[0]["time"]) == pytest.approx(1.0)


def test_a_stride_takes_every_nth_frame(tmp_path, clip):
    film(standing, clip, tmp_path / "out.mp4", plan=Plan(stride=3))
    made = [f.time for f in frames(tmp_path / "out.mp4")]
    assert made == pytest.approx([0, 0.12, 0.24, 0.36], abs=1e-4)


def test_a_model_is_followed_and_names_of_files_are_taken(tmp_path, clip):
    model = TopDown(
        Card(name="one", kind="regression", skeleton=Skeleton("one", ("dot",)), size=(24, 32)),
        lambda crops: (np.full((len(crops), 1, 2), 0.5, np.float32), np.ones((len(crops), 1))),
    )
    done = film(model, str(clip), str(tmp_path / "out.mp4"))
    assert (done.frames, done.people) == (10, 1)


def test_frames_have_their_numbers_in_the_whole_clip(tmp_path):
    clip = clips.make(tmp_path / "in.mp4", [n / 25 for n in range(50)])
    plan = Plan({"csv": tmp_path / "a.csv"}, start=1.0, end=1.4, stride=3)
    film(standing, clip, None, plan=plan)
    told = [int(row["frame"]) for row in rows(tmp_path / "a.csv")]
    assert sorted(set(told)) == [25, 28, 31, 34]


def test_progress_is_told_of_every_frame_and_how_many_there_are(clip):
    told = []
    film(standing, clip, None, progress=lambda done, total: told.append((done, total)) or True)
    assert told == [(n, 10) for n in range(1, 11)]


# smoothing


class Trembling:
    """An estimate whose joints tremble, alone or with frames in which it sees nobody."""

    def __init__(self, blind=()):
        self.count, self.blind = 0, blind

    def __call__(self, image):
        self.count += 1
        found = crowd.shaken(crowd.people([(64, 55)], height=60.0), 1.0, self.count)
        return found[:0] if self.count in self.blind else found


def joints(path, count):
    """Frames of people as a .csv file tells them, and their times."""
    people = crowd.people([(0, 0)], names=(1,))
    found = [[r for r in rows(path) if int(r["frame"]) == n] for n in range(count)]
    made = [
        replace(people, xy=np.array([[[float(r["x"]), float(r["y"])] for r in some]], dtype="f4"))
        if some
        else people[:0]
        for some in found
    ]
    return made, np.arange(count) / 25


def filmed(tmp_path, estimate, count=100, **options):
    clip = clips.make(tmp_path / "in.mp4", [n / 25 for n in range(count)], size=(32, 64))
    film(Follower(estimate, **options), clip, None, plan=Plan({"csv": tmp_path / "a.csv"}))
    return joints(tmp_path / "a.csv", count)


def test_a_follower_that_smooths_gives_calm_joints(tmp_path):
    calm = jitter(*filmed(tmp_path, Trembling()))
    assert calm < jitter(*filmed(tmp_path, Trembling(), smooth=False)) / 2


def test_there_is_no_step_where_two_windows_meet(tmp_path):
    people, times = filmed(tmp_path, Trembling())
    whole = [jitter(people[n : n + 3], times[:3]) for n in range(98)]
    meetings = [n for seam in (25, 50, 75) for n in (seam - 2, seam - 1)]
    assert max(whole[n] for n in meetings) <= 1.5 * max(np.delete(whole, meetings))


def test_frames_without_the_person_are_bridged(tmp_path):
    people, _ = filmed(tmp_path, Trembling(blind=(24, 25, 26, 60)))
    assert [len(p) for p in people] == [1] * 100


def test_a_follower_that_does_not_smooth_gives_what_the_network_saw(tmp_path):
    people, _ = filmed(tmp_path, Trembling(), count=5, smooth=False)
    np.testing.assert_allclose(people[3].xy, _trembling(4), atol=1e-3)


def _trembling(number):
    return crowd.shaken(crowd.people([(64, 55)], height=60.0), 1.0, number).xy


# when things go wrong


def test_a_clip_that_breaks_off_leaves_what_came_before(tmp_path):
    clip = clips.cut(clips.make(tmp_path / "in.mp4", [n / 25 for n in range(60)]))
    made = film(standing, clip, tmp_path / "out.mp4", plan=Plan({"csv": tmp_path / "a.csv"}))
    assert "breaks off after" in made.fault
    counts = len(list(frames(tmp_path / "out.mp4"))), len(rows(tmp_path / "a.csv")) // 17
    assert counts == (made.frames, made.frames)


def test_a_stop_leaves_complete_files(tmp_path, clip):
    plan = Plan({"json": tmp_path / "a.json"})
    go_on = lambda done, total: done < 4  # noqa: E731
    made = film(standing, clip, tmp_path / "out.mp4", plan=plan, progress=go_on)
    assert (made.frames, made.stopped) == (4, True)
    assert len(list(frames(tmp_path / "out.mp4"))) == 4
    assert len(json.loads((tmp_path / "a.json").read_text())["frames"]) == 4


def test_a_network_that_fails_leaves_complete_files(tmp_path, clip):
    def failing(image, time):
        if time > 0.2:
            raise RuntimeError("no")
        return standing(image, time)

    with pytest.raises(RuntimeError):
        film(failing, clip, tmp_path / "out.mp4", plan=Plan({"csv": tmp_path / "a.csv"}))
    assert (len(list(frames(tmp_path / "out.mp4"))), len(rows(tmp_path / "a.csv"))) == (6, 6 * 17)


def test_no_video_leaves_no_file(tmp_path):
    (tmp_path / "text.mp4").write_text("text")
    with pytest.raises(ValueError, match="is not a readable video"):
        film(standing, tmp_path / "text.mp4", tmp_path / "out.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["text.mp4"]


def test_a_part_without_frames_is_refused(tmp_path, clip):
    with pytest.raises(ValueError, match="has no frame between start and end"):
        film(standing, clip, tmp_path / "out.mp4", plan=Plan(start=5.0))


def test_a_missing_folder_is_told_before_the_work(tmp_path, clip):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        film(standing, clip, None, plan=Plan({"csv": tmp_path / "gone" / "a.csv"}))


def test_a_clip_with_nobody_in_it_is_copied(tmp_path, clip):
    nobody = replace(crowd.people([]), track=np.zeros(0, dtype=np.int64))
    made = film(lambda image, time: nobody, clip, tmp_path / "out.mp4")
    assert (made.frames, made.people, len(nobody.skeleton)) == (10, 0, len(COCO17))


# in a browser

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
PATIENCE = 60_000  # milliseconds; a computer may be busy with other work


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM.is_file():
        pytest.skip("Debian's Chromium is not installed")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


def played(chromium, clip):
    """What Chromium shows of a clip that it has played to its end, and its size and length."""
    (clip.parent / "page.html").write_text(
        f'<style>body {{ margin: 0 }}</style><video src="{clip.name}" muted autoplay></video>'
    )
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto((clip.parent / "page.html").as_uri())
    page.wait_for_function("document.querySelector('video').ended")
    video = page.locator("video")
    facts = video.evaluate("v => [v.videoWidth, v.videoHeight, v.currentTime]")
    image = PIL.Image.open(io.BytesIO(video.screenshot())).convert("RGB")
    page.close()
    return np.asarray(image), facts


@pytest.mark.browser
def test_chromium_plays_the_drawn_clip_to_its_end(tmp_path, chromium):
    clip = clips.make(tmp_path / "in.mp4", [n / 25 for n in range(25)], sound=1.0)
    film(standing, clip, tmp_path / "out.mp4")
    shown, facts = played(chromium, tmp_path / "out.mp4")
    own = list(frames(tmp_path / "out.mp4"))[-1].image
    assert facts[:2] == [128, 96]
    assert facts[2] == pytest.approx(1.0, abs=0.1)
    assert np.abs(shown[:96, :128].astype(int) - own).mean() < 8


@pytest.mark.browser
@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_chromium_stands_a_sideways_clip_up_as_we_do(tmp_path, chromium, rotation):
    shown, _ = played(chromium, clips.make(tmp_path / "in.mp4", rotation=rotation))
    own = list(frames(tmp_path / "in.mp4"))[-1].image
    assert np.abs(shown[: own.shape[0], : own.shape[1]].astype(int) - own).mean() < 8


@pytest.mark.browser
@pytest.mark.slow
def test_chromium_plays_a_real_clip(tmp_path, chromium, shared):
    clip = shared / "data" / "videos" / "posetrack_000001.mp4"  # MPEG-4, which Chromium refuses
    film(standing, clip, tmp_path / "out.mp4")
    shown, facts = played(chromium, tmp_path / "out.mp4")
    assert (facts[:2], shown.mean() > 40) == ([1280, 720], True)


def test_a_clip_that_is_shorter_when_read_again_keeps_what_was_done(clip, tmp_path, monkeypatch):
    module = sys.modules["posegram.infer.film"]  # the package's `film` is the function
    counts = iter([10, 4])  # of the pictures to look at, and of those to draw into

    def shortened(*args, **options):
        return itertools.islice(frames(*args, **options), next(counts))

    monkeypatch.setattr(module, "frames", shortened)
    with pytest.raises(ValueError, match="fewer frames when it is read again"):
        film(standing, clip, tmp_path / "out.mp4", plan=Plan({"csv": tmp_path / "a.csv"}))
    assert len(list(frames(tmp_path / "out.mp4"))) == 4
