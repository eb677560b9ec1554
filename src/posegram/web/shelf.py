"""The models on offer: their cards, and one loaded copy of each that was asked for."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from posegram.infer.load import BUNDLED, DEFAULT, file_of, load, load_network
from posegram.infer.rcnn_load import NAME as RCNN
from posegram.infer.rcnn_load import is_rcnn
from posegram.models import published
from posegram.pose import Card, Estimate

__all__ = ["Shelf", "named"]

_RCNN_NOTE = "Keypoint R-CNN: careful and slow, seconds a picture on a processor"
_RCNN_INSTALL = "pip install 'posegram[rcnn]'"
_RCNN_FETCH = f"posegram predict PHOTO --model {RCNN}"  # fetches the weights, once
_RCNN_FILES = "keypointrcnn_resnet50_fpn_coco-*.pth"  # torchvision's name for them

_log = logging.getLogger("posegram.web")


@dataclass(frozen=True)
class Shelf:
    """Models by name; each is loaded on first use, once for all threads."""

    sources: dict[str, str]  # name -> what `load` takes; the default model first
    detector: str = ""  # as `load` takes it
    threads: int = 1
    loaded: dict[str, Estimate] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=dict)
    locks: dict[str, threading.Lock] = field(default_factory=dict)  # held while a model loads

    @classmethod
    def of(cls, models: tuple[str, ...], *, detector: str = "", threads: int = 1) -> Shelf:
        """The models that were asked for, the first one as default, then the bundled ones.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: two of them have one name.
        """
        sources = named(models)
        cards = _bundled()
        for name in (*cards, RCNN):
            sources.setdefault(name, name)
        locks = {name: threading.Lock() for name in sources}
        # a file of the user's may have a bundled model's name: then its own card counts
        cards = {name: card for name, card in cards.items() if sources[name] == name}
        return cls(sources, detector, threads, cards=cards, locks=locks)

    @property
    def default(self) -> str:
        """Name of the model that is used when none is named."""
        return next(iter(self.sources))

    def estimate(self, name: str = "") -> Estimate:
        """One of the models, loaded; the default without a name.

        Raises:
            ImportError: it needs an extra that is not installed.
            ValueError: no model on offer has that name, or its weights are not here.
        """
        name = self.known(name)
        if name in self.loaded:  # nobody waits while another model loads
            return self.loaded[name]
        with self.locks[name]:
            if name not in self.loaded:
                self.loaded[name] = self._load(name)
            return self.loaded[name]

    def _load(self, name: str) -> Estimate:
        source = self.sources[name]
        if source == RCNN and not _rcnn_runs():
            raise ImportError(f"Keypoint R-CNN needs torch: {_RCNN_INSTALL}")
        if source == RCNN and not _rcnn_weights():  # a visitor should not wait for the download
            raise ValueError(
                f"the weights of {name} are not on this server; {_RCNN_FETCH} fetches them"
            )
        try:
            detector = "" if is_rcnn(source) else self.detector
            return load(source, threads=self.threads, detector=detector)
        except FileNotFoundError as fault:
            _log.error("%s", fault)
            raise ValueError(f"the weights of {name} are not on this server") from fault

    def known(self, name: str = "") -> str:
        """The name itself, or that of the default model.

        Raises:
            ValueError: no model on offer has that name.
        """
        name = name or self.default
        if name not in self.sources:
            raise ValueError(f"no model of that name; there are {', '.join(self.sources)}")
        return name

    def entries(self, milliseconds: dict[str, float]) -> list[dict[str, Any]]:
        """What GET /v1/models says of each; `milliseconds` are those measured by name."""
        return [self._entry(name, milliseconds.get(name)) for name in self.sources]

    def _entry(self, name: str, milliseconds: float | None) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": name,
            "default": name == self.default,
            "available": True,
            "missing": None,
            "install": None,
            "milliseconds": None if milliseconds is None else round(milliseconds, 1),
        }
        if self.sources[name] == RCNN:
            return entry | {"title": _RCNN_NOTE, "kind": "rcnn"} | _rcnn_lacks()
        card, path = self.card(name), file_of(self.sources[name])
        return entry | {
            "kind": card.kind,
            "size": list(card.size),
            "bytes": path.stat().st_size,
            "skeleton": card.skeleton.name,
            "joints": list(card.skeleton.joints),
            "licence": card.licence,
            "data": list(card.data),
            "scores": card.scores,
        }

    def card(self, name: str) -> Card:
        """The card of a model on offer; a file of Keypoint R-CNN is loaded for it."""
        if name not in self.cards:
            source = self.sources[name]
            whole = is_rcnn(source) or name in self.loaded
            made: Any = self.estimate(name) if whole else None
            self.cards[name] = made.card if whole else load_network(source, threads=1)[0]
        return self.cards[name]


def named(models: tuple[str, ...]) -> dict[str, str]:
    """What each model is called on the pages -> what `load` takes; "" is the default model.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: two of them have one name.
    """
    sources: dict[str, str] = {}
    for model in models or ("",):
        name = _name(model)
        if name in sources:
            raise ValueError(f"two models would be called {name!r}: rename one file")
        sources[name] = str(Path(model).absolute()) if _is_file(model) else model
    return sources


def _is_file(model: str) -> bool:
    return model not in ("", RCNN) and model not in BUNDLED


def _name(model: str) -> str:
    """What a model is called on the pages: a bundled name, or its file's without suffix."""
    if not _is_file(model):
        return model or DEFAULT
    if not Path(model).is_file():
        known = ", ".join(sorted(BUNDLED))
        raise FileNotFoundError(f"there is no model {model!r}: no such file; bundled are {known}")
    return Path(model).stem


@cache
def _bundled() -> dict[str, Card]:
    """The cards of the bundled models that this installation holds."""
    found = {}
    for name in BUNDLED:
        with suppress(FileNotFoundError):
            found[name], _ = load_network(name, threads=1)
    return found


def _rcnn_lacks() -> dict[str, Any]:
    """What Keypoint R-CNN lacks here, as its entry says it; nothing where it can run."""
    if not _rcnn_runs():
        return {"available": False, "missing": "packages", "install": _RCNN_INSTALL}
    if not _rcnn_weights():
        return {"available": False, "missing": "weights", "install": _RCNN_FETCH}
    return {}


def _rcnn_weights() -> bool:
    """Whether Keypoint R-CNN's weights are here, where `published.find` takes them from."""
    named = os.environ.get(published.VARIABLE)
    if named:
        return Path(named).expanduser().is_file()
    return any(published.cache().glob(_RCNN_FILES))


def _rcnn_runs() -> bool:
    """Whether Keypoint R-CNN's packages are installed; looks without importing them."""
    return all(find_spec(name) is not None for name in ("torch", "torchvision"))
