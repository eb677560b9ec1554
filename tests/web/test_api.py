"""The API for pictures."""

import io

import numpy as np
import PIL.Image
import pytest

import crowd
import serving
import tiny
from posegram.pose import LSP14
from posegram.web import create_app
from posegram.web.answers import FORMS
from posegram.web.service import Service


def png(width: int = 80, height: int = 60) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (width, height), "olive").save(out, "PNG")
    return out.getvalue()


def look(client, query: str = "", **options):
    return client.post(f"/v1/pose/image{query}", data=png(), content_type="image/png", **options)


def test_the_joints_are_those_that_the_model_finds(client):
    person = look(client).json["people"][0]
    found = np.array([[joint["x"], joint["y"]] for joint in person["joints"].values()])
    # the network puts joints at shares of its crop, which holds the whole picture
    side = max(60, 80 * 64 / 48)
    expected = tiny.places(LSP14) * (side * 48 / 64, side) - (0.5, (side - 60) / 2 + 0.5)
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_every_link_works(client):
    links = look(client).json["links"]
    kinds = {suffix: client.get(link).mimetype for suffix, link in links.items()}
    assert kinds == {suffix: form.mimetype for suffix, form in FORMS.items()}


def test_the_stored_joints_are_those_of_the_answer(client):
    answer = look(client).json
    assert client.get(answer["links"]["json"]).json == answer


def test_no_file_is_called_by_the_key_to_it(client):
    links = look(client).json["links"].values()
    assert ["Content-Disposition" in client.get(link).headers for link in links] == [False] * 5


@pytest.mark.parametrize("suffix", ["csv", "coco", "jpg"])
def test_a_format_can_be_had_at_once(client, suffix):
    answer = look(client, headers={"Accept": FORMS[suffix].mimetype})
    assert (answer.status_code, answer.mimetype) == (200, FORMS[suffix].mimetype)


def test_a_format_can_be_named(client):
    assert look(client, "?format=csv").text.startswith("image,frame,time,person,track,joint,")


def test_the_wide_table_can_be_named(client):
    heading, row = look(client, "?format=csv-wide").text.splitlines()
    assert "left_elbow_angle" in heading
    assert row.startswith("photo.jpg,")


def test_a_result_can_be_deleted(client, settings):
    key = look(client).json["id"]
    assert client.delete(f"/v1/results/{key}").status_code == 204
    assert client.get(f"/v1/results/{key}.json").status_code == 404
    assert list(settings.results.iterdir()) == []


def test_deleting_twice_is_404(client):
    key = look(client).json["id"]
    client.delete(f"/v1/results/{key}")
    assert client.delete(f"/v1/results/{key}").status_code == 404


def test_a_job_of_a_video_is_no_result_to_delete(client, settings):
    key = "b" * 32
    client.application.extensions["posegram"].queue.put(key, "film", {})
    (settings.results / key / "1").mkdir(parents=True)
    assert client.delete(f"/v1/results/{key}").status_code == 404
    assert (settings.results / key / "1").is_dir()


@pytest.mark.parametrize(
    "key", ["a" * 32, "a" * 31, "A" * 32, "..%2f..%2fjobs", "../jobs.sqlite", "%00" * 32]
)
@pytest.mark.parametrize("suffix", ["json", "jpg", "sqlite", "json%00"])
def test_what_is_no_result_is_404(client, key, suffix):
    assert client.get(f"/v1/results/{key}.{suffix}").status_code == 404


def test_the_joints_can_be_of_another_set(client):
    assert look(client, "?skeleton=coco17").json["skeleton"] == "coco17"


@pytest.mark.parametrize(("most", "told"), [(0, 3), (2, 2), (5, 3)])
def test_no_more_people_are_told_of_than_asked_for(client, monkeypatch, most, told):
    three = crowd.people([(20, 30), (40, 30), (60, 30)], height=40.0)
    monkeypatch.setattr(Service, "look", lambda *_: three)
    assert len(look(client, f"?max_people={most}").json["people"]) == told


@pytest.mark.parametrize(
    "query",
    [
        *("?max_people=-1", "?max_people=x", "?max_people=1001"),
        *("?model=nix", "?model=../../etc/passwd", "?model=" + "x" * 200, "?skeleton=nix"),
        *("?threshold=-0.1", "?threshold=nan", "?threshold=x", "?format=exe"),
    ],
)
def test_a_wrong_parameter_is_422(client, query):
    assert look(client, query).status_code == 422


def test_an_unknown_model_is_told_in_one_sentence(client):
    message = look(client, "?model=nix").json["error"]["message"]
    assert message.startswith("No model of that name; there are still, small, ")
    assert message.endswith(".")


def test_busy_cores_are_503_with_the_time_to_come_back(tmp_path):
    app = create_app(serving.settings_for(tmp_path, slot_seconds=0.05, cores=1))
    with app.extensions["posegram"].slot():
        answer = look(app.test_client())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_full_disk_is_503_and_leaves_nothing(tmp_path):
    settings = serving.settings_for(tmp_path, spare_bytes=1 << 60)
    answer = look(create_app(settings).test_client())
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "unavailable")
    assert list(settings.results.iterdir()) == []


def test_a_disk_that_fills_up_half_way_leaves_nothing(client, settings, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("posegram.data.door.save_json", full)
    assert look(client).status_code == 503
    assert list(settings.results.iterdir()) == []


def test_a_frame_is_answered_with_its_number(client):
    out = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), "olive").save(out, "JPEG")
    answer = client.post(
        "/v1/pose/frame?sequence=7&time=1.5", data=out.getvalue(), content_type="image/jpeg"
    ).json
    assert (answer["sequence"], answer["time"], len(answer["people"])) == (7, 1.5, 1)


def test_a_frame_is_answered_in_the_joints_asked_for(client):
    out = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), "olive").save(out, "JPEG")
    answer = client.post(
        "/v1/pose/frame?skeleton=body19", data=out.getvalue(), content_type="image/jpeg"
    ).json
    assert (answer["skeleton"], len(answer["people"][0]["xy"])) == ("body19", 19)


def test_a_frame_leaves_nothing_behind(client, settings):
    out = io.BytesIO()
    PIL.Image.new("RGB", (64, 48), "olive").save(out, "JPEG")
    client.post("/v1/pose/frame", data=out.getvalue(), content_type="image/jpeg")
    assert list(settings.results.iterdir()) == list(settings.uploads.iterdir()) == []


def test_a_frame_of_more_than_a_megabyte_is_refused(client):
    data = b"\xff\xd8\xff" + b"\0" * (1 << 20)
    assert client.post("/v1/pose/frame", data=data, content_type="image/jpeg").status_code == 413


@pytest.mark.parametrize(
    ("kind", "size", "status"), [("PNG", (64, 48), 415), ("JPEG", (1921, 8), 413)]
)
def test_a_frame_is_a_jpeg_of_no_more_than_1920_pixels_a_side(client, kind, size, status):
    out = io.BytesIO()
    PIL.Image.new("RGB", size, "olive").save(out, kind)
    answer = client.post("/v1/pose/frame", data=out.getvalue(), content_type="image/jpeg")
    assert answer.status_code == status


def test_the_models_are_listed(client):
    models = client.get("/v1/models").json["models"]
    assert models[0]["name"] == "still"
    assert models[0]["default"]
