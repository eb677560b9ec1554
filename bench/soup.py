"""One network out of two checkpoints of a run: the mean of their weights.

    python bench/soup.py runs/small-m/best.ckpt runs/small-m/last.ckpt OUT.ckpt

The card, and so the calibration of the scores, is the first one's. Checkpoints of one
run lie in one valley of the loss, and the mean of two may be better than either (Wortsman et al.,
ICML 2022).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from posegram import models


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    (card, one), (_, two) = (models.load_weights(Path(name)) for name in sys.argv[1:3])
    other = two.state_dict()
    mean = {
        k: (v + other[k]) / 2 if v.is_floating_point() else v for k, v in one.state_dict().items()
    }
    kept = {f"network.{k}": v for k, v in mean.items()}
    torch.save({"card": card.to_json(), "state_dict": kept}, sys.argv[3])


if __name__ == "__main__":
    main()
