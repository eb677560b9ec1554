import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import rcnns
from posegram import heatmaps
from posegram.infer.rcnn_people import (
    PRESETS,
    KeypointRcnn,
    Options,
    open_rcnn,
    options_named,
    prepare,
)
from posegram.pose import Card

K = 17
BOX = np.array([[10, 20, 50, 100], [60, 10, 90, 70]], dtype=np.float32)
SURE = np.array([0.9, 0.6], dtype=np.float32)


def heat(cells=((28, 14), (10, 40)), height=4.0):
    """Maps whose peaks lie in these cells (row, column), one person after the other."""
    maps = np.zeros((len(cells), K, 56, 56), dtype=np.float32)
    for person, (row, column) in enumerate(cells):
        maps[person, :, row, column] = height
    return maps


def answering(box=BOX, sure=SURE, maps=None, asked=None):
    """What a network would do that always answers alike."""

    def answer(image, size, how):
        if asked is not None:
            asked.append((size, how))
        return box, sure, heat() if maps is None else maps

    return answer


def estimate(maps=None, card=None, **options):
    return KeypointRcnn(card or rcnns.card(), maps or answering(), Options(**options))


PHOTO = np.zeros((192, 256, 3), dtype=np.uint8)  # twice the size that the network is trained for


# options


def test_the_default_preset_is_torchvisions_way():
    assert options_named() == options_named("default") == Options()


def test_a_preset_is_known_by_its_name():
    assert options_named("fast") == PRESETS["fast"]


def test_options_may_follow_a_preset():
    assert options_named("fast, people=5,folded=false") == Options(
        size=480, proposals=100, decoding="cheap", precision="bf16", people=5
    )


def test_options_alone_change_the_default():
    assert options_named("box_score=0.05") == Options(box_score=0.05)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("quick", "no preset 'quick'; there are default, fast"),
        ("fast,zoom=3", "no option 'zoom=3'; write key=value with size"),
        ("fast,people", "no option 'people'; write key=value"),
        ("people=many", "'people=many': people takes a whole number"),
        ("folded=maybe", "'folded=maybe': folded takes true or false"),
        ("people=101", "people = 101; it is between 1 and 100"),
        ("proposals=0", "proposals = 0; it is between 1 and 1000"),
        ("box_score=2", "box_score = 2.0; it is between 0 and 1"),
        ("decoding=rough", "decoding = 'rough'; it can be fine or cheap"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(text, said):
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        options_named(text)


# people


def test_joints_come_back_to_photo_pixels():
    # cell 14 of 56 in a box of 40 pixels from 10 on is pixel 10 + 14.5 / 56 * 40, times two
    people = estimate(decoding="cheap")(PHOTO)
    wanted = 2 * np.array([10 + 14.5 / 56 * 40, 20 + 28.5 / 56 * 80])
    np.testing.assert_allclose(people.xy[0], np.tile(wanted, (K, 1)), atol=1e-3)


def test_boxes_come_back_to_photo_pixels():
    np.testing.assert_allclose(estimate()(PHOTO).box, 2 * BOX, rtol=1e-6)


def test_a_score_is_the_persons_times_the_joints():
    people = estimate(decoding="cheap")(PHOTO)
    joint = 1 / (1 + np.exp(-(0.4 * 4 - 0.8)))  # the published card's calibration
    np.testing.assert_allclose(people.score[:, 0], SURE * joint, rtol=1e-5)


def test_joints_below_their_threshold_are_absent():
    people = estimate(joint_score=0.5)(PHOTO)
    assert np.isfinite(people.xy[0]).all()
    assert np.isnan(people.xy[1]).all()
    assert (people.score[1] == 0).all()


def test_nobody_is_an_answer_too():
    nothing = answering(BOX[:0], SURE[:0], np.zeros((0, K, 56, 56), np.float32))
    assert len(estimate(nothing)(PHOTO)) == 0


def test_the_network_is_asked_for_the_size_it_was_trained_for():
    asked = []
    estimate(answering(asked=asked))(PHOTO)
    assert asked[0][0] == (96, 128)


@pytest.mark.parametrize(("size", "seen"), [(48, (48, 64)), (480, (96, 128))])
def test_a_size_makes_smaller_but_never_larger(size, seen):
    asked = []
    estimate(answering(asked=asked), size=size)(PHOTO)
    assert asked[0][0] == seen


def test_a_portrait_is_seen_upright():
    asked = []
    estimate(answering(asked=asked))(np.zeros((256, 192, 3), np.uint8))
    assert asked[0][0] == (128, 96)


def test_given_boxes_get_the_person_who_overlaps_them_most():
    given = np.array([[121, 19, 180, 139], [20, 42, 101, 199]], dtype=np.float32)
    everybody, people = estimate()(PHOTO), estimate()(PHOTO, given)
    np.testing.assert_array_equal(people.xy, everybody.xy[[1, 0]])
    np.testing.assert_array_equal(people.box, given)


def test_a_given_box_without_anybody_has_no_joints():
    people = estimate()(PHOTO, np.array([[200, 150, 250, 190]], dtype=np.float32))
    assert np.isnan(people.xy).all()
    assert (people.score == 0).all()


def test_no_given_boxes_give_nobody():
    assert len(estimate()(PHOTO, np.zeros((0, 4), np.float32))) == 0


def test_another_kind_of_card_is_refused():
    with pytest.raises(ValueError, match="x is a heatmap network, not an R-CNN"):
        estimate(card=Card("x", "heatmap", rcnns.card().skeleton, (64, 64)))


@pytest.mark.parametrize("image", [PHOTO[..., :2], PHOTO.astype(np.float32), PHOTO[:0]])
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match=r"a picture is \(H, W, 3\) uint8"):
        estimate()(image)


