"""What every request passes and every answer carries."""

import logging

import pytest

import serving
from posegram.web import create_app
from posegram.web.guard import HEADERS

HERE = "http://localhost"
NAMED = "http://pages.example:3000"
OTHER = "https://elsewhere.example"
ASKED = {"Access-Control-Request-Method": "POST"}


@pytest.fixture
def shared(tmp_path):
    """A client of a server that pages of `NAMED` may use."""
    settings = serving.settings_for(tmp_path, origins=("https://a.example", NAMED))
    return create_app(settings).test_client()


def _cors(answer):
    """What an answer says to other origins."""
    found = {name for name, _ in answer.headers if name.startswith("Access-Control-")}
    return found | {part for part in answer.vary if part == "Origin"}


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/nothing", "/healthz"])
def test_every_answer_carries_the_headers(client, path):
    headers = client.get(path).headers
    assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_scripts_come_from_this_server_alone():
    rules = dict(rule.split(" ", 1) for rule in HEADERS["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["connect-src"] == "'self'"
    assert "unsafe-inline" not in rules["script-src"]
    assert rules["frame-ancestors"] == "'none'"


def test_answers_are_not_stored_unless_they_say_so(client):
    assert client.get("/v1/models").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["post", "delete", "put"])
def test_pages_of_other_sites_cannot_change_anything(client, method, headers):
    answer = getattr(client, method)("/v1/pose/image", headers=headers)
    assert (answer.status_code, answer.json["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    "headers", [{}, {"Origin": HERE}, {"Origin": HERE, "Sec-Fetch-Site": "same-origin"}]
)
def test_our_own_pages_and_programs_are_let_in(client, headers):
    assert client.post("/v1/pose/image", headers=headers).status_code == 415


def test_pages_of_other_sites_cannot_open_a_live_connection(client):
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": "https://a.example"}
    assert client.get("/v1/live", headers=headers).status_code == 403


def test_a_link_from_elsewhere_opens_a_page(client):
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
def test_a_strangers_name_for_this_computer_is_refused(client, host):
    assert client.get("/v1/models", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000"])
def test_this_computers_own_names_are_taken(client, host):
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_a_public_server_answers_to_its_names_and_its_own(tmp_path):
    settings = serving.settings_for(tmp_path, public=True, names=("Pose.Example.org",))
    client = create_app(settings).test_client()
    hosts = ("pose.example.org", "localhost", "other.example")
    statuses = [client.get("/healthz", headers={"Host": host}).status_code for host in hosts]
    assert statuses == [200, 200, 400]


def test_a_public_server_without_names_answers_to_any(tmp_path):
    client = create_app(serving.settings_for(tmp_path, public=True)).test_client()
    assert client.get("/healthz", headers={"Host": "10.0.0.7:8000"}).status_code == 200


def test_too_many_requests_of_one_address_are_429(tmp_path):
    settings = serving.settings_for(tmp_path, picture_rate="2 per minute")
    client = create_app(settings).test_client()
    answers = [client.post("/v1/pose/image") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [415, 415, 429]
    assert answers[-1].headers["Retry-After"]


def test_another_address_is_not_held_back(tmp_path):
    settings = serving.settings_for(tmp_path, picture_rate="1 per minute")
    client = create_app(settings).test_client()
    statuses = [
        client.post("/v1/pose/image", environ_base={"REMOTE_ADDR": address}).status_code
        for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2")
    ]
    assert statuses == [415, 429, 415]


@pytest.mark.parametrize(("proxies", "statuses"), [(0, [415, 429]), (1, [415, 415])])
def test_forwarded_addresses_count_only_behind_a_proxy(tmp_path, proxies, statuses):
    settings = serving.settings_for(tmp_path, picture_rate="1 per minute", proxies=proxies)
    client = create_app(settings).test_client()
    found = [
        client.post("/v1/pose/image", headers={"X-Forwarded-For": address}).status_code
        for address in ("10.0.0.1", "10.0.0.2")
    ]
    assert found == statuses


def test_the_log_names_the_route_and_not_the_key(client, caplog):
    caplog.set_level(logging.INFO, "posegram.access")
    client.get(f"/v1/results/{'a' * 32}.json")
    record = caplog.records[-1]
    assert record.fields["status"] == 404
    assert "a" * 32 not in str(record.fields)


def test_methods_that_nobody_knows_are_counted_as_one(client):
    for number in range(3):
        client.open("/", method=f"ZZ{number}")
    text = client.get("/metrics").get_data(as_text=True)
    assert 'method="other"' in text
    assert "ZZ" not in text


def test_a_named_origin_may_use_the_api(shared):
    headers = {"Origin": NAMED, "Sec-Fetch-Site": "cross-site"}
    answer = shared.post("/v1/pose/image", headers=headers)
    assert answer.status_code == 415  # of what it sent: nothing


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("get", "/v1/models", 200), ("get", "/v1/nothing", 404), ("put", "/v1/models", 405)],
)
def test_a_named_origin_may_read_every_answer_of_the_api(shared, method, path, status):
    answer = getattr(shared, method)(path, headers={"Origin": NAMED})
    assert (answer.status_code, answer.access_control_allow_origin) == (status, NAMED)


def test_a_named_origin_may_read_a_mistake_of_the_server(tmp_path):
    app = create_app(serving.settings_for(tmp_path, origins=(NAMED,)))
    app.add_url_rule("/v1/fails", "fails", lambda: 1 // 0)
    answer = app.test_client().get("/v1/fails", headers={"Origin": NAMED})
    assert (answer.status_code, answer.access_control_allow_origin) == (500, NAMED)


def test_a_named_origin_may_read_when_to_come_back(tmp_path):
    settings = serving.settings_for(tmp_path, origins=(NAMED,), picture_rate="1 per minute")
    client = create_app(settings).test_client()
    client.post("/v1/pose/image", headers={"Origin": NAMED})
    answer = client.post("/v1/pose/image", headers={"Origin": NAMED})
    assert (answer.status_code, answer.access_control_allow_origin) == (429, NAMED)
    assert "Retry-After" in answer.access_control_expose_headers


def test_a_named_origin_is_told_beforehand_what_it_may_send(shared):
    answer = shared.options("/v1/pose/image", headers={"Origin": NAMED, **ASKED})
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.access_control_allow_origin == NAMED
    assert {"GET", "POST", "DELETE"} <= set(answer.access_control_allow_methods)
    assert {"content-type", "range"} <= {h.lower() for h in answer.access_control_allow_headers}
    assert answer.access_control_max_age > 0


def test_a_browsers_question_counts_for_no_rate(tmp_path):
    settings = serving.settings_for(tmp_path, origins=(NAMED,), other_rate="1 per minute")
    client = create_app(settings).test_client()
    asked = [client.options("/v1/models", headers={"Origin": NAMED, **ASKED}) for _ in range(3)]
    assert [answer.status_code for answer in asked] == [204] * 3
    assert client.get("/v1/models").status_code == 200


def test_an_answer_of_the_api_depends_on_the_origin(shared):
    assert _cors(shared.get("/v1/models")) == {"Origin"}


def test_nobody_is_given_credentials(shared):
    answer = shared.options("/v1/models", headers={"Origin": NAMED, **ASKED})
    assert not answer.access_control_allow_credentials


@pytest.mark.parametrize(
    "origin",
    [OTHER, "null", f"{NAMED}0", "https://pages.example:3000", "http://pages.example", "*"],
)
@pytest.mark.parametrize("method", ["post", "delete"])
def test_an_origin_that_is_not_named_stays_out(shared, method, origin):
    answer = getattr(shared, method)("/v1/pose/image", headers={"Origin": origin})
    assert (answer.status_code, answer.access_control_allow_origin) == (403, None)


def test_an_origin_that_is_not_named_is_allowed_nothing_beforehand(shared):
    answer = shared.options("/v1/pose/image", headers={"Origin": OTHER, **ASKED})
    assert _cors(answer) == {"Origin"}


def test_an_origin_that_is_not_named_cannot_read_an_answer(shared):
    assert _cors(shared.get("/v1/models", headers={"Origin": OTHER})) == {"Origin"}


def test_an_origin_that_is_not_named_cannot_open_a_live_connection(shared):
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Origin": OTHER}
    assert shared.get("/v1/live", headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/", "/live", "/openapi.json", "/healthz", "/v1", "/v10/"])
def test_what_is_not_of_the_api_stays_closed_to_named_origins(shared, path):
    assert _cors(shared.get(path, headers={"Origin": NAMED})) == set()
    assert _cors(shared.options(path, headers={"Origin": NAMED, **ASKED})) == set()
    assert shared.post(path, headers={"Origin": NAMED}).status_code == 403


def test_without_a_named_origin_nothing_is_said_to_others(client):
    answer = client.options("/v1/models", headers={"Origin": NAMED, **ASKED})
    assert _cors(answer) == set()
