"""What one server was told: folders, limits, rates; handed to its processes as one variable."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["VARIABLE", "Settings"]

VARIABLE = "POSEGRAM_WEB"  # environment variable with the settings as one JSON object

_MIB = 1 << 20


@dataclass(frozen=True)
class Settings:
    """Settings of a server; sizes in bytes, times in the unit of their name.

    Raises:
        ValueError: a number is not above 0, or an origin is none.
    """

    folder: Path = Path("instance")  # holds uploads/, results/ and jobs.sqlite, nothing else does
    models: tuple[str, ...] = (
        "",
    )  # names or files to offer beside the bundled; the first is default
    detector: str = ""  # finds people's boxes: the bundled one, a file, or "none"
    cores: int = 0  # pictures looked at side by side; 0: one per core
    max_live: int = 8  # open live connections
    public: bool = False  # may be reached from other computers
    names: tuple[str, ...] = ()  # host names it answers to; () with public: to any
    proxies: int = 0  # reverse proxies in front whose X-Forwarded headers count
    origins: tuple[str, ...] = ()  # other origins whose pages may use the API

    picture_bytes: int = 20 * _MIB
    frame_bytes: int = 1 * _MIB
    clip_bytes: int = 500 * _MIB
    pixels: int = 25_000_000  # of a picture or of one frame of a clip
    clip_seconds: float = 600.0
    clip_pixels: float = 4e10  # of all frames together: ten minutes of 1920 x 1080 at 30 frames/s

    queue: int = 20  # jobs waiting or running
    lease_seconds: float = 30.0  # longer than the slowest single frame
    tries: int = 5  # so that a job outlives three killed workers
    job_seconds: float = 14400.0  # of processor time for one try, all cores together
    worker_memory: int = 6144 * _MIB

    picture_hours: float = 1.0  # results are kept so long
    clip_hours: float = 24.0
    quota_bytes: int = 5120 * _MIB  # of all results; the oldest go first
    spare_bytes: int = 256 * _MIB  # of the disk that stay free

    slot_seconds: float = 0.5  # a request waits so long for a core, then is told to come back
    picture_rate: str = "40 per second"  # per address, as flask-limiter writes it
    frame_rate: str = "60 per second"
    clip_rate: str = "20 per minute"
    other_rate: str = "100 per second"

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder.absolute())
        object.__setattr__(self, "origins", tuple(map(_origin, self.origins)))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                continue
            if not (value > 0 or (value == 0 and field.name in _MAY_BE_NONE)):
                raise ValueError(f"the setting {field.name} must be above 0, not {value}")

    @property
    def uploads(self) -> Path:
        """Folder of clips that wait for their job."""
        return self.folder / "uploads"

    @property
    def results(self) -> Path:
        """Folder of what was found."""
        return self.folder / "results"

    @property
    def database(self) -> Path:
        """The jobs' SQLite file."""
        return self.folder / "jobs.sqlite"

    def make_folders(self) -> None:
        """Make the folders where they are missing.

        Raises:
            OSError: they cannot be made.
        """
        for folder in (self.uploads, self.results):
            folder.mkdir(parents=True, exist_ok=True)

    def to_json(self) -> str:
        """The settings as one JSON object."""
        return json.dumps(dataclasses.asdict(self) | {"folder": str(self.folder)})

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """The settings that `to_json` wrote, or some of them; the others are default.

        Raises:
            ValueError: the text is no JSON object, names a setting that does not exist, or gives
                one a value of another kind.
        """
        try:
            raw: Any = json.loads(text)
        except json.JSONDecodeError as fault:
            raise ValueError(f"{VARIABLE} must hold one JSON object: {fault}") from fault
        if not isinstance(raw, dict):
            raise ValueError(f"{VARIABLE} must hold one JSON object")
        usual = {field.name: field.default for field in dataclasses.fields(cls)}
        for name in raw:
            if name not in usual:
                raise ValueError(f"no setting {name!r}; there are {', '.join(sorted(usual))}")
        return cls(**{name: _value(name, value, usual[name]) for name, value in raw.items()})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings in the variable `POSEGRAM_WEB`; the defaults where it is not set."""
        found = (os.environ if environment is None else environment).get(VARIABLE, "{}")
        return cls.from_json(found)


_MAY_BE_NONE = {"cores", "proxies", "spare_bytes"}
_USUAL_PORTS = {"http": 80, "https": 443}  # which browsers leave out
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[a-z0-9][a-z0-9._-]*|\[[0-9a-f:.]+\])"
    r"(:(?P<port>[0-9]{1,5}))?"
)


def _origin(text: str) -> str:
    """An origin as browsers write it: lower case, without the usual port of its scheme.

    Raises:
        ValueError: it is none, or one that no page has.
    """
    found = _ORIGIN.fullmatch(text.lower())
    port = int(found["port"] or 1) if found else 0
    # pages that use a WebSocket are of http all the same: ws:// would never match one
    if found is None or not 0 < port < 65536 or found["scheme"] in ("ws", "wss"):
        raise ValueError(
            "an origin is a scheme, a host and perhaps a port, such as http://localhost:3000,"
            f" not {text!r}"
        )
    shown = found["port"] and port != _USUAL_PORTS.get(found["scheme"])
    return f"{found['scheme']}://{found['host']}" + (f":{port}" if shown else "")


def _value(name: str, value: Any, usual: Any) -> Any:
    """A JSON value as the setting holds it, whose default is `usual`.

    Raises:
        ValueError: it is of another kind.
    """
    made = tuple(value) if isinstance(value, list) else value
    kind, words = next(pair for own, *pair in _KINDS if isinstance(usual, own))
    odd = isinstance(value, list) and not all(isinstance(each, str) for each in value)
    if odd or not isinstance(made, kind) or isinstance(made, bool) is not isinstance(usual, bool):
        raise ValueError(f"the setting {name} is {words}, not {json.dumps(value)}")
    return Path(made) if isinstance(usual, Path) else made


_KINDS: tuple[tuple[Any, Any, str], ...] = (  # of a default, of its value in JSON, in words
    (tuple, tuple, "a list of texts"),
    (Path, str, "a path"),
    (str, str, "a text"),
    (bool, bool, "true or false"),
    (int, int, "a whole number"),
    (float, (int, float), "a number"),
)
