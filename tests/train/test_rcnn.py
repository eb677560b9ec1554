import numpy as np
import pytest
import torch

import rcnns
from posegram.pose import COCO17, Sample, Skeleton
from posegram.train import Config
from posegram.train.rcnn import RcnnModule, Seen, calibrated, card_for, people, right, summary
from posegram.train.rcnn_photos import Photo, Photos

TWO = Skeleton("two", ("head", "tail"))
NOWHERE = np.zeros((0, 4), dtype=np.float32)
TRUTH = np.array([[50, 40], [70, 90]], dtype=np.float32)
BOX = np.array([40, 20, 80, 120], dtype=np.float32)  # a tenth of its longer side is 10 pixels


def settings(**changes):
    small = {"name": "t", "network": "keypoint_rcnn18", "channels": 8, "size": [64, 80]}
    more = {"skeleton": "coco17", "warmup": 0, "train": ["coco:x/labels.json#train"]}
    return Config().override(small | more | changes)


def photo(*flags):
    """A photo with one person for each pair of flags, all in one place."""
    samples = [Sample("p", TRUTH, np.array(f, np.uint8), BOX, None, 2000.0, TWO) for f in flags]
    return Photo("p", tuple(samples), NOWHERE)


def seen(xy=TRUTH, sure=0.9, logit=3.0, box=BOX, truth=None):
    """One person found."""
    heights = np.full((1, 2), logit, dtype=np.float32)
    found = xy[None].astype(np.float32), heights, np.array([sure], np.float32), box[None]
    return Seen(*found, photo((2, 2)) if truth is None else truth)


# the card


def test_the_card_is_an_rcnns():
    card = card_for(settings())
    assert (card.kind, card.skeleton, card.size) == ("rcnn", COCO17, (64, 80))
    assert card.settings == {"network": "keypoint_rcnn18", "width": 8, "sampled": 64}


def test_the_card_normalises_as_the_published_weights_do():
    assert card_for(settings(mean=[1.0, 2.0, 3.0])).mean == (123.675, 116.28, 103.53)


def test_the_card_names_the_data_by_its_folder():
    assert card_for(settings()).data == ("x",)


# numbers


def test_everybody_in_place_is_all_right():
    assert summary([seen(), seen()], TWO) == {
        "valid_ap": pytest.approx(100),
        "valid_joints": 100,
    }


def test_nobody_found_is_nothing_right():
    none = Seen(np.zeros((0, 2, 2)), np.zeros((0, 2)), np.zeros(0), NOWHERE, photo((2, 2)))
    assert summary([none], TWO) == {"valid_ap": 0, "valid_joints": 0}


def test_a_joint_within_a_tenth_of_the_box_is_right():
    moved = TRUTH + np.array([[9.9, 0], [0, 10.1]], dtype=np.float32)
    assert summary([seen(moved)], TWO)["valid_joints"] == 50


def test_joints_of_people_who_were_missed_are_not_right():
    missed = seen(box=BOX + np.float32(300))
    assert summary([missed], TWO)["valid_joints"] == 0


def test_joints_without_a_label_do_not_count():
    far = TRUTH + np.array([[0, 0], [90, 0]], dtype=np.float32)
    assert summary([seen(far, truth=photo((2, 0)))], TWO)["valid_joints"] == 100


def test_people_without_joints_are_neither_wanted_nor_false():
    both = summary([seen(), seen(truth=photo((0, 0)))], TWO)
    assert both["valid_ap"] == pytest.approx(100)


def test_a_false_person_who_is_surer_than_the_right_one_lowers_ap():
    wrong = seen(TRUTH + 200, sure=0.95, box=BOX + np.float32(200), truth=photo())
    assert summary([seen(sure=0.9), wrong], TWO)["valid_ap"] == pytest.approx(50, abs=1)


def test_stated_falloffs_are_used():
    strict = Skeleton("strict", TWO.joints, sigmas=(0.005, 0.005))
    moved = TRUTH + np.float32(2)
    assert summary([seen(moved)], TWO)["valid_ap"] > 60
    samples = tuple(
        Sample("p", TRUTH, np.array((2, 2), np.uint8), BOX, None, 2000.0, strict) for _ in "1"
    )
    assert summary([seen(moved, truth=Photo("p", samples, NOWHERE))], strict)["valid_ap"] < 5


def test_crowds_take_people_without_blame():
    crowd = np.array([[200, 200, 400, 400]], dtype=np.float32)
    inside = seen(TRUTH + 200, sure=0.95, box=BOX + np.float32(200), truth=Photo("p", (), crowd))
    assert summary([seen(), inside], TWO)["valid_ap"] == pytest.approx(100)


def test_the_likeliest_box_on_a_person_is_judged():
    far = TRUTH + np.float32(50)
    heights = np.array([[1, 1], [2, 2]], dtype=np.float32)
    sure = np.array([0.9, 0.8], dtype=np.float32)
    both = Seen(np.stack([TRUTH, far]), heights, sure, np.stack([BOX, BOX]), photo((2, 2)))
    logit, correct = right(both, TWO)
    assert logit.tolist() == [1, 1]
    assert correct.tolist() == [True, True]


