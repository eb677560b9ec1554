"""`posegram serve` as a person types it."""

import io
import json
import sys
from importlib.util import find_spec

import PIL.Image
import pytest

import serving
from posegram.cli import main


def _refused(capsys, *args) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *map(str, args)])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving.served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def png():
    out = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), "olive").save(out, "PNG")
    return out.getvalue()


def test_a_server_prints_its_address_once_it_answers(server):
    assert server.ask("/healthz")[0] == 200


def test_a_server_makes_its_folders(server):
    made = {path.name for path in (server.log.parent / "instance").iterdir()}
    assert {"uploads", "results", "jobs.sqlite"} <= made


def test_a_picture_goes_through_to_its_result(server, png):
    status, body = server.ask("/v1/pose/image", png, Content_Type="image/png")
    answer = json.loads(body)
    assert (status, answer["width"], len(answer["people"])) == (200, 64, 1)
    assert server.ask(answer["links"]["jpg"])[1].startswith(b"\xff\xd8\xff")


def test_a_clip_goes_through_to_its_file(server, tmp_path):
    data = serving.clip(tmp_path / "a.mp4", 20).read_bytes()
    key = server.json("/v1/jobs", data, Content_Type="video/mp4")["id"]
    job = serving.until(
        lambda: (j := server.json(f"/v1/jobs/{key}"))["state"] not in ("queued", "running") and j
    )
    assert (job["state"], job["done"]) == ("done", 20)
    assert server.ask(f"/v1/jobs/{key}/files/clip.mp4")[1][4:8] == b"ftyp"


@pytest.mark.slow
def test_a_job_is_finished_by_the_next_server(tmp_path):
    data = serving.clip(tmp_path / "a.mp4", 1500).read_bytes()
    with serving.served(tmp_path) as running:
        key = running.json("/v1/jobs", data, Content_Type="video/mp4")["id"]
        serving.until(lambda: running.json(f"/v1/jobs/{key}")["state"] == "running")
        running.stop()
    with serving.served(tmp_path) as running:
        job = serving.until(lambda: (j := running.json(f"/v1/jobs/{key}"))["state"] == "done" and j)
    assert job["done"] == 1500


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::"])
def test_other_computers_are_let_in_only_when_told_so(capsys, tmp_path, host):
    said = _refused(capsys, "--host", host, "--folder", tmp_path)
    assert f"other computers could reach {host}: say --public if they may" in said


def test_names_are_for_public_servers(capsys, tmp_path):
    assert "--name is for --public" in _refused(capsys, "--name", "a.org", "--folder", tmp_path)


def test_a_taken_port_is_one_sentence(capsys, tmp_path, server):
    port = server.address.rsplit(":", 1)[1]
    said = _refused(capsys, "--port", port, "--folder", tmp_path)
    assert said.startswith(f"posegram: cannot listen at 127.0.0.1:{port}: ")


def test_a_model_that_is_none_is_one_sentence(capsys, tmp_path):
    (tmp_path / "a.onnx").write_text("no model")
    said = _refused(capsys, "--model", tmp_path / "a.onnx", "--folder", tmp_path)
    assert said.count("\n") == 1
    assert "a.onnx is not a readable ONNX file" in said


@pytest.mark.parametrize("module", ["flask", "gunicorn", "flask_limiter", "av"])
def test_without_the_extra_it_says_what_to_install(capsys, tmp_path, monkeypatch, module):
    # the module, which the function of its name hides in the package
    verb = sys.modules["posegram.cli.serve"]
    monkeypatch.setattr(verb, "find_spec", lambda name: None if name == module else find_spec(name))
    said = _refused(capsys, "--folder", tmp_path)
    assert said == f"posegram: the web app needs {module}: pip install 'posegram[web]'\n"


def test_without_gunicorn_for_the_system_it_says_so(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert "needs Linux or macOS" in _refused(capsys, "--folder", tmp_path)
