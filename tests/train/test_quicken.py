import csv
import json

import pytest
import torch

import runs
from posegram import models
from posegram.models import kernels
from posegram.pose import LSP14, Card, Skeleton
from posegram.train import curves, fit
from posegram.train import quicken as place
from posegram.train.quicken import quicken


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    """Nothing was told before, and there is no GPU."""
    place._tell.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def ready():
    if kernels.missing():
        pytest.skip(f"no kernels here: {kernels.missing()}")


@pytest.fixture
def able(monkeypatch):
    """A machine that can compile the kernels, as far as is asked."""
    monkeypatch.setattr(kernels, "missing", lambda: "")


def network(kind="lite"):
    output, skeleton = models.KINDS[kind], LSP14 if kind != "detector" else Skeleton("box", ())
    settings = {"network": kind, "head": 8, "width": 4}
    return models.build(Card("x", output, skeleton, (64, 64), settings=settings))


def quick(net):
    return any(type(part) is kernels._Quick for part in net.modules())


def settings(tmp_path, **changes):
    return runs.settings(tmp_path, **({"network": "lite", "precision": "bf16"} | changes))


@pytest.mark.parametrize("kind", ["lite", "detector"])
@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_the_kernels_are_used_where_they_fit(able, tmp_path, caplog, kind, precision):
    net = network(kind)
    assert quicken(net, settings(tmp_path, network=kind, precision=precision)) == "own"
    assert quick(net)
    assert caplog.messages == []


def test_they_may_be_switched_off(able, tmp_path, caplog):
    net = network()
    assert quicken(net, settings(tmp_path, kernels="off")) == "kernels = 'off'"
    assert (quick(net), caplog.messages) == (False, [])


def test_other_networks_are_left_as_they_are_without_a_word(able, tmp_path, caplog):
    net = network("cnn")
    why = quicken(net, settings(tmp_path, network="cnn"))
    assert why == "they are for lite and detector, not cnn"
    assert (quick(net), caplog.messages) == (False, [])


def test_float32_is_trained_by_torch(able, tmp_path, caplog):
    net = network()
    why = quicken(net, settings(tmp_path, precision="fp32"))
    assert why == "they compute in bf16, and precision = 'fp32'"
    assert not quick(net)
    assert caplog.messages == [f"posegram's own training kernels are not used: {why}"]


@pytest.mark.parametrize("where", [torch.cuda, torch.backends.mps], ids=["cuda", "mps"])
def test_a_gpu_trains_without_them(able, tmp_path, monkeypatch, where):
    monkeypatch.setattr(where, "is_available", lambda: True)
    assert quicken(network(), settings(tmp_path)) == "they are for CPUs, and there is a GPU"


def test_what_the_machine_lacks_is_told_once(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(kernels, "missing", lambda: "there is no C++ compiler (c++ or g++)")
    for _ in range(2):
        net = network()
        quicken(net, settings(tmp_path))
        assert not quick(net)
    sentence = "posegram's own training kernels are not used: there is no C++ compiler (c++ or g++)"
    assert caplog.messages == [sentence]


# whole runs


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    return runs.labels(tmp_path_factory.mktemp("figures"))


def run(folder, labels, monkeypatch, **changes):
    """The lines of metrics.csv and environment.json of a run in bfloat16."""
    monkeypatch.setattr(curves, "draw_curves", lambda rows, out: None)
    # so low a rate that rounding does not lead two runs apart
    config = settings(folder, train=[labels], channels=8, epochs=1, rate=1e-4, **changes)
    out = fit(config, progress=False)
    with (config.run / "metrics.csv").open(newline="") as file:
        lines = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    return lines, json.loads((config.run / "environment.json").read_text()), out


AVERAGED = {"ema": 0.5, "optimizer": "adamw"}
HELD = {"keep_norms": True, "freeze": True, "start": "small", "front": "dense"}


@pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training")
@pytest.mark.parametrize("changes", [AVERAGED, HELD], ids=["averaged", "held"])
def test_a_run_goes_as_one_without_them(ready, tmp_path, labels, monkeypatch, changes):
    found = {}
    for kind in ("auto", "off"):
        (tmp_path / kind).mkdir()
        (line,), facts, out = run(tmp_path / kind, labels, monkeypatch, kernels=kind, **changes)
        found[kind] = [line["loss"], line["valid_loss"]]
        assert facts["kernels"] == ("own" if kind == "auto" else "kernels = 'off'")
        assert out.exists()
    assert found["auto"] == pytest.approx(found["off"], rel=0.05)


def test_a_run_with_people_without_labels_uses_them(ready, tmp_path, labels, monkeypatch):
    called = []
    call = kernels._call
    monkeypatch.setattr(kernels, "_call", lambda name, *v: (called.append(name), call(name, *v)))
    semi = {"semi": "teacher", "unlabelled": [labels], "batch": 3, "semi_warmup": 0}
    monkeypatch.setattr("posegram.train.semi.collapse", lambda lines: "")  # too short to tell
    lines, facts, _ = run(tmp_path, labels, monkeypatch, **semi)
    assert facts["kernels"] == "own"
    assert {"moments", "scale_and_clip", "depthwise_gradients"} <= set(called)
    assert torch.tensor([lines[0][k] for k in ("loss", "semi_loss")]).isfinite().all()
