import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import tiny
from posegram import image as pictures
from posegram.infer.load import bundled, load
from posegram.infer.onnx import load_onnx, open_session, physical_cores, threads_for
from posegram.pose import LSP14, Card

ROOT = Path(__file__).parents[2]


def test_the_card_comes_out_as_it_was_put_in(tmp_path):
    card, _ = load_onnx(tiny.constant(tmp_path / "m.onnx"))
    assert card == Card(name="constant", kind="regression", skeleton=LSP14, size=(64, 48))


def test_the_network_answers_for_each_crop(tmp_path):
    _, network = load_onnx(tiny.constant(tmp_path / "m.onnx"))
    share, logit = network(np.zeros((5, 64, 48, 3), dtype=np.uint8))
    np.testing.assert_array_equal(share, np.repeat(tiny.places(LSP14)[None], 5, axis=0))
    np.testing.assert_array_equal(logit, np.repeat(tiny.logits(LSP14)[None], 5, axis=0))


def test_the_network_sees_the_pixels_in_rgb_order(tmp_path):
    _, network = load_onnx(tiny.colours(tmp_path / "m.onnx"))
    crop = tiny.spots(np.array([[10, 20], [30, 40], [50, 12]]), (64, 64), radius=0)
    (heat,) = network(crop[None])
    tops = heat[0].reshape(3, -1).argmax(axis=1)
    assert tops.tolist() == [20 * 64 + 10, 40 * 64 + 30, 12 * 64 + 50]


def test_crops_need_not_be_contiguous(tmp_path):
    _, network = load_onnx(tiny.colours(tmp_path / "m.onnx"))
    crops = np.random.default_rng(0).integers(0, 255, (2, 64, 128, 3), dtype=np.uint8)
    np.testing.assert_array_equal(network(crops[:, :, ::2])[0], network(crops[:, :, ::2].copy())[0])


def test_a_path_with_umlauts_loads(tmp_path):
    card, _ = load_onnx(tiny.colours(tmp_path / "größe-雪.onnx"))
    assert card.name == "colours"


def test_the_number_of_threads_does_not_change_the_answer(tmp_path):
    path = tiny.colours(tmp_path / "m.onnx")
    crops = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), dtype=np.uint8)
    one, two = (load_onnx(path, threads=n)[1](crops)[0] for n in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_a_negative_number_of_threads_is_refused(tmp_path):
    with pytest.raises(ValueError, match="threads must be 0 or more, not -1"):
        load_onnx(tiny.constant(tmp_path / "m.onnx"), threads=-1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model file .*nothing.onnx"):
        load_onnx(tmp_path / "nothing.onnx")


@pytest.mark.parametrize("content", [b"", b"this is text", b"\x08\x08\x12\x04"])
def test_a_file_that_is_no_onnx_is_refused_by_name(tmp_path, content):
    path = tmp_path / "fake.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"fake.onnx is not a readable ONNX file"):
        load_onnx(path)


def test_a_truncated_file_is_refused_by_name(tmp_path):
    path = tiny.constant(tmp_path / "cut.onnx")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"cut.onnx is not a readable ONNX file"):
        load_onnx(path)


def test_a_foreign_onnx_file_is_refused_for_its_missing_card(tmp_path):
    path = tiny.bare(tmp_path / "foreign.onnx", {"author": "somebody"})
    with pytest.raises(ValueError, match=r"foreign.onnx is an ONNX file without a posegram card"):
        load_onnx(path)


def test_a_card_that_cannot_be_read_is_refused_by_name(tmp_path):
    path = tiny.bare(tmp_path / "odd.onnx", {Card.KEY: "{}"})
    with pytest.raises(ValueError, match=r"odd.onnx: not a posegram model card"):
        load_onnx(path)


def test_a_card_that_promises_another_number_of_outputs_is_refused(tmp_path):
    card = Card(name="x", kind="regression", skeleton=LSP14, size=(64, 64))
    path = tiny.bare(tmp_path / "odd.onnx", {Card.KEY: card.to_json()})
    with pytest.raises(ValueError, match="gives 1 arrays, which is no regression network"):
        load_onnx(path)


def test_a_card_that_promises_another_input_size_is_refused(tmp_path):
    card = Card(name="x", kind="heatmap", skeleton=LSP14, size=(96, 64))
    path = tiny.bare(tmp_path / "odd.onnx", {Card.KEY: card.to_json()})
    with pytest.raises(ValueError, match=r"its card says \(96, 64\)"):
        load_onnx(path)


def test_there_is_at_least_one_core():
    assert physical_cores() >= 1


@pytest.mark.parametrize(
    ("asked", "started"), [(0, physical_cores()), (1, 1), (9999, os.cpu_count())]
)
def test_no_more_threads_are_started_than_there_are_cores(asked, started):
    assert threads_for(asked) == started


def test_the_runtime_gets_the_threads_that_there_are_cores_for(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        "onnxruntime.InferenceSession",
        lambda data, how, **_: given.append(how.intra_op_num_threads),
    )
    (tmp_path / "a.onnx").touch()
    open_session(tmp_path / "a.onnx", 9999)
    assert given == [os.cpu_count()]


def test_the_guides_few_lines_find_the_joints_that_posegram_finds(tmp_path, monkeypatch, capsys):
    code = re.search(r"```py\n(.*?)```", (ROOT / "docs/guides/onnx.md").read_text(), re.DOTALL)[1]
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "astronaut.jpg", tmp_path / "docs")
    shutil.copy(bundled("small"), tmp_path / "small.onnx")
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 - our own guide
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    people = load("small", detector="none")(
        pictures.read("docs/astronaut.jpg"), np.float32([[40, 0, 420, 511]])
    )
    sure = people.score[0] > 0.5
    assert [name for name, *_ in told] == list(people.skeleton.joints)
    found = np.array([row[1:] for row in told], dtype=np.float64)
    assert sure.sum() >= 8
    away = np.linalg.norm(found[sure, :2] - people.xy[0][sure], axis=1)
    assert np.median(away) < 1.5
    assert np.quantile(away, 0.9) < 6  # 1 % of the person's box: without the last two steps
    assert np.abs(found[sure, 2] - people.score[0][sure]).max() < 0.05


def test_a_network_reaches_another_process(tmp_path):
    _, network = load_onnx(tiny.constant(tmp_path / "m.onnx"), threads=1)
    crops = np.zeros((1, 64, 48, 3), dtype=np.uint8)
    for own, other in zip(network(crops), pickle.loads(pickle.dumps(network))(crops), strict=True):
        np.testing.assert_array_equal(own, other)
