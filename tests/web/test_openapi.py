"""The API's description and its page; schemathesis holds the server against the description."""

import re

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from werkzeug.test import run_wsgi_app

import serving
from posegram.pose import People, Skeleton
from posegram.web import create_app, live
from posegram.web.errors import CODES

ROUTES = {
    *(("/v1/pose/image", "post"), ("/v1/pose/frame", "post"), ("/v1/models", "get")),
    *(("/v1/results/{key}.{suffix}", "get"), ("/v1/results/{key}", "delete")),
    *(("/v1/jobs", "post"), ("/v1/jobs/{key}", "get"), ("/v1/jobs/{key}", "delete")),
    *(("/v1/jobs/{key}/files/{name}", "get"), ("/healthz", "get")),
    *(("/readyz", "get"), ("/metrics", "get")),
}
WITHOUT_INPUT = {(path, "get") for path in ("/v1/models", "/healthz", "/readyz", "/metrics")}
MODES = {
    "as described": schemathesis.GenerationMode.POSITIVE,
    "otherwise": schemathesis.GenerationMode.NEGATIVE,
}


def operations(spec):
    return {
        (path, method): operation
        for path, whole in spec["paths"].items()
        for method, operation in whole.items()
        if method in ("get", "post", "put", "delete")
    }


def test_every_route_of_the_api_is_described(app):
    assert set(operations(app.spec)) == ROUTES


def test_the_description_is_openapi_3_1(client):
    answer = client.get("/openapi.json")
    assert (answer.mimetype, answer.json["openapi"]) == ("application/json", "3.1.0")


def test_every_answer_is_described(app):
    empty = [
        (where, status)
        for where, operation in operations(app.spec).items()
        for status, answer in operation["responses"].items()
        if not answer.get("description")
    ]
    assert empty == []


def test_parts_of_files_and_what_has_not_changed_are_described(app):
    told = {
        where[0]: {"206", "304", "416"} <= set(operation["responses"])
        for where, operation in operations(app.spec).items()
        if where[1] == "get" and ("/results/" in where[0] or "/files/" in where[0])
    }
    assert list(told.values()) == [True, True]


def test_every_part_of_an_address_says_what_it_may_be(app):
    parts = [p["schema"] for o in operations(app.spec).values() for p in o.get("parameters", [])
             if p["in"] == "path"]  # fmt: skip
    assert [part for part in parts if not {"enum", "pattern"} & set(part)] == []


def test_an_answer_to_a_frame_has_what_is_described_and_nothing_else(app):
    skeleton = Skeleton("two", ("a", "b"))
    xy, score = np.float32([[[1, 2], [np.nan, np.nan]]]), np.float32([[0.5, 0]])
    people = People(xy, score, np.float32([[0, 0, 9, 9]]), skeleton, np.array([1]))
    told, schemas = live.answer(people), app.spec["components"]["schemas"]
    assert set(told) | {"sequence", "time"} == set(schemas["Frame"]["properties"])
    assert set(told["people"][0]) == set(schemas["LivePerson"]["properties"])


def test_uploads_may_be_forms_or_files(app):
    body = app.spec["paths"]["/v1/pose/image"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "image/jpeg", "image/png", "image/webp"} <= set(body)


def test_the_page_shows_every_route(client):
    page = client.get("/docs").text
    assert [path for path, _ in ROUTES if path not in page] == []


def test_the_page_explains_live_frames_and_every_error(client):
    page = client.get("/docs").text
    named = [code for code, _ in CODES.values() if f"<td>{code}</td>" not in page]
    assert (named, "WebSocket /v1/live" in page) == ([], True)


def test_the_page_links_to_every_route(client):
    page = client.get("/docs").text
    links, places = re.findall(r'href="#([^"]+)"', page), re.findall(r'id="([^"]+)"', page)
    assert len(set(links)) >= len(ROUTES)
    assert set(links) <= {*places, "main"}


def test_the_page_needs_no_script_and_no_other_server(client):
    page = client.get("/docs").text
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?:https?:)?//', page) == []


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    fast = "100000 per second"
    rates = dict.fromkeys(("picture_rate", "frame_rate", "clip_rate", "other_rate"), fast)
    app = create_app(serving.settings_for(folder, queue=100_000, **rates))
    app.wsgi_app = _whole(app.wsgi_app)
    return app


def _whole(inner):
    """An app that reads its answers to their end and closes them, as schemathesis does not."""

    def app(environ, start_response):
        body, status, headers = run_wsgi_app(inner, environ, buffered=True)
        start_response(status, headers.to_wsgi_list())
        return body

    return app


@pytest.mark.slow
@pytest.mark.parametrize("where", sorted(ROUTES), ids=" ".join)
@pytest.mark.parametrize("mode", ["as described", "otherwise"])
def test_no_request_makes_the_server_fail(fuzzed, where, mode):
    if mode == "otherwise" and where in WITHOUT_INPUT:
        pytest.skip("nothing can be wrong about it")
    schema = schemathesis.openapi.from_wsgi("/openapi.json", fuzzed)
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.status_code_conformance,
        schemathesis.checks.content_type_conformance,
        schemathesis.checks.response_schema_conformance,
    ]

    @given(case=schema[where[0]][where[1].upper()].as_strategy(generation_mode=MODES[mode]))
    @settings(
        max_examples=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def attempt(case):
        case.call_and_validate(checks=checks)

    attempt()
