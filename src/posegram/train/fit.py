"""One training run: data in, a folder with checkpoints, curves, pictures and an ONNX file out."""

from __future__ import annotations

import json
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from posegram.data import coco, door
from posegram.data.split import split
from posegram.data.stream import save_text, sweep
from posegram.files import replacing
from posegram.models import KINDS
from posegram.pose import Card, Sample
from posegram.train import (
    compare,
    curves,
    detect,
    distill,
    found,
    ranks,
    rcnn,
    rcnn_export,
    rcnn_photos,
    rcnn_start,
    report,
    scenes,
    semi,
    skeletons,
    start,
)
from posegram.train.batches import Crops, loader
from posegram.train.calibrate import calibrate
from posegram.train.config import Config
from posegram.train.export import export
from posegram.train.keepers import Epochs, keepers, kept
from posegram.train.module import PoseModule, measurable, right_joints, summary
from posegram.train.module import card_for as pose_card
from posegram.train.pairs import Pairs
from posegram.train.pairs import people as unlabelled
from posegram.train.quicken import quicken

_FREE = {"images", "threads", "workers", "cache", "kernels"}  # a resumed run may change them

__all__ = ["card_for", "fit", "sets"]

_ADVICE = (  # Lightning's, that does not apply here
    "Checkpoint directory .* exists and is not empty",  # it holds the run's other files
    ".* does not have many workers",  # `workers` is the user's to choose
    "The number of training batches .* is smaller than the logging interval",
    r"Found \d+ module\(s\) in eval mode",  # frozen ones
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # its own use of torch
)


def card_for(config: Config) -> Card:
    """The card of the network that the settings describe.

    Raises:
        ValueError: there is no such network or skeleton, or they do not go with other settings.
    """
    return _task(config).card(config)


def sets(config: Config) -> tuple[list[Sample], list[Sample]]:
    """The people to train on and those to validate on.

    Raises:
        ValueError: no data set is named, nobody on one side has a joint of the skeleton, or which
            joints are left/right twins is in doubt.
    """
    if not config.train:
        raise ValueError("no data to train on; give train=reader:path, such as train=lsp:data/lsp")
    people = skeletons.people(config, config.train)
    if config.valid:
        train, valid = people, skeletons.people(config, config.valid)
    else:
        train, valid = split(people, share=config.split, seed=config.seed)
    if config.people:
        chosen = np.random.default_rng(config.seed).permutation(len(train))[: config.people]
        train = [train[n] for n in sorted(chosen.tolist())]
    skeleton = skeletons.named(config)
    skeletons.require(skeleton, train, "train on")
    skeletons.require(skeleton, valid, "validate on")
    skeletons.check(config, skeleton, train)
    return train, valid


def fit(config: Config, *, progress: bool = True) -> Path:
    """Train until the schedule or early stopping ends it; returns the exported ONNX file.

    A run that was killed goes on from its last epoch when it is started again with the same
    settings; a finished run is only evaluated and exported again. Under torchrun, process 0 writes.

    Raises:
        ValueError: the folder holds a run with other settings, or they are for one process alone.
    """
    ranks.begin(config)
    lightning.seed_everything(config.seed, verbose=False)
    run = config.run
    _refuse_others(run, config)
    start.require(config)
    train, valid = (task := _task(config)).sets(config)
    door.require_pictures((s.image for s in (*train, *valid)), "images=FOLDER says where")
    batches = [loader(pictures, config) for pictures in _pictures(task, config, train, valid)]
    if config.threads:
        torch.set_num_threads(min(config.threads, os.cpu_count() or 1))
    module = task.module(task.card(config), config, len(batches[0]))
    if isinstance(module, rcnn.RcnnModule):
        module.photos = valid
    some = partial(_some, batches[0].dataset)
    module.fresh = task.start(module.network, config, module.card, some) or set()
    start.hold(module.network, config, 0, module.fresh)
    module.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    kernels = quicken(module.network, config)
    precision = ranks.agreed(start.precision(module, config))
    watch = [Epochs(batches[0]), curves.Record(run), *keepers(config, task.watched)]
    if config.semi != "off":
        watch.insert(2, semi.Guard(run))  # judges what the recorder wrote
    if progress:
        watch.append(curves.Progress(config.batch))
    if ranks.rank() == 0:
        _open(task, config, (precision, kernels), train, valid)
    with warnings.catch_warnings():
        for advice in _ADVICE:
            warnings.filterwarnings("ignore", advice)
        trainer = _trainer(config, precision, watch, progress=progress)
        last = kept(run)
        trainer.fit(module, batches[0], batches[1], ckpt_path=last, weights_only=False)
    if ranks.rank():
        return run / f"{config.name}.onnx"
    best = _validated(run / "best.ckpt", module, batches[1])
    module.card = task.calibrated(module)
    _keep(run / "best.ckpt", best | {"card": module.card.to_json()})
    return task.finish(config, module, train, batches[1])


