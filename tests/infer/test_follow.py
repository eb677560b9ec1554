from dataclasses import replace

import numpy as np
import pytest

import crowd
from posegram.areas import iou
from posegram.coords import whole
from posegram.infer.follow import Follower
from posegram.pose import COCO17, People
from posegram.smooth import jitter

SIZE = (300, 600)


class Scene:
    """A stand-in for a `TopDown`: frame n holds known people, and it notes what it is asked."""

    def __init__(self, frames, *, detect=True, blind=()):
        self.frames, self.now = frames, 0
        self.looks: list[int] = []  # frames in which the detector was called
        self.boxes: list[np.ndarray | None] = []
        self.blind = blind  # frames in which the detector finds nobody
        self.detect = self._detect if detect else None

    def _detect(self, image):
        self.looks.append(self.now)
        return self.frames[self.now].box[: 0 if self.now in self.blind else None]

    def __call__(self, image, boxes=None):
        self.boxes.append(boxes)
        people = self.frames[self.now]
        if boxes is None:
            return people[:1]
        like = iou(boxes, people.box) if len(people) else np.zeros((len(boxes), 0))
        seen = like.max(axis=1, initial=0.0) > 0.3
        if not seen.any():
            return background(boxes)
        rows = np.where(seen, like.argmax(axis=1), 0)
        return joined(people[rows[seen]], background(boxes[~seen]))

    def play(self, **options):
        """What a follower says of all frames."""
        follow, said = Follower(self, **options), []
        for number in range(len(self.frames)):
            self.now = number
            said.append(follow(np.zeros((*SIZE, 3), dtype=np.uint8), self.now / 30))
        return said


def test_the_foremost_person_stays_the_same_one():
    places = [[(150, 150), (450, 150)]] * 20
    frames = [crowd.people(p, score=0.9) for p in places]
    scores = [
        np.array([[0.9], [0.6]]) if n % 2 == 0 else np.array([[0.6], [0.9]]) for n in range(20)
    ]
    frames = [
        replace(people, score=np.broadcast_to(s, people.score.shape).astype(np.float32))
        for people, s in zip(frames, scores, strict=True)
    ]
    said = Scene(frames).play(most=1)
    assert [people.track.tolist() for people in said] == [[1]] * 20


@pytest.mark.parametrize(("score", "count"), [(0.2, 0), (0.4, 1)])
def test_somebody_new_without_a_likely_joint_is_nobody(score, count):
    scene = Scene([crowd.people([(150, 150)], score=score)])
    scene.least = 0.3
    assert len(scene.play()[0]) == count


