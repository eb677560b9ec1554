"""Log lines."""

import json
import logging
import sys

from posegram.web.logs import Lines


def line(**extra):
    record = logging.LogRecord("posegram.web", logging.INFO, "x.py", 1, "said %s", ("so",), None)
    record.__dict__.update(extra)
    return json.loads(Lines().format(record))


def test_a_line_is_one_json_object():
    found = line()
    assert (found["level"], found["logger"], found["message"]) == (
        "info",
        "posegram.web",
        "said so",
    )


def test_the_fields_of_a_record_stand_in_its_line():
    assert line(fields={"status": 200})["status"] == 200


def test_a_time_is_utc_with_milliseconds():
    assert line(created=1.25, msecs=250.0)["time"] == "1970-01-01T00:00:01.250Z"


def test_an_exception_stands_in_one_line():
    try:
        raise ValueError("so it goes")
    except ValueError:
        text = Lines().format(
            logging.LogRecord("a", logging.ERROR, "x.py", 1, "no", (), sys.exc_info())
        )
    assert "\n" not in text
    assert "so it goes" in json.loads(text)["trace"]
