import numpy as np
import pytest
import torch

from posegram.metrics.boxes import Found
from posegram.train import Config
from posegram.train.assign import PERSON
from posegram.train.detect import DetectModule, calibrated, calibration, card_for, summary

NOBODY = np.zeros((0, 4), dtype=np.float32)
PERSON_BOX = np.array([[10, 10, 30, 50]], dtype=np.float32)
AWAY = np.array([[70, 10, 90, 50]], dtype=np.float32)


def settings(**changes):
    small = {"name": "tiny", "network": "dense_detector", "channels": 16, "size": [64, 64]}
    return Config().override(small | {"warmup": 0, "train": ["x/boxes.json#train"]} | changes)


def seen(count, logits, boxes, truth=PERSON_BOX, ignore=NOBODY):
    """The same boxes found in so many photos."""
    box, logit = np.concatenate(boxes), np.array(logits, dtype=np.float32)
    return [Found(box, logit, truth, ignore)] * count


# the card


def test_the_card_is_a_detectors():
    card = card_for(settings())
    assert (card.kind, card.size, card.margin, len(card.skeleton)) == ("detector", (64, 64), 1, 0)
    assert card.settings == {"network": "dense_detector", "head": 16}


def test_the_card_names_the_data_by_their_folders():
    specs = ["data/human/boxes.json#train", "coco:data/human/boxes.json#2-3", "folder:backgrounds"]
    assert card_for(settings(train=specs)).data == ("human", "backgrounds")


def test_sides_that_the_strides_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"size = \[64, 80\]; .* multiples of 32"):
        card_for(settings(size=[64, 80]))


# numbers


def test_what_was_always_right_is_sure():
    numbers = summary(seen(9, [2.0], [PERSON_BOX]))
    assert [numbers[f"valid_{key}"] for key in ("recall", "precision", "ap50")] == [100] * 3


def test_boxes_below_the_threshold_are_not_found():
    # sure boxes are right, unsure ones wrong: the calibration keeps them apart
    found = seen(50, [3.0, -3.0], [PERSON_BOX, AWAY])
    numbers = summary(found)
    assert (numbers["valid_recall"], numbers["valid_precision"]) == (100, 100)


def test_missed_people_lower_the_recall():
    numbers = summary([*seen(30, [3.0], [PERSON_BOX]), *seen(10, [], [NOBODY])])
    assert numbers["valid_recall"] == 75


def test_boxes_on_photos_without_people_are_counted_a_photo():
    empty = [*seen(3, [3.0], [AWAY], truth=NOBODY), *seen(5, [], [NOBODY], truth=NOBODY)]
    numbers = summary([*seen(90, [3.0], [PERSON_BOX]), *empty])
    assert numbers["valid_false"] == pytest.approx(3 / 8)


def test_an_ignored_photo_is_no_photo_without_people():
    everywhere = np.array([[-1e6, -1e6, 1e6, 1e6]], dtype=np.float32)
    ignored = seen(5, [3.0], [AWAY], truth=NOBODY, ignore=everywhere)
    numbers = summary([*seen(90, [3.0], [PERSON_BOX]), *ignored])
    assert (numbers["valid_false"], numbers["valid_precision"]) == (0, 100)


def test_the_calibration_gives_the_share_that_was_right():
    half = [*seen(200, [1.0], [PERSON_BOX]), *seen(200, [1.0], [AWAY])]
    slope, offset = calibration(half)
    assert 1 / (1 + np.exp(-(slope + offset))) == pytest.approx(0.5, abs=0.01)


def test_nothing_found_has_numbers_too():
    numbers = summary(seen(2, [], [NOBODY]))
    assert numbers == {"valid_recall": 0, "valid_precision": 0, "valid_ap50": 0, "valid_false": 0}


# in training


def batch(count=2):
    rng = np.random.default_rng(0)
    box, kind = torch.zeros(count, 100, 4), torch.zeros(count, 100, dtype=torch.int64)
    box[:, 0], kind[:, 0] = torch.tensor([8.0, 4, 40, 60]), PERSON
    return {
        "crop": torch.from_numpy(rng.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)),
        "box": box,
        "kind": kind,
        "back": torch.tensor([[2.0, 0, 1], [0, 2, 3]]).expand(count, -1, -1),
        "row": torch.arange(count).flip(0),
    }


@pytest.fixture
def module():
    torch.manual_seed(0)
    return DetectModule(card_for(settings()), settings(), 10)


def test_steps_lower_the_loss(module):
    optimizer = torch.optim.Adam(module.parameters(), 5e-3)
    one, losses = batch(), []
    for _ in range(25):
        loss = module.loss(module(one["crop"]), one)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_picture_of_another_size_has_a_loss_too(module):
    one = batch()
    one["crop"] = torch.zeros(2, 96, 96, 3, dtype=torch.uint8)
    assert module.loss(module(one["crop"]), one).isfinite()


def said(module, monkeypatch, box, logit):
    """What a validation keeps when the network says these boxes on every picture."""
    raw = torch.tensor(box).float()[None].expand(2, -1, -1), torch.tensor(logit)[None].expand(2, -1)
    monkeypatch.setattr(module, "forward", lambda crop: raw)
    monkeypatch.setattr(module, "loss", lambda raw, batch: torch.tensor(0.5))
    module.on_validation_epoch_start()
    module.validation_step(batch(), 0)
    return module.seen_in_order()


def test_a_validation_keeps_boxes_in_photo_pixels(module, monkeypatch):
    found, _ = said(module, monkeypatch, [[8, 4, 40, 60]], [2.0])
    assert found.box.tolist() == found.truth.tolist() == [[17, 11, 81, 123]]


def test_a_validation_keeps_the_best_first_and_no_doubles(module, monkeypatch):
    boxes = [[8, 4, 40, 60], [8, 4, 40, 62], [0, 0, 9, 9], [50, 50, 60, 60]]
    found, _ = said(module, monkeypatch, boxes, [2.0, 3.0, 2.5, -9.0])
    assert found.logit.tolist() == [3.0, 2.5]


def test_photos_come_in_the_order_of_their_set(module, monkeypatch):
    one = batch()
    one["box"][0, 0, 0] = 0  # the first of the batch is row 1
    monkeypatch.setattr(module, "forward", lambda crop: (torch.zeros(2, 1, 4), torch.zeros(2, 1)))
    monkeypatch.setattr(module, "loss", lambda raw, batch: torch.tensor(0.5))
    module.on_validation_epoch_start()
    module.validation_step(one, 0)
    assert [float(f.truth[0, 0]) for f in module.seen_in_order()] == [17, 1]


def test_a_new_validation_forgets_the_last(module, monkeypatch):
    said(module, monkeypatch, [[8, 4, 40, 60]], [2.0])
    module.on_validation_epoch_start()
    assert module.seen_in_order() == []


def test_the_calibrated_card_holds_the_numbers(module, monkeypatch):
    said(module, monkeypatch, [[8, 4, 40, 60]], [2.0])
    card = calibrated(module)
    assert card.scores == {
        "valid_loss": 0.5,
        **{f"valid_{key}": 100 for key in ("recall", "precision", "ap50")},
        "valid_false": 0,
    }
    assert card.calibration != module.card.calibration
