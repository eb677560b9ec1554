"""The web app: pages, API, live view and video jobs; needs `pip install 'posegram[web]'`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import posegram

if TYPE_CHECKING:
    from apiflask import APIFlask

    from posegram.web.settings import Settings

__all__ = ["create_app"]


def create_app(settings: Settings | None = None) -> APIFlask:
    """The app with its shared `Service` in `app.extensions["posegram"]`.

    Makes the folders `uploads` and `results` and the file `jobs.sqlite` in `settings.folder`, and
    writes nowhere else. Loads and warms the default model.

    Args:
        settings: those in the environment variable `POSEGRAM_WEB` without them.

    Raises:
        OSError: a folder cannot be made.
        ValueError: a model on offer is none.
    """
    # here, so that the processes beside the server's load no web framework
    from apiflask import APIFlask

    from posegram.web import api, clips, errors, guard, health, live, openapi, pages
    from posegram.web.service import Service
    from posegram.web.settings import Settings
    from posegram.web.uploads import Upload

    settings = settings or Settings.from_environment()
    service = Service.of(settings)
    app = APIFlask(
        "posegram.web",
        title="posegram",
        version=posegram.__version__,
        docs_path=None,
        static_folder=None,  # type: ignore[arg-type]
    )
    app.request_class = Upload
    app.extensions["posegram"] = service
    app.json.sort_keys = False  # type: ignore[attr-defined]
    errors.install(app)
    guard.install(app, settings, service.meters)
    for routes in (api, clips, health, openapi, pages, live):
        routes.install(app, service)
    guard.limit(app, settings, {**api.rates(settings), **clips.rates(settings)})
    service.warm()
    return app
