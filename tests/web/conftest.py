"""An app of its own for each test that asks, and one running server for all that only look."""

import pytest
from flask.testing import FlaskClient

import serving
from posegram.web import create_app


@pytest.fixture
def settings(tmp_path):
    return serving.settings_for(tmp_path)


class Client(FlaskClient):
    """A client that reads answers to their end, so that no file stays open."""

    def open(self, *args, buffered=True, **options):
        return super().open(*args, buffered=buffered, **options)


@pytest.fixture
def app(settings):
    app = create_app(settings)
    app.test_client_class = Client
    return app


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def service(app):
    return app.extensions["posegram"]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with serving.served(tmp_path_factory.mktemp("served")) as running:
        yield running
