import csv
import json

import numpy as np
import pytest

import figures
from posegram import data
from posegram import image as pictures
from posegram.data import coco
from posegram.infer import active
from posegram.infer.active import Doubtful, choose, doubts, prefilled, without, write_round
from posegram.infer.label import Task
from posegram.infer.topdown import TopDown
from posegram.pose import LSP14, Card, People

K = len(LSP14)


def network(share, logit=0.0):
    """A network that always puts all joints at one place of the crop."""

    def run(crops):
        n = len(crops)
        places = np.broadcast_to(np.float32(share), (n, K, 2))
        return places, np.full((n, K), logit, dtype=np.float32)

    return TopDown(Card("same", "regression", LSP14, (64, 64)), run)


def judged(share, logit=0.0):
    """Entropy and disagreement that a network earns in a picture."""
    estimate, image = network(share, logit), np.zeros((64, 64, 3), dtype=np.uint8)
    return doubts(estimate, image, estimate(image), whole=True)[0]


def doubtful(photo, doubt, people=1):
    """A photo of that doubt."""
    xy = np.full((people, K, 2), 20, dtype=np.float32)
    score = np.full((people, K), 0.9, dtype=np.float32)
    box = np.tile(np.float32([10, 10, 40, 40]), (people, 1))
    terms = np.full((people, 2), doubt, dtype=np.float32)
    return Doubtful(photo, People(xy, score, box, LSP14), terms)


@pytest.fixture
def photos(tmp_path):
    """Four pictures that differ."""
    made = figures.samples(tmp_path / "photos", 4, freedom=0.5)
    rng = np.random.default_rng(0)
    for sample in made:
        noise = rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
        pictures.write(sample.image, np.kron(noise, np.ones((40, 40, 1), dtype=np.uint8)))
    return [sample.image for sample in made]


# how doubtful somebody is


@pytest.mark.parametrize(("logit", "entropy"), [(0.0, 1.0), (20.0, 0.0), (-20.0, 0.0)])
def test_the_entropy_is_that_of_being_right(logit, entropy):
    assert judged((0.5, 0.5), logit)[0] == pytest.approx(entropy, abs=1e-6)


def test_mirrored_views_that_agree_are_no_reason_to_doubt():
    assert judged((0.5, 0.3))[1] == pytest.approx(0, abs=1e-4)


def test_mirrored_views_that_disagree_are_as_far_apart_as_their_positions():
    # shares 0.45 and 0.55 of the crop, which the picture fills: a tenth of the box
    assert judged((0.45, 0.3), 20.0)[1] == pytest.approx(1 - np.exp(-1), abs=1e-3)


def test_left_and_right_are_exchanged_in_the_mirrored_view():
    share = np.full((K, 2), 0.5, dtype=np.float32)
    share[LSP14.index("left_knee"), 0], share[LSP14.index("right_knee"), 0] = 0.7, 0.3
    assert judged(share)[1] == pytest.approx(0, abs=1e-4)


def test_boxes_are_mirrored_with_the_picture():
    image = np.zeros((100, 300, 3), dtype=np.uint8)
    estimate = network((0.5, 0.5), 20.0)
    people = estimate(image, np.float32([[20, 10, 80, 90]]))
    assert doubts(estimate, image, people)[0, 1] == pytest.approx(0, abs=1e-4)


def test_nobody_gives_no_doubts():
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    assert doubts(network((0.5, 0.5)), image, People.none(LSP14)).shape == (0, 2)


# which photos are chosen


def test_the_most_doubtful_photos_come_first(photos):
    found = [doubtful(p, d) for p, d in zip(photos, (0.1, 0.7, 0.3, 0.5), strict=True)]
    ranked, chosen = choose(found, 2)
    assert [one.photo for one in ranked] == [photos[n] for n in (1, 3, 2, 0)]
    assert chosen == ranked[:2]


def test_a_photo_is_as_doubtful_as_its_most_doubtful_person(photos):
    one = doubtful(photos[0], 0.2, people=2)
    one.terms[1] = 0.6, 0.8
    assert one.doubt == pytest.approx(0.7)


def test_a_near_duplicate_is_passed_over(photos):
    copy = photos[0].with_name("copy.png")
    copy.write_bytes(photos[0].read_bytes())
    found = [doubtful(p, d) for p, d in zip((photos[0], copy, photos[1]), (3, 2, 1), strict=True)]
    assert [one.photo for one in choose(found, 2)[1]] == [photos[0], photos[1]]


