"""The pages as a browser without scripts would get them."""

import gzip
import html
import json
import re
from pathlib import Path

import numpy as np
import pytest

import tiny
from posegram.infer.load import DETECTOR, bundled
from posegram.pose import Skeleton
from posegram.web import create_app, pages
from posegram.web.settings import Settings

WEIGHTS = Path(pages.__file__).parent.parent / "weights"
PALE = ("var(--left)", "var(--right)")
PAGES = ["/", "/video", "/live", "/models", f"/jobs/{'0' * 32}"]


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    app = create_app(Settings(folder=tmp_path_factory.mktemp("instance")))
    return _Client(app.test_client())


class _Client:
    """Fetches whole answers, so that no file stays open."""

    def __init__(self, client):
        self.client = client

    def get(self, address, **options):
        return self.client.get(address, buffered=True, **options)


def _text(client, page):
    return client.get(page).get_data(as_text=True)


def _asset(client, name):
    """Address of a static file under the stamp of this installation."""
    stamp = re.search(r"/assets/(\w+)/", _text(client, "/"))[1]
    return f"/assets/{stamp}/{name}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_there(client, page):
    assert client.get(page).status_code == 200


def test_an_address_that_no_job_can_have_is_no_page(client):
    assert client.get("/jobs/anything").status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_only_addresses_of_this_server(client, page):
    assert re.findall(r"""(?:src|href|action)="(?!/|\#)[^"]*\"""", _text(client, page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_inline_script_or_style(client, page):
    """The content security policy would stop them."""
    assert re.findall(r"<style|style=|<script(?![^>]*src=)| on\w+=", _text(client, page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(client, page):
    named = set(re.findall(r'(?:src|href)="(/assets/[^"]+)"', _text(client, page)))
    assert [name for name in named if client.get(name).status_code != 200] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_control_of_a_page_has_a_name(client, page):
    """By a label around or for it, or by aria-label."""
    text = _text(client, page)
    labelled = set(re.findall(r'<label[^>]* for="(\w+)"', text))
    for tag in re.findall(r"<(?:select|input|progress|video|canvas)\b[^>]*>", text):
        name = re.search(r'\bid="([\w-]+)"', tag)
        inside = re.search(r"<label[^>]*>(?:(?!</label>).)*" + re.escape(tag), text, re.S)
        assert "aria-label" in tag or inside or (name and name[1] in labelled), tag


@pytest.mark.parametrize("page", PAGES)
def test_who_has_no_scripts_is_told_before_anything_else(client, page):
    main = _text(client, page).partition("<main")[2]
    assert main.index("<noscript") < main.index("<h1")


def test_the_page_of_a_clip_lies_under_video(client):
    (current,) = re.findall(r'<a href="([^"]+)" aria-current', _text(client, PAGES[-1]))
    assert current == "/video"


STYLES = (Path(pages.__file__).parent / "static" / "css" / "posegram.css").read_text()
THEMES = {
    theme: dict(re.findall(r"--(\w+): (#\w{6})", block))
    for theme, block in zip(
        ("light", "dark"), re.findall(r":root \{(.*?)\}", STYLES, re.S), strict=True
    )
}


def _luminance(colour):
    """Of #rrggbb, 0 to 1, as WCAG 2 has it."""
    shares = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", ["paper", "sheet", "sunk"])
@pytest.mark.parametrize("text", ["ink", "soft", "bad"])
def test_text_stands_out_from_its_ground_as_wcag_asks(theme, ground, text):
    dark, light = sorted(_luminance(THEMES[theme][name]) for name in (text, ground))
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_no_text_is_thinned_or_in_the_colour_of_a_side():
    """The sides' colours are for lines and dots: as letters they are too pale."""
    found = re.findall(r"[{;] *color: ([^;}]+)", STYLES)
    assert [one for one in found if "transparent" in one or one in PALE] == []


def test_a_page_tells_how_long_results_are_kept(client):
    assert "one hour" in _text(client, "/")


def test_the_pages_offer_every_model(client):
    offered = {model["name"] for model in client.get("/v1/models").get_json()["models"]}
    assert offered <= set(re.findall(r'<option value="([^"]+)"', _text(client, "/")))


def test_a_model_that_is_not_installed_shows_how_to_install_it(client, monkeypatch):
    monkeypatch.setattr("posegram.web.shelf.find_spec", lambda name: None)
    assert "pip install &#39;posegram[rcnn]&#39;" in _text(client, "/models")


def test_the_models_page_holds_their_cards(client):
    assert "The default: a top-down" in _text(client, "/models")


def test_the_models_page_holds_the_detectors_card(client):
    assert "riders taken together" in _text(client, "/models")


def test_a_file_called_as_a_bundled_model_does_not_get_its_card(tmp_path):
    own = tiny.constant(tmp_path / "small.onnx")
    app = create_app(Settings(folder=tmp_path, models=(str(own),), detector="none"))
    page = _text(_Client(app.test_client()), "/models")
    assert ("The default: a top-down" in page, "riders taken together" in page) == (False, False)


def test_weights_that_were_not_fetched_show_how_to_fetch_them(client, monkeypatch):
    monkeypatch.setattr("posegram.web.shelf._rcnn_runs", lambda: True)
    monkeypatch.setattr("posegram.web.shelf._rcnn_weights", lambda: False)
    assert "posegram predict PHOTO --model keypoint-rcnn" in _text(client, "/models")


def test_a_missing_page_is_a_page(client):
    answer = client.get("/nowhere", headers={"Accept": "text/html"})
    assert (answer.status_code, "To the start" in answer.get_data(as_text=True)) == (404, True)


def test_a_static_file_is_kept_for_ever_under_its_stamp(client):
    answer = client.get(_asset(client, "css/posegram.css"))
    assert answer.headers["Cache-Control"] == pages.FOREVER


def test_a_static_file_under_an_old_stamp_is_asked_for_again(client):
    assert client.get("/assets/old/css/posegram.css").headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["../pages.py", "..%2fpages.py", "nothing.css", "a" * 300])
def test_no_other_file_can_be_fetched(client, name):
    packed = {"Accept-Encoding": "gzip"}
    assert client.get(f"/assets/old/{name}", headers=packed).status_code == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("js/page.js", "text/javascript"),
        ("css/posegram.css", "text/css"),
        ("img/mark.svg", "image/svg+xml"),
    ],
)
def test_a_static_file_says_what_it_is(client, name, kind):
    assert client.get(_asset(client, name)).mimetype == kind


def test_a_packed_twin_is_sent_to_who_takes_it(client, tmp_path, monkeypatch):
    (tmp_path / "big.wasm").write_bytes(b"big")
    (tmp_path / "big.wasm.gz").write_bytes(gzip.compress(b"big"))
    monkeypatch.setattr(pages, "_STATIC", tmp_path)
    answer = client.get("/assets/old/big.wasm", headers={"Accept-Encoding": "gzip, br"})
    assert (answer.headers["Content-Encoding"], gzip.decompress(answer.data)) == ("gzip", b"big")


def test_a_twin_stays_at_home_where_it_is_not_taken(client, tmp_path, monkeypatch):
    (tmp_path / "big.wasm").write_bytes(b"big")
    (tmp_path / "big.wasm.gz").write_bytes(gzip.compress(b"big"))
    monkeypatch.setattr(pages, "_STATIC", tmp_path)
    assert client.get("/assets/old/big.wasm", headers={"Accept-Encoding": "br"}).data == b"big"


def test_the_browser_gets_the_very_network_that_the_server_runs(client):
    assert client.get("/weights/any/small.onnx").data == bundled("small").read_bytes()


@pytest.mark.parametrize("asked", ["", DETECTOR, f"{DETECTOR}:512"])
def test_the_browser_gets_the_very_detector_too(tmp_path, asked):
    app = create_app(Settings(folder=tmp_path, detector=asked))
    answer = _Client(app.test_client()).get("/weights/any/detector.onnx")
    assert answer.data == (WEIGHTS / "detector.onnx").read_bytes()


def _told(tmp_path, monkeypatch, **settings):
    """What the live page tells a browser about networks."""
    (tmp_path / "ort").mkdir()
    for name in pages._RUNTIME:
        (tmp_path / "ort" / name).touch()
    monkeypatch.setattr(pages, "_STATIC", tmp_path)
    app = create_app(Settings(folder=tmp_path, **settings))
    page = _text(_Client(app.test_client()), "/live")
    told = json.loads(html.unescape(re.search(r'data-config="([^"]+)"', page)[1]))
    return told["device"]["poses"]


def test_a_model_of_no_people_comes_to_the_browser_without_a_detector(tmp_path, monkeypatch):
    hand = tiny.constant(tmp_path / "hand.onnx", skeleton=Skeleton("hand", ("wrist", "thumb")))
    poses = _told(tmp_path, monkeypatch, models=(str(hand),))
    assert poses["hand"]["detector"] is None
    assert Path(poses["small"]["detector"]["file"]).stem == DETECTOR


def test_the_browser_gives_the_detector_the_input_that_the_server_does(tmp_path, monkeypatch):
    poses = _told(tmp_path, monkeypatch, detector="detector:512")
    assert poses["small"]["detector"]["card"]["size"] == [512, 512]
    assert not poses["small"]["detector"]["closer"]


def test_without_a_chosen_input_the_browser_looks_closer_at_small_people(tmp_path, monkeypatch):
    assert _told(tmp_path, monkeypatch)["small"]["detector"]["closer"]


def test_a_file_whose_suffix_is_in_capitals_is_offered_to_browsers_too(tmp_path):
    own = tiny.constant(tmp_path / "own.ONNX")
    app = create_app(Settings(folder=tmp_path, models=(str(own),), detector="none"))
    assert _Client(app.test_client()).get("/weights/any/own.onnx").data == own.read_bytes()


@pytest.mark.parametrize("name", ["nobody", "keypoint-rcnn", "..%2f..%2fsmall"])
def test_only_networks_on_offer_can_be_fetched(client, name):
    assert client.get(f"/weights/any/{name}.onnx").status_code == 404


def test_without_the_runtime_the_live_page_says_so(client, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "_STATIC", tmp_path)
    assert "make browser" in _text(client, "/live")
