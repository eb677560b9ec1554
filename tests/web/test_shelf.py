"""The models on offer."""

import threading

import pytest

import tiny
from posegram.web import shelf as shelves
from posegram.web.shelf import RCNN, Shelf, named


@pytest.fixture
def model(tmp_path):
    return str(tiny.constant(tmp_path / "mine.onnx"))


def test_the_first_model_is_the_default(model):
    assert Shelf.of((model, "small"), detector="none").default == "mine"


def test_the_bundled_models_follow(model):
    shelf = Shelf.of((model,), detector="none")
    assert list(shelf.sources)[:1] == ["mine"]
    assert {"small", "medium", "cnn", RCNN} <= set(shelf.sources)


def test_a_model_is_loaded_once_for_all_threads(model, monkeypatch):
    loads = []
    monkeypatch.setattr(shelves, "load", lambda *args, **options: loads.append(args) or len(loads))
    shelf = Shelf.of((model,))
    threads = [threading.Thread(target=shelf.estimate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1


def test_an_unknown_model_is_refused_with_the_known_ones(model):
    with pytest.raises(ValueError, match="no model of that name; there are mine, "):
        Shelf.of((model,)).estimate("other")


def test_a_path_is_no_name(model):
    with pytest.raises(ValueError, match="no model of that name"):
        Shelf.of(("small",)).estimate(model)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model '.*nix\.onnx': no such file"):
        named((str(tmp_path / "nix.onnx"),))


def test_two_models_of_one_name_are_refused(model, tmp_path):
    (tmp_path / "b").mkdir()
    other = tiny.constant(tmp_path / "b" / "mine.onnx")
    with pytest.raises(ValueError, match="two models would be called 'mine'"):
        named((model, str(other)))


def test_an_entry_tells_the_card(model):
    entry = Shelf.of((model,)).entries({"mine": 3.14159})[0]
    assert (entry["name"], entry["default"], entry["kind"]) == ("mine", True, "regression")
    assert (entry["size"], entry["milliseconds"]) == ([64, 48], 3.1)


def test_a_time_that_nobody_measured_is_none(model):
    assert Shelf.of((model,)).entries({})[0]["milliseconds"] is None


def test_keypoint_rcnn_without_torch_is_listed_with_its_install_line(model, monkeypatch):
    monkeypatch.setattr(shelves, "find_spec", lambda name: None)
    entry = next(e for e in Shelf.of((model,)).entries({}) if e["name"] == RCNN)
    assert (entry["available"], entry["install"]) == (False, "pip install 'posegram[rcnn]'")


def test_keypoint_rcnn_without_torch_is_refused_in_one_sentence(model, monkeypatch):
    monkeypatch.setattr(shelves, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs torch: pip install 'posegram\[rcnn\]'"):
        Shelf.of((model,)).estimate(RCNN)


@pytest.fixture
def nothing_fetched(tmp_path, monkeypatch):
    """A computer with torch, where Keypoint R-CNN's weights were not fetched yet."""
    monkeypatch.setattr(shelves, "_rcnn_runs", lambda: True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("POSEGRAM_KEYPOINT_RCNN", raising=False)
    return tmp_path / "torch" / "hub" / "checkpoints"


def rcnn_entry(model):
    return next(e for e in Shelf.of((model,)).entries({}) if e["name"] == RCNN)


def test_keypoint_rcnn_without_weights_is_listed_with_how_to_get_them(model, nothing_fetched):
    entry = rcnn_entry(model)
    wanted = (False, "weights", "posegram predict PHOTO --model keypoint-rcnn")
    assert (entry["available"], entry["missing"], entry["install"]) == wanted


def test_keypoint_rcnn_is_available_as_soon_as_its_weights_are_fetched(model, nothing_fetched):
    nothing_fetched.mkdir(parents=True)
    (nothing_fetched / "keypointrcnn_resnet50_fpn_coco-fc266e95.pth").touch()
    assert rcnn_entry(model)["available"]


def test_keypoint_rcnn_is_available_with_a_file_of_weights(model, nothing_fetched, monkeypatch):
    monkeypatch.setenv("POSEGRAM_KEYPOINT_RCNN", model)
    assert rcnn_entry(model)["available"]


def test_keypoint_rcnn_is_not_fetched_while_a_visitor_waits(model, nothing_fetched, monkeypatch):
    monkeypatch.setattr(shelves, "load", lambda *_, **__: pytest.fail("fetches"))
    with pytest.raises(ValueError, match="keypoint-rcnn are not on this server; posegram predict"):
        Shelf.of((model,)).estimate(RCNN)


def test_keypoint_rcnn_is_given_no_detector(model, monkeypatch):
    asked = []
    monkeypatch.setattr(shelves, "_rcnn_runs", lambda: True)
    monkeypatch.setattr(shelves, "_rcnn_weights", lambda: True)
    monkeypatch.setattr(shelves, "load", lambda source, **k: asked.append(k["detector"]))
    shelf = Shelf.of((model,), detector="mine.onnx")
    for name in ("mine", RCNN):
        shelf.estimate(name)
    assert asked == ["mine.onnx", ""]


def test_missing_weights_are_one_sentence_without_a_path(model, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("put the file at /home/me/weights.pth")

    monkeypatch.setattr(shelves, "load", missing)
    with pytest.raises(ValueError, match="the weights of mine are not on this server"):
        Shelf.of((model,)).estimate()


def test_a_loaded_model_waits_for_no_other_one(model, monkeypatch):
    shelf = Shelf.of((model,), detector="none")
    shelf.estimate()
    with shelf.locks["mine"], shelf.locks["small"]:
        assert shelf.estimate() is shelf.loaded["mine"]


@pytest.mark.parametrize("name", ["small", RCNN])
def test_a_file_with_a_bundled_models_name_is_itself(tmp_path, name):
    shelf = Shelf.of((str(tiny.constant(tmp_path / f"{name}.onnx")),), detector="none")
    assert shelf.card(name).name == shelf.estimate(name).card.name == "constant"
    assert shelf.entries({})[0]["available"]
