"""The API's description, and a page that shows it without a script and without a network."""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask
from flask import Response, render_template

from posegram.web import shapes
from posegram.web.errors import CODES
from posegram.web.service import Service

__all__ = ["install"]


def install(app: APIFlask, service: Service) -> None:
    """Complete what APIFlask writes of the routes at /openapi.json; add the page /docs."""
    app.config["OPENAPI_VERSION"] = "3.1.0"
    app.config["AUTO_404_RESPONSE"] = False
    app.config["AUTO_VALIDATION_ERROR_RESPONSE"] = False
    app.config["HTTP_ERROR_SCHEMA"] = {"$ref": "#/components/schemas/Error"}
    app.config["DESCRIPTION"] = shapes.ABOUT

    @app.spec_processor
    def complete(spec: Any) -> Any:
        return shapes.complete(spec)

    @app.get("/docs")
    @app.doc(hide=True)
    def docs() -> Response:
        page = render_template("docs.html", spec=app.spec, codes=CODES)
        return Response(page, mimetype="text/html")
