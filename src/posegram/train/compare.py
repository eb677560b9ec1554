"""Before and after a fine-tuning, on the same people: numbers with intervals, a page, a picture."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from posegram import coords, heatmaps, image, models
from posegram.data.joints import familiar
from posegram.data.stream import save_text
from posegram.files import replacing
from posegram.metrics import pck
from posegram.metrics.bootstrap import (
    Interval,
    Mean,
    Statistic,
    compare,
    interval,
    means,
    verdict,
)
from posegram.metrics.pck import Mask
from posegram.pose import Card, Floats, Ints, Sample, Skeleton
from posegram.train import places, start
from posegram.train.config import Config
from posegram.train.module import measurable, torsos
from posegram.train.plots import plot
from posegram.train.skeletons import named

__all__ = ["Judged", "judge", "load", "page", "predict", "save", "whole", "with_start", "write"]

_log = logging.getLogger("posegram.train")


@dataclass(frozen=True, eq=False)
class Judged:
    """Which joints of which people were right: within 0.2 torso lengths of the truth."""

    right: Mask  # (N, K)
    counted: Mask  # (N, K) labelled, predicted, and of somebody who can be measured
    image: Ints  # (N,) photo of each person, 0 to I - 1

    @property
    def images(self) -> int:
        """How many photos, I."""
        return int(self.image.max()) + 1 if len(self.image) else 0


def judge(seen: dict[str, Floats], samples: Sequence[Sample], skeleton: Skeleton) -> Judged:
    """What of a validation was right.

    Args:
        seen: see `PoseModule.predictions`; a joint that is not predicted is NaN.
        samples: the people of `seen`, in its order.
        skeleton: names the K joints.
    """
    labelled, known = measurable(seen, skeleton)
    size = np.where(known, torsos(seen, skeleton), np.nan)
    away = pck.distance(seen["xy"], seen["truth"], size)
    numbers: dict[Path, int] = {}
    photos = [numbers.setdefault(s.image, len(numbers)) for s in samples]
    counted = labelled & known[:, None] & np.isfinite(seen["xy"]).all(axis=-1)
    with np.errstate(invalid="ignore"):
        return Judged(np.asarray(away <= 0.2), counted, np.array(photos, dtype=np.int64))


def with_start(
    config: Config,
    seen: dict[str, Floats],
    samples: Sequence[Sample],
    after: Judged,
    items: Callable[[], start.Items] | None = None,
) -> None:
    """Write what the run's start, as it is, would have said; one sentence where it cannot tell.

    Args:
        config: of the finished run.
        seen: its validation, see `PoseModule.predictions`.
        samples: the people of `seen`, in its order.
        after: what of it was right.
        items: training people, see `start.meet`.
    """
    if config.start in ("", "imagenet"):
        return
    card, weights = start.read(start.path_of(config.start))
    skeleton = named(config)
    names = {} if card is None else start.meet((card, weights), skeleton, config, items)
    if card is None or not names:
        why = f"has no joint that is called as one of {skeleton.name!r} or lies where it is"
        if card is None:
            why = "does not say which joints it has"
        elif config.match != "place":
            why = f"has no joint that is called as one of {skeleton.name!r}; try match=place"
        _log.warning("no results/finetune.md: the start %s %s", config.start, why)
        return
    xy = predict(weights, card, samples, skeleton, names)
    before = judge(seen | {"xy": xy}, samples, skeleton)
    write(config.run / "results", before, after, skeleton, config.start, names)


def save(path: Path, judged: Judged) -> None:
    """Keep a judgement as an .npz file, whole or not at all."""
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, right=judged.right, counted=judged.counted, image=judged.image)


def load(path: Path) -> Judged:
    """What `save` kept."""
    with np.load(path) as kept:
        return Judged(kept["right"], kept["counted"], kept["image"])


def whole(judged: Judged) -> Interval:
    """Percent of right joints, the mean over all and that of each joint (1 + K,), 95% intervals."""
    return interval(_statistic(judged), judged.images)


def _statistic(judged: Judged) -> Statistic:
    """Percent of right joints: the mean over all, then of each joint, (1 + K,)."""
    amount = judged.right * 100.0
    parts = [Mean(amount, judged.counted)]
    for k in range(amount.shape[1]):
        parts.append(Mean(amount[:, [k]], judged.counted[:, [k]]))
    return means(parts, judged.image)


def predict(
    weights: dict[str, torch.Tensor],
    card: Card,
    samples: Sequence[Sample],
    skeleton: Skeleton,
    names: Mapping[str, str] | None = None,
) -> Floats:
    """What a network says in the samples' boxes, (N, K, 2) photo pixels in a skeleton.

    A joint that the network does not have is NaN.

    Args:
        weights: of the network.
        card: of the network.
        samples: N people.
        skeleton: names the K joints.
        names: joint of it -> joint of the network; by default see `places.called`.
    """
    if names is None:
        names = places.called(skeleton.joints, card.skeleton.joints)
    network = models.answering(models.filled(card, weights), card)
    found = np.full((len(samples), len(skeleton), 2), np.nan, dtype=np.float32)
    here = [skeleton.index(joint) for joint in names]
    there = [card.skeleton.index(joint) for joint in names.values()]
    for row, sample in enumerate(samples):
        box = sample.box[None]
        crop, back = coords.crop(image.read(sample.image), box, card.size, margin=card.margin)
        xy, _ = coords.decode(network(crop), card.kind, card.size, heatmaps.spreads(card.skeleton))
        found[row, here] = coords.move(xy, back)[0, there]
    return found


def write(
    folder: Path,
    before: Judged,
    after: Judged,
    skeleton: Skeleton,
    source: str,
    names: Mapping[str, str] | None = None,
) -> None:
    """Write finetune.md and finetune.png, both networks on the validation people; as `page`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_text(folder / "finetune.md", page(before, after, skeleton, source, names))
    _draw(folder / "finetune.png", before, after, skeleton)


