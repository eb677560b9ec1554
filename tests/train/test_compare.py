import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import figures
import runs
from posegram import models
from posegram.pose import COCO17, LSP14, Card
from posegram.train import places
from posegram.train.compare import (
    Judged,
    judge,
    load,
    page,
    predict,
    save,
    whole,
    with_start,
    write,
)
from posegram.train.skeletons import named


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return figures.samples(tmp_path_factory.mktemp("figures"), 6)


def seen(people):
    """A perfect validation."""
    truth = np.stack([s.xy for s in people])
    return {
        "xy": truth.copy(),
        "truth": truth,
        "weight": np.ones(truth.shape[:2], np.float32),
        "side": np.array([s.box[3] - s.box[1] for s in people]),
    }


# judging


def test_the_truth_is_all_right(people):
    found = judge(seen(people), people, LSP14)
    assert found.right.all()
    assert found.counted.all()


def test_a_joint_far_away_is_wrong(people):
    given = seen(people)
    given["xy"][2, 5] += 50
    assert np.argwhere(~judge(given, people, LSP14).right).tolist() == [[2, 5]]


def test_a_joint_that_is_not_predicted_does_not_count(people):
    given = seen(people)
    given["xy"][:, 3] = np.nan
    counted = judge(given, people, LSP14).counted
    assert (~counted).sum(axis=0).tolist() == [0, 0, 0, 6] + [0] * 10


def test_people_of_one_photo_are_one_cluster(people):
    twice = [people[0], people[1], people[0]]
    given = seen(twice)
    assert judge(given, twice, LSP14).image.tolist() == [0, 1, 0]


@pytest.mark.parametrize(("away", "right"), [(0.049, True), (0.051, False)])
def test_without_a_torso_a_twentieth_of_the_box_is_right(people, away, right):
    skeleton = replace(LSP14, name="mine", joints=tuple(f"j{n}" for n in range(14)),
                       bones=(), mirror=())  # fmt: skip
    given = seen(people)
    given["xy"][..., 0] += away * given["side"][:, None]
    assert judge(given, people, skeleton).right.all() == right


def test_a_judgement_is_kept(people, tmp_path):
    found = judge(seen(people), people, LSP14)
    save(tmp_path / "judged.npz", found)
    kept = load(tmp_path / "judged.npz")
    for name in ("right", "counted", "image"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(found, name))
    assert [p.name for p in tmp_path.iterdir()] == ["judged.npz"]


def half(count=40):
    """Two joints: the first always right, the second for every other person."""
    right = np.ones((count, 2), dtype=bool)
    right[::2, 1] = False
    return Judged(right, np.ones_like(right), np.arange(count))


def test_the_mean_comes_before_the_joints():
    assert whole(half()).value.tolist() == [75.0, 100.0, 50.0]


def test_the_interval_holds_the_mean():
    found = whole(half())
    assert 60 < found.low[0] < 75 < found.high[0] < 90


# what a start says


def test_a_network_answers_in_another_skeleton_by_name(people):
    card = Card("a", "heatmap", COCO17, (64, 64), settings={"network": "lite", "head": 8})
    weights = models.build(card).state_dict()
    found = predict(weights, card, people, LSP14)
    known = np.isfinite(found).all(axis=(0, 2))
    assert [j for j, k in zip(LSP14.joints, known, strict=True) if not k] == ["neck", "head_top"]


def started(tmp_path, people, *, items=None, known=True, **changes):
    torch.manual_seed(0)
    card = Card("a", "heatmap", COCO17, (64, 64), settings={"network": "lite", "head": 8})
    weights = {f"network.{k}": v for k, v in models.build(card).state_dict().items()}
    whole = {"state_dict": weights} | ({"card": card.to_json()} if known else {})
    torch.save(whole, tmp_path / "a.ckpt")
    config = runs.settings(tmp_path, start=str(tmp_path / "a.ckpt")).override(changes)
    given = seen(people)
    with_start(config, given, people, judge(given, people, named(config)), items)
    return config.run / "results" / "finetune.md"


def own(folder, *first):
    """The path of a skeleton as large as LSP's, whose first joints are called so."""
    names = [*first, *(f"spot{n}" for n in range(14 - len(first)))]
    (folder / "mine.toml").write_text(f"joints = {names}\nmirror = []")
    return str(folder / "mine.toml")


