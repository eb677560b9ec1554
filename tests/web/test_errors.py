"""Errors, all in one shape."""

import errno
import sqlite3

import pytest

from posegram.web.errors import CODES, Refused
from posegram.web.service import Busy


def answer_to(app, fault, path="/v1/fails"):
    def fail():
        raise fault

    app.add_url_rule(path, "fails", fail)
    return app.test_client().get(path)


@pytest.mark.parametrize("status", sorted(CODES))
def test_every_status_has_one_shape(app, status):
    answer = answer_to(app, Refused(status, "So it is."))
    assert answer.status_code == status
    assert answer.json == {"error": {"code": CODES[status][0], "message": "So it is."}}


@pytest.mark.parametrize("status", [429, 503])
def test_who_should_come_back_is_told_when(app, status):
    assert int(answer_to(app, Refused(status, "Later.")).headers["Retry-After"]) >= 1


def test_busy_cores_are_503(app):
    answer = answer_to(app, Busy())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_locked_list_of_jobs_is_503(app):
    answer = answer_to(app, sqlite3.OperationalError("database is locked"))
    assert (answer.status_code, answer.json["error"]["code"]) == (503, "unavailable")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_is_503(app, number):
    assert answer_to(app, OSError(number, "no")).status_code == 503


def test_a_full_disk_behind_another_error_is_503(app):
    fault = OSError("cannot write poses.json")
    fault.__cause__ = OSError(errno.ENOSPC, "no")
    assert answer_to(app, fault).status_code == 503


@pytest.mark.parametrize("fault", [RuntimeError("secret /home/me"), OSError("secret")])
def test_a_mistake_is_500_and_says_nothing_of_the_inside(app, fault):
    answer = answer_to(app, fault)
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_a_mistake_is_logged(app, caplog):
    answer_to(app, RuntimeError("what happened"))
    assert "what happened" in caplog.text


def test_an_unknown_address_of_the_api_is_json(client):
    answer = client.get("/v1/nothing", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json["error"]["code"]) == (404, "not_found")


def test_a_browser_gets_an_error_as_a_page(client):
    answer = client.get("/nothing", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_a_wrong_method_names_the_right_ones(client):
    answer = client.put("/v1/models")
    assert (answer.status_code, answer.json["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]


def test_a_refused_parameter_is_named(client):
    answer = client.post("/v1/pose/image?threshold=2", data=b"x", content_type="image/jpeg")
    assert answer.status_code == 422
    assert answer.json["error"]["message"].startswith("The parameter threshold cannot be used: ")


@pytest.mark.parametrize("path", ["/v1/pose/image", "/v1/pose/frame", "/v1/jobs"])
def test_a_misspelt_parameter_is_refused(client, path):
    answer = client.post(f"{path}?max_poeple=1", data=b"x", content_type="image/jpeg")
    assert (answer.status_code, answer.json["error"]["message"]) == (
        422,
        "The parameter max_poeple cannot be used: this address knows none of that name.",
    )


def test_several_refused_parameters_make_one_sentence(client):
    path = "/v1/pose/image?format=exe&threshold=x"
    answer = client.post(path, data=b"x", content_type="image/jpeg")
    assert answer.json["error"]["message"] == (
        "The parameter threshold cannot be used: not a valid number; "
        "the parameter format cannot be used: must be one of json, coco, csv, csv-wide, jpg."
    )
