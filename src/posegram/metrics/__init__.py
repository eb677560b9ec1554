"""How good predictions are: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Callable

from posegram.metrics import bootstrap, calibration, oks, pck, protocols, report
from posegram.metrics.report import Case, Panel

__all__ = ["METRICS", "bootstrap", "calibration", "oks", "pck", "protocols", "report"]

# every metric makes a panel of numbers of a case, or says in a ValueError what the case lacks
METRICS: dict[str, Callable[[Case], Panel]] = {
    "error": protocols.error,
    "pck": protocols.pck_torso,
    "pckh": protocols.pckh_head,
    "ap": protocols.average_precision,
    "calibration": protocols.calibration,
}
