"""The shapes of what goes in and out, held against real answers."""

import io

import jsonschema_rs
import PIL.Image
import pytest

from posegram.web.shapes import complete


def valid(spec, name, value):
    schema = {"$ref": f"#/components/schemas/{name}", "components": spec["components"]}
    return jsonschema_rs.is_valid(schema, value)


def picture(client):
    out = io.BytesIO()
    PIL.Image.new("RGB", (64, 48)).save(out, "PNG")
    return client.post("/v1/pose/image", data=out.getvalue(), content_type="image/png").json


def test_a_picture_has_its_shape(client, app):
    assert valid(app.spec, "Picture", picture(client))


def test_the_models_have_their_shape(client, app):
    models = client.get("/v1/models").json["models"]
    assert [valid(app.spec, "Model", model) for model in models] == [True] * len(models)


def test_an_error_has_its_shape(client, app):
    assert valid(app.spec, "Error", client.get("/v1/nothing").json)


def test_readiness_has_its_shape(client, app):
    assert valid(app.spec, "Ready", client.get("/readyz").json)


def test_a_job_has_its_shape(client, app, service):
    service.queue.put("a" * 32, "film", {})
    assert valid(app.spec, "Job", client.get(f"/v1/jobs/{'a' * 32}").json)


def test_a_live_frame_is_described_as_a_jpeg(app):
    body = app.spec["paths"]["/v1/pose/frame"]["post"]["requestBody"]["content"]
    assert [kind for kind in body if kind.startswith("image/")] == ["image/jpeg"]


@pytest.mark.parametrize("name", ["Picture", "Error", "Job", "Model"])
def test_a_shape_refuses_what_is_none(app, name):
    assert not valid(app.spec, name, {"nothing": 1})


def test_completing_tells_the_codes_of_errors():
    operation = {"responses": {"503": {"description": "x"}}}
    spec = complete({"paths": {"/v1/a": {"get": operation}}})
    answer = spec["paths"]["/v1/a"]["get"]["responses"]["503"]
    assert "unavailable" in answer["description"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