def test_a_score_is_that_of_person_and_joint_together():
    found = people(seen(sure=0.5, logit=2.0), card_for(settings(skeleton="coco17")).__class__(
        "c", "rcnn", TWO, (64, 64), calibration=(1.0, 0.0)
    ))  # fmt: skip
    assert found.score[0, 0] == pytest.approx(0.5 / (1 + np.exp(-2)))


# in training


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three photos: one person with joints, one without, nobody."""
    from posegram import image

    folder = tmp_path_factory.mktemp("photos")
    found = []
    for n, flags in enumerate(((2,) * 17, (0,) * 17, None)):
        path = folder / f"{n}.png"
        image.write(path, rcnns.photo((64, 80), seed=n))
        xy = np.random.default_rng(n).uniform(10, 50, (17, 2)).astype(np.float32)
        box = np.array([8, 6, 60, 60], dtype=np.float32)
        many = (
            []
            if flags is None
            else [Sample(path, xy, np.array(flags, np.uint8), box, None, None, COCO17)]
        )
        found.append(Photo(path, tuple(many), NOWHERE))
    return found


def module(photos):
    torch.manual_seed(0)
    made = RcnnModule(card_for(settings()), settings(), 10)
    from posegram.models.keypoint_rcnn import measure_norms

    measure_norms(made.network, rcnns.picture(rcnns.photo((64, 80))))
    pictures = Photos(photos, COCO17, settings(), training=False)
    return made, pictures


def batch(pictures, rows):
    return torch.utils.data.default_collate([pictures[row] for row in rows])


@pytest.mark.parametrize("rows", [(0,), (1,), (2,), (0, 1, 2)])
def test_every_kind_of_photo_has_a_loss(photos, rows):
    made, pictures = module(photos)
    made.train()
    assert made.whole_loss(batch(pictures, rows)).isfinite()


def test_people_without_joints_teach_no_joints(photos):
    made, pictures = module(photos)
    made.train()
    made.whole_loss(batch(pictures, (1,))).backward()
    last = made.network.roi_heads.keypoint_predictor.kps_score_lowres
    assert last.weight.grad is None or not last.weight.grad.any()
    assert made.network.roi_heads.box_predictor.cls_score.weight.grad.any()


def test_steps_lower_the_loss(photos):
    made, pictures = module(photos)
    made.train()
    one, losses = batch(pictures, (0,)), []
    optimizer = torch.optim.Adam(made.parameters(), 2e-3)
    for _ in range(8):
        loss = made.whole_loss(one)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_mixed_precision_has_nearly_the_same_loss(photos):
    made, pictures = module(photos)
    made.train()
    torch.manual_seed(0)
    full = made.whole_loss(batch(pictures, (0,)))
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = made.whole_loss(batch(pictures, (0,)))
    assert mixed.item() == pytest.approx(full.item(), rel=0.05)


@pytest.fixture(scope="module")
def validated(photos):
    made, pictures = module(photos)
    made.photos = photos
    made.eval()
    made.on_validation_epoch_start()
    with torch.no_grad():
        made.validation_step(batch(pictures, (2, 0)), 0)
        made.validation_step(batch(pictures, (1,)), 1)
    return made


def test_a_validation_keeps_each_photo_in_the_order_of_the_set(validated, photos):
    assert [one.photo for one in validated.seen_in_order()] == photos


def test_a_validation_ends_in_evaluation_mode(validated):
    assert not validated.network.training


def test_the_numbers_of_a_validation_have_names(validated):
    assert set(validated.numbers()) == {"valid_loss", "valid_ap", "valid_joints"}


def test_the_calibrated_card_holds_the_numbers(validated):
    assert set(calibrated(validated).scores) == {"valid_loss", "valid_ap", "valid_joints"}


def test_a_new_validation_forgets_the_last(photos):
    made, _ = module(photos)
    made.found[0] = seen()
    made.on_validation_epoch_start()
    assert made.seen_in_order() == []


def test_a_started_body_learns_at_its_own_rate():
    made = RcnnModule(card_for(settings()), settings(start="coco", rate=1e-3, start_rate=0.1), 10)
    groups = made.configure_optimizers()["optimizer"].param_groups
    assert [group["initial_lr"] for group in groups] == [1e-3, 1e-4]


def test_what_is_frozen_does_not_learn():
    made = RcnnModule(card_for(settings()), settings(), 10)
    made.network.backbone.body.conv1.requires_grad_(False)
    learning = {
        id(p) for g in made.configure_optimizers()["optimizer"].param_groups for p in g["params"]
    }
    assert id(made.network.backbone.body.conv1.weight) not in learning


def test_forward_gives_the_pyramid(photos):
    made, pictures = module(photos)
    maps = made(batch(pictures, (0,))["crop"])
    assert [tuple(m.shape[2:]) for m in maps][:2] == [(20, 20), (10, 10)]
