"""How gunicorn runs the app: threads that notice a stop, and log lines as JSON."""

from __future__ import annotations

from typing import Any

from gunicorn.glogging import Logger
from gunicorn.workers.gthread import ThreadWorker

from posegram.web import logs

__all__ = ["Log", "Threads"]


class Threads(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threads; on SIGTERM the open live connections are told to close.

    Otherwise each of them would hold the process until the grace period is over.
    """

    def init_process(self) -> None:
        """Begin to log, then load the app and serve."""
        logs.install()
        super().init_process()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Say to all threads that the server stops, then stop."""
        if not hasattr(self, "wsgi"):  # the app is still being loaded: there is nothing to end
            raise SystemExit(0)
        self.wsgi.extensions["posegram"].stopping.set()
        super().handle_exit(sig, frame)


class Log(Logger):  # type: ignore[misc]
    """gunicorn's own messages in the lines of all others."""

    def setup(self, cfg: Any) -> None:
        """Use our format."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.Lines())