def page(
    before: Judged,
    after: Judged,
    skeleton: Skeleton,
    source: str,
    names: Mapping[str, str] | None = None,
) -> str:
    """The comparison as Markdown.

    Args:
        before: of the start, on the joints that it knows.
        after: of the fine-tuned network.
        skeleton: names the K joints.
        source: what was started from.
        names: joint -> joint of the start, for those that it knows.
    """
    lines = [
        "# Before and after",
        "",
        f"`{source}` as it is against the fine-tuned network: {len(after.right)} people in "
        f"{after.images} photos, kept apart from training. Percent of joints within 0.2 torso "
        "lengths; 95 % bootstrap intervals, whole photos drawn again. A joint that the start does "
        "not have is new: it has no number before and no part in **all**.",
        "",
        "| joint | labelled | before | after | after - before | |",
        "|---|---|---|---|---|---|",
        *_rows(before, after, skeleton),
    ]
    then = whole(after).value[1:]
    fresh = [f"{skeleton.joints[k]} {then[k]:.1f} %" for k in np.flatnonzero(_new(before, after))]
    if fresh:
        lines += ["", f"New: {', '.join(fresh)}."]
    return "\n".join([*lines, *_otherwise(names or {}), ""])


def _rows(before: Judged, after: Judged, skeleton: Skeleton) -> list[str]:
    """The table's rows: all joints that both have, then every joint."""
    old, new = _in_common(before, after)
    change = compare(_statistic(old), _statistic(new), after.images)
    then, now, each = whole(old), whole(new), whole(after)
    counts = [new.counted.sum(), *after.counted.sum(axis=0)]
    both: Mask = np.asarray(before.counted.any(axis=0))
    fresh = [False, *_new(before, after)]
    rows = []
    for n, name in enumerate(("**all**", *skeleton.joints)):
        has = both.any() if n == 0 else both[n - 1]
        was, gain = (_cell(one, n) if has else "-" for one in (then, change))
        words = verdict(change.low[n], change.high[n]) if has else "new" if fresh[n] else ""
        is_now = _cell(each if n else now, n)
        rows.append(f"| {name} | {counts[n]} | {was} | {is_now} | {gain} | {words} |")
    return rows


def _new(before: Judged, after: Judged) -> Mask:
    """Which joints only the later judgement has, (K,)."""
    return np.asarray(after.counted.any(axis=0) & ~before.counted.any(axis=0))


def _in_common(before: Judged, after: Judged) -> tuple[Judged, Judged]:
    """Both judgements over what both have an answer to: a joint that is new would lower one mean.

    Without anything in common both are over what the later one has.
    """
    shared = after.counted & before.counted
    counted = shared if shared.any() else after.counted
    return Judged(before.right, counted, after.image), Judged(after.right, counted, after.image)


def _otherwise(names: Mapping[str, str]) -> list[str]:
    """Sentences on the joints that the start calls otherwise."""
    others = {a: b for a, b in names.items() if a != b}
    spelt = {a: b for a, b in others.items() if familiar(a) == familiar(b)}
    near = {a: b for a, b in others.items() if a not in spelt}
    said = [", ".join(f"{a} ({b})" for a, b in some.items()) for some in (spelt, near)]
    lines = ["", f"The start calls otherwise: {said[0]}."] if spelt else []
    if near:
        lines += [
            "",
            f"Compared with the start's joint that lies nearest: {said[1]}. Where the two are "
            "different spots, their distance lowers the number before.",
        ]
    return lines


def _cell(found: Interval, n: int) -> str:
    if np.isnan(found.value[n]):
        return "-"
    return f"{found.value[n]:.1f} [{found.low[n]:.1f}, {found.high[n]:.1f}]"


def _draw(path: Path, before: Judged, after: Judged, skeleton: Skeleton) -> None:
    fresh = _new(before, after)
    old, new = _in_common(before, after)
    marked = [f"{j} (new)" if n else j for j, n in zip(skeleton.joints, fresh, strict=True)]
    names = ["all that both have" if fresh.any() else "all", *marked]
    with plot(path, (8, 0.42 * len(names) + 1.6)) as (_, axis):
        for shift, colour, label, judged, shared in (
            (-0.2, "tab:grey", "before", before, old),
            (0.2, "tab:blue", "after", after, new),
        ):
            found, mean = whole(judged), whole(shared)
            value, low, high = (
                np.nan_to_num(np.concatenate([getattr(mean, k)[:1], getattr(found, k)[1:]]))
                for k in ("value", "low", "high")
            )
            ends = np.maximum(np.stack([value - low, high - value]), 0)
            rows = np.arange(len(names)) + shift
            axis.barh(rows, value, 0.38, color=colour, label=label, xerr=ends)
        axis.set_yticks(range(len(names)), names)
        axis.invert_yaxis()
        axis.set(xlim=(0, 100), xlabel="joints within 0.2 torso lengths, %; 95 % intervals")
        axis.grid(axis="x", alpha=0.3)
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