def test_a_start_with_joints_in_common_is_compared(people, tmp_path):
    text = started(tmp_path, people).read_text()
    assert "second is better" in text
    assert "| neck | 6 | - | 100.0 [100.0, 100.0] | - | new |" in text


def test_a_random_start_is_not_compared(people, tmp_path):
    assert not started(tmp_path, people, start="").exists()


def test_a_start_is_compared_on_joints_in_another_spelling(people, tmp_path):
    text = started(tmp_path, people, skeleton=own(tmp_path, "lknee")).read_text()
    assert re.search(r"\| lknee \| 6 \| \d", text)
    assert "The start calls otherwise: lknee (left_knee)." in text


def test_a_start_is_compared_on_joints_that_met_by_place(people, tmp_path, monkeypatch):
    found = np.full((8, 17, 2), 500, np.float32)
    found[:, COCO17.index("nose")] = 10
    monkeypatch.setattr(places, "said", lambda *given: found)
    items = {"crop": np.zeros((8, 64, 64, 3), np.uint8), "weight": np.zeros((8, 14))}
    items["xy"], items["weight"][:, 0] = np.full((8, 14, 2), 11.0), 1
    path = own(tmp_path, "snout")
    text = started(tmp_path, people, items=lambda: items, skeleton=path, match="place").read_text()
    assert re.search(r"\| snout \| 6 \| \d", text)
    assert "that lies nearest: snout (nose)." in text


@pytest.mark.parametrize(
    ("known", "match", "why"),
    [
        (True, "name", r"no joint that is called as one of 'mine'; try match=place$"),
        (True, "place", r"no joint that is called as one of 'mine' or lies where it is$"),
        (False, "name", r"a\.ckpt does not say which joints it has$"),
    ],
)
def test_a_start_that_cannot_be_compared_is_told_in_a_sentence(
    people, tmp_path, caplog, known, match, why
):
    page = started(tmp_path, people, known=known, skeleton=own(tmp_path), match=match)
    (record,) = caplog.records
    assert re.search(f"^no results/finetune.md: the start .*{why}", record.getMessage())
    assert not page.exists()


# the page


def test_equal_networks_show_no_difference():
    skeleton = replace(LSP14, name="two", joints=("a", "b"), bones=(), mirror=())
    text = page(half(), half(), skeleton, "small")
    assert text.count("no difference shown") == 3


TWO = replace(LSP14, name="two", joints=("a", "b"), bones=(), mirror=())


def lacking_b():
    """What a start says that has the first joint alone."""
    old = half()
    old.counted[:, 1] = False
    return old


def test_joints_that_the_start_lacks_are_new_and_have_no_number_before():
    text = page(lacking_b(), half(), TWO, "small")
    assert re.search(r"\| b \| 40 \| - \| 50\.0 \[.*\] \| - \| new \|", text)
    assert "New: b 50.0 %." in text


def test_both_columns_of_all_are_of_the_joints_that_both_have():
    text = page(lacking_b(), half(), TWO, "small")
    same = "100.0 [100.0, 100.0]"
    assert f"| **all** | 40 | {same} | {same} | 0.0 [0.0, 0.0] | no difference shown |" in text


def test_a_joint_that_nobody_has_labelled_is_not_new():
    old, now = lacking_b(), lacking_b()
    assert "new |" not in page(old, now, TWO, "small")


def test_nothing_in_common_leaves_all_without_a_number_before():
    old = half()
    old.counted[:] = False
    text = page(old, half(), TWO, "small")
    assert re.search(r"\| \*\*all\*\* \| 80 \| - \| 75\.0 \[.*\] \| - \|  \|", text)


def test_the_picture_of_a_new_joint_is_drawn(tmp_path):
    write(tmp_path, lacking_b(), half(), TWO, "small")
    assert (tmp_path / "finetune.png").stat().st_size > 0


def test_page_and_picture_are_written(tmp_path):
    skeleton = replace(LSP14, name="two", joints=("a", "b"), bones=(), mirror=())
    write(tmp_path, half(), half(), skeleton, "small")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["finetune.md", "finetune.png"]


def test_a_page_is_silent_on_joints_of_the_same_name():
    skeleton = replace(LSP14, name="two", joints=("a", "b"), bones=(), mirror=())
    same = page(half(), half(), skeleton, "small", {"a": "a", "b": "b"})
    assert same == page(half(), half(), skeleton, "small")
