import threading
import time

import pytest

from posegram.cli.crew import crew_for, in_order


@pytest.mark.parametrize("crew", [1, 3])
def test_answers_come_in_the_order_of_the_things(crew):
    def slowest_first(n):
        time.sleep(0.002 * (20 - n))
        return n * n

    assert list(in_order(slowest_first, range(20), crew)) == [n * n for n in range(20)]


def test_a_crew_works_side_by_side():
    together = threading.Barrier(3, timeout=60)  # breaks unless three wait at once
    list(in_order(lambda _: together.wait(), range(3), 3))


def test_no_more_is_worked_on_than_a_few_things_ahead():
    taken = []
    answers = in_order(lambda n: n, (taken.append(n) or n for n in range(1000)), 2)
    next(answers)
    assert len(taken) == 6


def test_a_fault_comes_out_at_its_place():
    answers = in_order(lambda n: 1 // (2 - n), range(9), 2)
    assert [next(answers), next(answers)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(answers)


def test_what_waits_is_dropped_when_nobody_wants_more_answers():
    done = []

    def work(n):
        time.sleep(0.01)
        done.append(n)

    answers = in_order(work, range(1000), 2)
    next(answers)
    answers.close()
    assert len(done) < 7


@pytest.mark.parametrize(("photos", "shared"), [(0, (1, 8)), (1, (1, 8)), (3, (3, 2)), (9, (8, 1))])
def test_few_photos_share_all_cores(monkeypatch, photos, shared):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert crew_for(photos, ("small", ""), "onnxruntime", 8) == shared


@pytest.mark.parametrize(
    ("files", "engine"),
    [
        (("mine.ckpt", ""), "onnxruntime"),
        (("small", "mine.ckpt"), "onnxruntime"),
        (("keypoint-rcnn:fast", ""), "onnxruntime"),
        (("mine.keras", ""), "onnxruntime"),
        (("small", ""), "openvino"),
    ],
)
def test_what_uses_all_cores_itself_takes_photos_one_by_one(monkeypatch, files, engine):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert crew_for(9, files, engine, 4) == (1, 4)


def test_a_keypoint_rcnn_takes_photos_one_by_one(monkeypatch, tmp_path):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("posegram.cli.crew.is_rcnn", lambda file: file == "rcnn.onnx")
    assert crew_for(9, ("rcnn.onnx", ""), "onnxruntime", 4) == (1, 4)


@pytest.mark.parametrize(
    "files", [("", ""), ("medium", "none"), ("mine.ONNX", "other.onnx"), ("cnn", "", "small")]
)
def test_photos_share_the_cores_asked_for(monkeypatch, files):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert crew_for(9, files, "onnxruntime", 4) == (4, 1)


def test_openvino_installed_and_free_to_be_chosen_takes_all_cores(monkeypatch):
    monkeypatch.setattr("posegram.cli.crew.has_openvino", lambda: True)
    assert crew_for(9, ("small", ""), "auto", 2) == (1, 2)
