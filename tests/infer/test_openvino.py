import pickle
import subprocess
import sys

import numpy as np
import pytest

import tiny
from posegram.infer import openvino as module
from posegram.infer.onnx import load_onnx
from posegram.infer.openvino import compiled, load_openvino

installed = pytest.mark.skipif(not module.has_openvino(), reason="OpenVINO is not installed")


@installed
def test_both_engines_give_the_same(tmp_path):
    path = tiny.colours(tmp_path / "m.onnx")
    crops = tiny.spots(np.array([[10, 10], [30, 20], [50, 50]]), (64, 64))[None]
    _, ours = load_openvino(path, threads=1)
    _, theirs = load_onnx(path, threads=1)
    # bfloat16 keeps three digits of values up to 30
    np.testing.assert_allclose(ours(crops)[0], theirs(crops)[0], atol=0.3)


@installed
def test_a_network_reaches_another_process(tmp_path):
    crops = np.zeros((1, 64, 64, 3), np.uint8)
    _, network = load_openvino(tiny.colours(tmp_path / "m.onnx"), threads=1)
    other = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(network(crops)[0], other(crops)[0])


@installed
def test_one_call_does_not_change_what_another_gave(tmp_path):
    _, network = load_openvino(tiny.colours(tmp_path / "m.onnx"), threads=1)
    first = network(np.zeros((1, 64, 64, 3), np.uint8))[0]
    kept = first.copy()
    network(np.full((1, 64, 64, 3), 255, np.uint8))
    np.testing.assert_array_equal(first, kept)


@installed
def test_any_number_of_crops_may_come(tmp_path):
    _, network = load_openvino(tiny.constant(tmp_path / "m.onnx"), threads=1)
    assert [len(network(np.zeros((n, 64, 48, 3), np.uint8))[0]) for n in (1, 3)] == [1, 3]


@installed
def test_ctrl_c_is_heard_after_two_networks_are_let_go(tmp_path):
    path = tiny.constant(tmp_path / "m.onnx")
    code = f"""
import signal
from posegram.infer.openvino import load_openvino
first, second = (load_openvino({str(path)!r}, threads=1)[1] for _ in range(2))
del first, second
signal.signal(signal.SIGINT, lambda *_: print("heard"))
signal.raise_signal(signal.SIGINT)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr


def test_without_openvino_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs OpenVINO: pip install 'posegram\[openvino\]'"):
        load_openvino(tiny.constant(tmp_path / "m.onnx"))


@installed
def test_a_file_without_a_card_is_refused(tmp_path):
    with pytest.raises(ValueError, match="without a posegram card"):
        load_openvino(tiny.bare(tmp_path / "bare.onnx", {}))


@installed
def test_inputs_may_be_given_by_name_and_in_full_precision(tmp_path):
    path = tiny.colours(tmp_path / "m.onnx")
    crops = tiny.spots(np.array([[10, 10], [30, 20], [50, 50]]), (64, 64))[None]
    found = compiled(path, threads=1, half=False)({"crops": crops})
    np.testing.assert_allclose(found[0], load_onnx(path, threads=1)[1](crops)[0], atol=1e-4)