def test_a_photo_of_nobody_is_not_chosen(photos):
    found = [doubtful(photos[0], 0, people=0), doubtful(photos[1], 0.1)]
    assert [one.photo for one in choose(found, 2)[1]] == [photos[1]]


def test_photos_of_an_earlier_round_are_left_out(tmp_path, photos):
    before = figures.samples(tmp_path / "photos", 1)
    path = coco.write(tmp_path / "before.json", before)
    assert [t.photo for t in without([Task(p) for p in photos], [path])] == photos[1:]


def test_when_every_photo_was_labelled_that_is_said(tmp_path, photos):
    path = coco.write(tmp_path / "before.json", figures.samples(tmp_path / "photos", 4))
    with pytest.raises(ValueError, match=r"every photo is listed in .*before\.json"):
        without([Task(p) for p in photos], [path])


# what a person gets to correct


def test_flags_tell_sure_from_doubtful_from_outside(photos):
    one = doubtful(photos[0], 0.5)
    one.people.score[0, 0], one.people.xy[0, 1] = 0.1, (-50, 5)
    (label,) = prefilled(one, photos[0], (240, 200), least=0.3)
    assert label.sample.visible.tolist() == [1, 0] + [2] * (K - 2)


def test_corrected_labels_count_fully(photos):
    (label,) = prefilled(doubtful(photos[0], 0.5), photos[0], (240, 200), least=0.3)
    assert label.sample.weight is None


def test_somebody_without_a_sure_joint_is_left_to_the_person(photos):
    assert prefilled(doubtful(photos[0], 0.5), photos[0], (240, 200), least=0.95) == []


@pytest.fixture
def written(tmp_path, photos):
    """A round of two photos; its file."""
    found = [doubtful(p, d) for p, d in zip(photos, (0.1, 0.7, 0.3, 0.5), strict=True)]
    ranked, chosen = choose(found, 2)
    write_round(tmp_path / "one" / "labels.json", ranked, chosen, {"model": "m"}, least=0.3)
    return tmp_path / "one" / "labels.json"


def test_a_round_is_read_as_any_labels(written, photos):
    names = [sample.image.name for sample in data.read(f"coco:{written}")]
    assert names == [photos[1].name, photos[3].name]


def test_the_photos_of_a_round_lie_beside_its_labels(written, photos):
    copies = sorted(p.name for p in (written.parent / "images").iterdir())
    assert copies == [photos[1].name, photos[3].name]


def test_the_labels_say_who_made_them(written):
    assert json.loads(written.read_text())["info"] == {"model": "m"}


def test_all_photos_stand_in_the_ranking(written, photos):
    with written.with_suffix(".ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["photo"], row["chosen"]) for row in rows] == [
        (photos[n].as_posix(), chosen) for n, chosen in ((1, "1"), (3, "1"), (2, "0"), (0, "0"))
    ]


def test_the_sheet_shows_the_chosen_photos(written):
    height, width = pictures.read(written.with_suffix(".sheet.png")).shape[:2]
    assert (height, width) == (248, 412)  # two tiles of 240 x 200 pixels with gaps of 4


def test_a_folder_with_other_photos_is_refused(tmp_path, photos):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "mine.jpg").touch()
    found = [doubtful(photos[0], 0.5)]
    with pytest.raises(ValueError, match="images is not empty"):
        write_round(tmp_path / "labels.json", found, found, {}, least=0.3)


@pytest.mark.parametrize("failing", ["_copy", "_tile", "write"])
def test_a_round_that_fails_leaves_room_for_the_next_try(tmp_path, photos, monkeypatch, failing):
    found, calls = [doubtful(photo, 0.5) for photo in photos[:2]], []

    def full(*given):
        calls.append(given)
        if failing != "_copy" or len(calls) > 1:
            raise OSError("the disk is full")
        return copy(*given)

    copy = active._copy
    monkeypatch.setattr(active, failing, full)
    with pytest.raises(OSError, match="the disk is full"):
        write_round(tmp_path / "labels.json", found, found, {}, least=0.3)
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and "images" in path.name]
    monkeypatch.undo()
    assert write_round(tmp_path / "labels.json", found, found, {}, least=0.3) == 2


@pytest.mark.parametrize("count", [0, 1])
def test_a_round_of_nobody_is_written(tmp_path, photos, count):
    found = [doubtful(photos[0], 0.5)]
    assert write_round(tmp_path / "labels.json", found, found[:count], {}, least=0.95) == 0
    whole = json.loads((tmp_path / "labels.json").read_text())
    assert (len(whole["images"]), whole["annotations"]) == (count, [])