def test_a_photo_is_prepared_as_torchvision_prepares_it():
    import torch

    image = rcnns.photo()
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    theirs = torch.nn.functional.interpolate(x, (50, 64), mode="bilinear", align_corners=False)
    ours = prepare(image, (50, 64))
    np.testing.assert_allclose(ours[0].transpose(2, 0, 1), theirs[0].numpy(), atol=1e-2)


def test_a_photo_of_the_right_size_stays_as_it_is():
    image = rcnns.photo()
    np.testing.assert_array_equal(prepare(image, image.shape[:2])[0], image)


# files


def graph(path, card, inputs=("picture", "sure", "most", "proposals"), outputs=3):
    """A file of that signature, which finds nobody."""
    kinds = (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT64)
    shapes = ([1, "h", "w", 3], [], [], [])
    taken = [
        helper.make_tensor_value_info(*one) for one in zip(inputs, kinds, shapes, strict=False)
    ]
    given = {"box": (0, 4), "score": (0,), "maps": (0, K, 56, 56)}
    nodes, out = [], []
    for name, shape in list(given.items())[:outputs]:
        empty = helper.make_tensor(f"{name}0", TensorProto.FLOAT, shape, [])
        nodes.append(helper.make_node("Constant", [], [name], value=empty))
        out.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(
        helper.make_graph(nodes, "empty", taken, out), opset_imports=opset, ir_version=8
    )
    if card is not None:
        helper.set_model_props(model, {"posegram": card.to_json()})
    onnx.save(model, path)
    return path


def test_a_file_is_opened_with_its_card(tmp_path):
    opened = open_rcnn(graph(tmp_path / "m.onnx", rcnns.card()), threads=1)
    assert opened.card == rcnns.card()
    assert len(opened(PHOTO)) == 0


def test_a_file_without_a_card_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"m\.onnx is an ONNX file without a posegram card"):
        open_rcnn(graph(tmp_path / "m.onnx", None))


def test_a_graph_of_another_signature_is_refused(tmp_path):
    with pytest.raises(ValueError, match="takes picture, sure, which is no exported Keypoint"):
        open_rcnn(graph(tmp_path / "m.onnx", rcnns.card(), inputs=("picture", "sure")))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model file .*gone\.onnx"):
        open_rcnn(tmp_path / "gone.onnx")


def test_running_a_file_loads_no_torch(tmp_path):
    path = graph(tmp_path / "m.onnx", rcnns.card())
    check = (
        "import sys, numpy; from pathlib import Path\n"
        "from posegram.infer.rcnn_people import open_rcnn\n"
        f"open_rcnn(Path({str(path)!r}))(numpy.zeros((64, 64, 3), numpy.uint8))\n"
        "print([m for m in ('torch', 'torchvision') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_both_ways_of_decoding_agree_on_a_smooth_peak():
    y, x = np.mgrid[:56, :56]
    bump = np.exp(-((x - 20.3) ** 2 + (y - 31.6) ** 2) / 18).astype(np.float32)
    maps = np.broadcast_to(bump, (1, K, 56, 56))
    fine, cheap = (heatmaps.over_boxes(maps, BOX[:1], fine=way)[0] for way in (True, False))
    np.testing.assert_allclose(fine, cheap, atol=0.6)
