"""One network out of several: the mean of their weights.

    python bench/soup.py OUT.ckpt MODEL[=WEIGHT] MODEL[=WEIGHT]... [--valid RUN/config.toml]

Networks that went on from the same weights lie in one valley of the loss, and their mean may be
better than each (Wortsman et al., ICML 2022). All are checkpoints, or all are .onnx files of ours
or bundled models, in which batch normalisations are folded away. The card is the first one's; with
--valid the scores are calibrated anew on the people that the run validates on.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import torch

from posegram.pose import Card
from posegram.train import Config, start
from posegram.train.batches import Crops, loader
from posegram.train.calibrate import calibrate
from posegram.train.fit import sets
from posegram.train.module import PoseModule, measurable, right_joints


def main() -> None:
    words, _, valid = " ".join(sys.argv[1:]).partition(" --valid ")
    out, *models = words.split()
    if len(models) < 2:
        sys.exit(__doc__)
    card, mean = _mean([one.partition("=") for one in models])
    if valid:
        card = _calibrated(card, mean, Config.read(valid))
    kept = {f"network.{name}": value for name, value in mean.items()}
    torch.save({"card": card.to_json(), "state_dict": kept}, out)


def _mean(models: list[tuple[str, str, str]]) -> tuple[Card, dict[str, torch.Tensor]]:
    """Card of the first model and the weighted mean of all weights."""
    read = [start.read(start.path_of(name)) for name, _, _ in models]
    share = [float(weight or 1) for _, _, weight in models]
    card, first = read[0]
    if card is None or any(set(weights) != set(first) for _, weights in read):
        sys.exit("the models have no card, or other arrays than each other")
    mean = {
        name: sum(part * weights[name] for part, (_, weights) in zip(share, read, strict=True))
        / sum(share)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }
    return card, mean


def _calibrated(card: Card, weights: dict[str, torch.Tensor], config: Config) -> Card:
    """The card with scores calibrated on the run's validation people."""
    config = config.override({"workers": 0, "cache": "off"})
    module = PoseModule(card, config, 1)
    module.network.load_state_dict(weights)
    module.eval()
    people = sets(config)[1]
    crops = Crops(people, card.skeleton, config, training=False)
    with torch.no_grad():
        for number, batch in enumerate(loader(crops, config)):
            module.validation_step(batch, number)
    seen = module.predictions()
    labelled, known = measurable(seen, card.skeleton)
    sure = calibrate(seen["logit"][known][labelled[known]], right_joints(seen, card.skeleton))
    return replace(card, calibration=sure)


if __name__ == "__main__":
    main()