def _task(config: Config) -> _Task:
    if config.network not in KINDS:
        raise ValueError(f"no network {config.network!r}; there are {', '.join(sorted(KINDS))}")
    kind = KINDS[config.network]
    if config.semi == "off" and not config.distill:
        return {"detector": _DETECTOR, "rcnn": _RCNN}.get(kind, _POSE)
    if kind != "heatmap":
        name = "distill" if config.distill else "semi"
        raise ValueError(f"{name} needs a network with heatmaps (lite), not {config.network!r}")
    return replace(_POSE, module=distill.DistillModule if config.distill else semi.SemiModule)


def _pictures(
    task: _Task, config: Config, train: Sequence[Any], valid: Sequence[Any]
) -> tuple[Any, Any]:
    """What training and validation look at."""
    if task.module is not semi.SemiModule:
        first = task.pictures(train, config, training=True)
    else:
        first = _crops(train, config, training=True, held={s.image for s in valid})
    return first, task.pictures(valid, config, training=False)


def _some(pictures: Any) -> dict[str, Any]:
    """Up to 64 training people as they will be trained on: arrays as of `Crops`, (B, ...)."""
    rows = np.linspace(0, len(pictures) - 1, min(64, len(pictures))).astype(int)
    items = [pictures[int(n)] for n in rows]
    return {key: np.stack([item[key] for item in items]) for key in items[0]}


def _refuse_others(run: Path, config: Config) -> None:
    """See that the run's folder is free or belongs to these settings."""
    kept = run / "config.toml"
    if kept.exists():
        theirs = Config.read(kept)
        keys = [k for k in vars(config) if getattr(theirs, k) != getattr(config, k)]
        if set(keys) - _FREE:
            raise ValueError(
                f"{run} holds a run with other settings ({', '.join(keys)}); "
                "give another name=..., or remove the folder"
            )


def _keep_people(run: Path, people: Sequence[Sample]) -> None:
    """Write whom the run validates on as `posegram evaluate` and `export` take them."""
    resolved = [replace(s, image=s.image.resolve()) for s in people]
    if len({s.skeleton for s in resolved}) == 1:
        coco.write(run / "valid.json", resolved, run.resolve())


def _crops(
    people: Sequence[Sample], config: Config, *, training: bool, held: Collection[Path] = ()
) -> Crops:
    """The set's crops; in learning without labels those of others beside, never of held photos."""
    disk = config.run / "cache" / ("train" if training else "valid")
    skeleton = skeletons.named(config)
    if training and config.semi != "off":
        return Pairs(people, unlabelled(config, held), skeleton, config, disk=disk)
    return Crops(people, skeleton, config, training=training, disk=disk)


def _trainer(
    config: Config, precision: str, watch: list[Any], *, progress: bool
) -> lightning.Trainer:
    # its notes on processors that are not there and on programs to try are no news of the run
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    return lightning.Trainer(
        accelerator="auto",
        devices=ranks.devices(),
        num_nodes=ranks.count() // ranks.devices(),
        strategy="ddp" if ranks.count() > 1 else "auto",
        use_distributed_sampler=False,  # `Shuffle` shares out rows
        precision=cast(Any, precision),
        max_epochs=config.epochs,
        gradient_clip_val=config.clip or None,
        callbacks=watch,
        logger=TensorBoardLogger(config.run, name="", version="events"),
        num_sanity_val_steps=0,
        enable_progress_bar=progress,
        enable_model_summary=False,
        log_every_n_steps=20,
    )


