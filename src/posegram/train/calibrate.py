"""Scores that mean something: logits to the probability that a joint is right."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from posegram.pose import Floats

__all__ = ["calibrate"]


def calibrate(logit: Floats, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of the logistic curve that fits best (Platt, 1999); (0, log-odds) if flat.

    Args:
        logit: (J,) confidence logits of joints.
        right: (J,) whether each joint was right.
    """
    if len(logit) == 0:
        return 1.0, 0.0
    share = float(np.clip(right.mean(), 1e-3, 1 - 1e-3))
    flat = float(np.log(share / (1 - share)))
    if np.ptp(logit) < 1e-6:
        return 0.0, flat
    middle, spread = float(logit.mean()), float(logit.std())
    standard = (logit.astype(np.float64) - middle) / spread
    # Platt's targets: where few joints can be parted without error, the curve stays gentle
    yes, no = int(right.sum()), int((~right).sum())
    target = np.where(right, (yes + 1) / (yes + 2), 1 / (no + 2))

    def cost(curve: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        raised = curve[0] * standard + curve[1]
        off = expit(raised) - target
        loss = np.logaddexp(0, raised) - target * raised
        return float(loss.mean()), np.array([(off * standard).mean(), off.mean()])

    slope, offset = minimize(cost, np.array([1.0, flat]), jac=True, method="BFGS").x
    return float(slope / spread), float(offset - slope * middle / spread)