def background(boxes):
    """What a network says of boxes in which nobody is: something, with small scores."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return replace(crowd.people(middle, score=0.1), box=boxes.astype(np.float32))


def joined(a, b):
    parts = (np.concatenate([getattr(a, n), getattr(b, n)]) for n in ("xy", "score", "box"))
    return People(*parts, COCO17)


def walk(count=30, *, starts=((100, 150), (400, 150)), speeds=((4, 0), (-2, 0)), noise=0.0):
    moved = [np.array(starts) + n * np.array(speeds) for n in range(count)]
    return [crowd.shaken(crowd.people(at), noise, n) for n, at in enumerate(moved)]


def names(said):
    return [people.track.tolist() for people in said]


def test_everybody_keeps_an_id():
    assert names(Scene(walk()).play()) == [[1, 2]] * 30


def test_the_detector_looks_at_every_nth_frame_only():
    scene = Scene(walk(31))
    scene.play(every=10)
    assert scene.looks == [0, 10, 20, 30]


def test_in_between_boxes_are_where_people_should_be_by_now():
    scene = Scene(walk(9))
    scene.play(every=10)
    middles = [box.reshape(-1, 2, 2).mean(axis=1) for box in (scene.boxes[8], scene.frames[8].box)]
    np.testing.assert_allclose(*middles, atol=3.0)


def test_boxes_reach_beyond_the_joints_by_a_share_of_the_longer_side():
    scene = Scene(walk(9, starts=((300, 150),), speeds=((0, 0),)))
    scene.play()
    low, high = scene.frames[8].xy[0].min(axis=0), scene.frames[8].xy[0].max(axis=0)
    beyond = [low - scene.boxes[8][0, :2], scene.boxes[8][0, 2:] - high]
    np.testing.assert_allclose(beyond, 0.08 * (high - low).max(), rtol=1e-3)


def test_boxes_stay_inside_the_image():
    scene = Scene(walk(9, starts=((20, 150),), speeds=((0, 0),)))
    scene.play()
    assert scene.boxes[8][0, 0] == pytest.approx(-0.5)


def test_somebody_lost_wakes_the_detector():
    frames = walk(20)
    frames[6] = frames[6][[0]]
    scene = Scene(frames)
    scene.play(every=100)
    assert scene.looks == [0, 7]


def test_a_false_alarm_of_one_frame_wakes_no_detector():
    frames = walk(20)
    scene = Scene([p[[0]] if n else p for n, p in enumerate(frames)])
    scene.play(every=100)
    assert scene.looks == [0]


def test_somebody_lost_comes_back_with_their_id():
    frames = [p[[0]] if 6 <= n < 16 else p for n, p in enumerate(walk(30))]
    said = names(Scene(frames).play(every=5))
    assert (said[10], said[-1]) == ([1], [1, 2])


def test_somebody_who_comes_in_is_found_by_the_next_look():
    frames = [p if n >= 12 else p[[0]] for n, p in enumerate(walk(25))]
    assert names(Scene(frames).play(every=10))[19:22] == [[1], [1, 2], [1, 2]]


def test_somebody_the_detector_misses_is_followed_while_the_network_is_sure():
    scene = Scene(walk(60), blind=range(1, 60))
    assert names(scene.play(every=5))[-1] == [1, 2]


def test_somebody_unsure_whom_the_detector_misses_is_given_up():
    frames = [replace(p, score=p.score * 0.5) for p in walk(60)]
    assert names(Scene(frames, blind=range(1, 60)).play(every=5))[-1] == []


def test_what_is_background_now_is_not_followed():
    frames = walk(5) + [walk(1)[0][:0]] * 20
    assert [len(p) for p in Scene(frames).play()][5:] == [0] * 20


class Doubtful:
    """A detector that finds everybody in a scene, with these probabilities."""

    def __init__(self, scene, sure):
        self.scene, self.sure = scene, np.array(sure, dtype=np.float32)

    def scored(self, image):
        return self.scene.frames[self.scene.now].box, self.sure


def test_a_doubtful_box_is_nobody_new():
    scene = Scene(walk(3))
    scene.detect = Doubtful(scene, [0.9, 0.4])
    assert names(scene.play()) == [[1]] * 3


@pytest.mark.parametrize(("sure", "count"), [(0.5, 0), (1.0, 1)])
def test_the_less_sure_a_box_the_likelier_a_joint_of_somebody_new_must_be(sure, count):
    scene = Scene([crowd.people([(150, 150)], score=0.5)])
    scene.least, scene.detect = 0.3, Doubtful(scene, [sure])
    assert len(scene.play()[0]) == count


def test_a_doubtful_box_is_somebody_known():
    scene = Scene(walk(12))
    scene.detect = Doubtful(scene, [0.9, 0.9])
    follow = Follower(scene, every=1)
    for number in range(12):
        scene.now = number
        if number == 1:
            scene.detect = Doubtful(scene, [0.4, 0.4])
        said = follow(np.zeros((*SIZE, 3), dtype=np.uint8), number / 30)
    assert (said.track.tolist(), len(scene.boxes[11])) == ([1, 2], 2)


def test_two_boxes_on_one_person_give_one():
    scene = Scene(walk(1))
    scene.detect = lambda image: np.concatenate([scene.frames[0].box, scene.frames[0].box + 3])
    assert len(scene.play()[0]) == 2


def test_slow_clips_are_followed_in_between_too():
    scene = Scene(walk(9, speeds=((0, 0), (0, 0))))
    follow = Follower(scene, every=10)
    for scene.now in range(9):
        follow(np.zeros((*SIZE, 3), dtype=np.uint8), scene.now * 0.5)
    assert scene.looks == [0]


def test_without_a_detector_the_whole_image_is_the_first_box():
    scene = Scene(walk(5), detect=False)
    scene.play()
    assert [boxes is None for boxes in scene.boxes] == [True, False, False, False, False]


def test_an_estimate_that_finds_people_itself_is_asked_in_every_frame():
    frames, asked = walk(10), []

    def estimate(image):
        asked.append(len(asked))
        return frames[asked[-1]]

    follow = Follower(estimate)
    said = [follow(np.zeros((*SIZE, 3), dtype=np.uint8), n / 30) for n in range(10)]
    assert (names(said), len(asked)) == ([[1, 2]] * 10, 10)


def test_smoothing_calms_the_joints():
    frames, at = walk(40, noise=2.0), np.arange(40) / 30
    calm, raw = (jitter(Scene(frames).play(smooth=wish), at) for wish in (True, False))
    assert calm < raw / 2


def test_without_smoothing_joints_are_as_the_network_saw_them():
    scene = Scene(walk(10, noise=2.0))
    np.testing.assert_array_equal(scene.play(smooth=False)[9].xy, scene.frames[9].xy)


def test_nobody_at_all_is_no_trouble():
    scene = Scene([walk(1)[0][:0]] * 3)
    assert [len(p) for p in scene.play()] == [0, 0, 0]


def test_a_detector_that_never_looks_is_refused():
    with pytest.raises(ValueError, match="n at least 1, not 0"):
        Follower(lambda image: People.none(COCO17), every=0)


def test_the_whole_image_is_a_box_too():
    image = np.zeros((*SIZE, 3), dtype=np.uint8)
    scene = Scene(walk(2))
    scene.detect = whole
    assert Follower(scene)(image, 0.0).track.tolist() == []


def test_doubt_never_makes_the_detector_look_less_often():
    frames = walk(20)
    for n in range(5, 20):
        frames[n] = frames[n][[0]]
    scene = Scene(frames)
    scene.play(every=1)
    assert scene.looks == list(range(20))