def _open(
    task: _Task, config: Config, how: tuple[str, str], train: Sequence[Any], valid: Sequence[Any]
) -> None:
    """Make the run's folder, with its settings, what it runs on and whom it validates on."""
    run, (precision, kernels) = config.run, how
    run.mkdir(parents=True, exist_ok=True)
    sweep(run)
    save_text(run / "config.toml", config.to_toml())
    if task.keep:
        task.keep(run, valid)
    facts = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": platform.processor(),
        "torch": version("torch"),
        "lightning": version("lightning"),
        "threads": torch.get_num_threads(),
        "processes": ranks.count(),
        "precision": precision,
        "kernels": kernels,
        "people to train on": len(train),
        "people to validate on": len(valid),
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    save_text(run / "environment.json", json.dumps(facts, indent=1))


def _validated(path: Path, module: PoseModule, valid: Any) -> dict[str, Any]:
    """The best checkpoint, after its weights have answered for all of the validation set."""
    best: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(best["state_dict"])
    module.cpu().eval()
    module.on_validation_epoch_start()
    with torch.no_grad():
        for number, batch in enumerate(valid):
            module.validation_step(batch, number)
    return best


def _calibrated(module: PoseModule) -> Card:
    """The card with the calibration and the numbers of the last validation."""
    seen, skeleton = module.predictions(), module.card.skeleton
    labelled, known = measurable(seen, skeleton)
    sure = calibrate(seen["logit"][known][labelled[known]], right_joints(seen, skeleton))
    scores = {key: round(float(value), 4) for key, value in summary(seen, skeleton).items()}
    return replace(module.card, calibration=sure, scores=scores)


def _finish(config: Config, module: Any, train: Sequence[Sample], valid: Any) -> Path:
    """Draw results, write the model card and export; returns the ONNX file."""
    seen = module.predictions()
    samples = valid.dataset.samples
    judged = compare.judge(seen, samples, module.card.skeleton)
    compare.save(config.run / "judged.npz", judged)
    disk = config.run / "cache" / "train"
    crops = Crops(train, module.card.skeleton, config, training=True, disk=disk)
    compare.with_start(config, seen, samples, judged, partial(_some, crops))
    report.results(config.run / "results", seen, samples, module.card)
    mean = report.baseline(train, samples, seen, module.card)
    joints = report.table(seen, mean, module.card.skeleton)
    command = f"posegram train {config.run / 'config.toml'}"
    report.write_card(config.run / "card.md", module.card, joints, command)
    out = config.run / f"{config.name}.onnx"
    shown = np.stack([valid.dataset[i]["crop"] for i in range(min(16, len(samples)))])
    return export(module.network, module.card, out, crops=shown)


def _keep(path: Path, checkpoint: dict[str, Any]) -> None:
    """Replace a checkpoint, whole or not at all."""
    with replacing(path) as part, part.open("wb") as file:
        torch.save(checkpoint, file)


@dataclass(frozen=True)
class _Task:
    """What a run does in another way for another kind of network."""

    card: Callable[[Config], Card]
    sets: Callable[[Config], tuple[Sequence[Any], Sequence[Any]]]
    pictures: Callable[..., Any]  # (part of a set, settings, *, training) -> Dataset
    module: type[PoseModule]
    calibrated: Callable[..., Card]  # after a validation
    finish: Callable[..., Path]  # pictures, card.md, the exported file
    keep: Callable[[Path, Sequence[Any]], None] | None = None  # writes down what it validates on
    watched: str = "valid_loss"  # the number that says which epoch is best
    start: Callable[..., set[str] | None] = start.load  # fills the network with its first weights


_POSE = _Task(pose_card, sets, _crops, PoseModule, _calibrated, _finish, keep=_keep_people)
_DETECTOR = _Task(
    detect.card_for,
    scenes.sets,
    scenes.Scenes,
    detect.DetectModule,
    detect.calibrated,
    found.finish,
    watched="valid_ap50",  # what to score depends on the boxes said, so the loss tells less
)
_RCNN = _Task(
    rcnn.card_for,
    rcnn_photos.sets,
    rcnn_photos.pictures,
    rcnn.RcnnModule,
    rcnn.calibrated,
    rcnn_export.finish,
    keep=rcnn_export.keep,
    watched="valid_ap",
    start=rcnn_start.load,
)
