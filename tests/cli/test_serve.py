"""`posegram serve` as a person types it."""

import io
import json
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import PIL.Image
import pytest
import yaml

import serving
import tiny
from posegram.cli import main
from posegram.cli.serve import _check


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


def test_a_folder_that_cannot_be_made_is_one_sentence(capsys, tmp_path):
    (tmp_path / "file").touch()
    said = _refused(capsys, "--port", 0, "--folder", tmp_path / "file" / "x")
    assert said == (
        f"posegram: cannot make the folder {tmp_path / 'file' / 'x'} (--folder): Not a directory\n"
    )


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
    data = serving.clip(tmp_path / "a.mp4", 400).read_bytes()
    with serving.served(tmp_path) as running:
        key = running.json("/v1/jobs", data, Content_Type="video/mp4")["id"]
        serving.until(lambda: running.json(f"/v1/jobs/{key}")["state"] == "running")
        running.stop()
    with serving.served(tmp_path) as running:
        job = serving.until(lambda: (j := running.json(f"/v1/jobs/{key}"))["state"] == "done" and j)
    assert job["done"] == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::"])
def test_other_computers_are_let_in_only_when_told_so(capsys, tmp_path, host):
    said = _refused(capsys, "--host", host, "--folder", tmp_path)
    assert f"other computers could reach {host}: say --public if they may" in said


def test_names_are_for_public_servers(capsys, tmp_path):
    assert "--name is for --public" in _refused(capsys, "--name", "a.org", "--folder", tmp_path)


@pytest.mark.parametrize("origin", ["*", "localhost:3000", "http://localhost:3000/app"])
def test_what_is_no_origin_is_one_sentence(capsys, tmp_path, origin):
    said = _refused(capsys, "--origin", origin, "--folder", tmp_path / "instance")
    assert said == (
        "posegram: an origin is a scheme, a host and perhaps a port, such as"
        f" http://localhost:3000, not {origin!r}\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_pages_of_every_named_origin_may_use_the_api(tmp_path):
    origins = ("http://localhost:3000", "https://app.example.org")
    options = [part for origin in origins for part in ("--origin", origin)]
    with serving.served(tmp_path, *options) as running:
        statuses = [
            running.ask("/v1/pose/image", b"", Content_Type="image/png", Origin=origin)[0]
            for origin in (*origins, "https://elsewhere.example")
        ]
    assert statuses == [400, 400, 403]


def test_a_taken_port_is_one_sentence(capsys, tmp_path, server):
    port = server.address.rsplit(":", 1)[1]
    said = _refused(capsys, "--port", port, "--folder", tmp_path)
    assert said.startswith(f"posegram: cannot listen at 127.0.0.1:{port}: ")


def test_a_model_that_is_none_is_one_sentence(capsys, tmp_path):
    (tmp_path / "a.onnx").write_text("no model")
    said = _refused(capsys, "--model", tmp_path / "a.onnx", "--folder", tmp_path)
    assert said.count("\n") == 1
    assert "a.onnx is not a readable ONNX file" in said


@pytest.mark.parametrize(("detector", "said"), [("", True), ("detector", False), ("none", False)])
def test_a_model_that_takes_each_picture_whole_is_told(capsys, tmp_path, detector, said):
    _check([str(tiny.colours(tmp_path / "a.onnx"))], detector)
    whole = "posegram: colours has no joints of a person's body that we know, so each picture is"
    assert capsys.readouterr().err.startswith(whole) == said


def test_nothing_is_told_of_models_of_people(capsys, tmp_path):
    _check(["cnn", str(tiny.constant(tmp_path / "a.onnx"))], "")
    assert capsys.readouterr().err == ""


def test_two_models_of_one_name_are_one_sentence(capsys, tmp_path):
    said = _refused(capsys, "--model", "cnn", "--model", "cnn", "--folder", tmp_path)
    assert said == "posegram: two models would be called 'cnn': rename one file\n"


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


ROOT = Path(__file__).parent.parent.parent


def _dockerfile() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, in order."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def _commands() -> dict[str, list[str]]:
    """What the container runs, as the Dockerfile and the compose file say."""
    own = json.loads(next(rest for name, rest in _dockerfile() if name == "CMD"))
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["posegram"]
    return {"Dockerfile": own, "compose.yaml": service["command"]}


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml"])
def test_the_containers_command_serves(tmp_path, file):
    command = _commands()[file]
    assert command[:2] == ["posegram", "serve"]
    options = [str(tmp_path / "data") if part == "/data" else part for part in command[2:]]
    assert "--folder" in options
    options[options.index("--port") + 1] = "0"
    with serving.served(tmp_path, *options) as running:
        assert running.ask("/readyz")[0] == 200
        check = next(rest for name, rest in _dockerfile() if name == "HEALTHCHECK")
        words = json.loads(check[check.index("[") :])
        address = running.address + "/"
        code = (
            words[2].replace("http://127.0.0.1:8000/", address).replace("timeout=2", "timeout=60")
        )
        assert subprocess.run([sys.executable, words[1], code], check=False).returncode == 0


def test_what_the_image_copies_is_there_and_not_ignored():
    taken = [f for name, rest in _dockerfile() if name == "COPY" for f in rest.split()[:-1]]
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert taken == ["pyproject.toml", "README.md", "LICENSE", "src"]
    assert [f for f in taken if not (ROOT / f).exists() or f"!{f}" not in kept] == []


def test_the_image_installs_an_extra_that_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runs = " ".join(rest for name, rest in _dockerfile() if name == "RUN")
    assert set(re.findall(r"\[(\w+)\]", runs)) == {"web"} <= set(extras["optional-dependencies"])


def test_the_image_does_not_run_as_root():
    assert [rest for name, rest in _dockerfile() if name == "USER"] == ["posegram"]


def test_compose_publishes_the_port_that_is_served_to_this_computer_only():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["posegram"]
    command = service["command"]
    assert service["ports"] == [f"127.0.0.1:8000:{command[command.index('--port') + 1]}"]
