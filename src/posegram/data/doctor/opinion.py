"""Labels against a model: people mirrored, joints exchanged, joints or people somewhere else.

A model errs, too, so it is heard only where it is sure, and only about clear distances. Distances
are in torso lengths, capped, and weighted by the model's probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posegram.data.doctor.annotations import Annotations, Bools, Doubles
from posegram.data.doctor.findings import Finding, named, of_people
from posegram.data.doctor.limbs import Build, exchanges

__all__ = ["Opinion", "judge"]

_TORSO = 0.28  # of the body's extent, where the torso is not seen whole
_CAP = 0.6  # torso lengths beyond which it makes no difference how wrong a place is
_FEW = 4  # joints that a comparison needs
# gain by turning a person, distance then left, mean score; never certain: seen by eye, about one
# in seven of the surest in LSP-extended is the model's mistake
_TURNED = (0.3, 0.125, 0.8)
_KNOWN = 0.3  # score below which a model is not heard at all


@dataclass(frozen=True, eq=False)
class Opinion:
    """A model's joints for everybody, in the order of the `Annotations`."""

    xy: Doubles  # (N, K, 2) image pixels; NaN where the model has no such joint
    score: Doubles  # (N, K) probability that the joint is right


@np.errstate(invalid="ignore", divide="ignore")  # NaN and infinity are unknown
def judge(people: Annotations, opinion: Opinion, made: Build | None = None) -> list[Finding]:
    """Where the labels disagree with a model that is sure.

    Args:
        people: the labels.
        opinion: the model's.
        made: the bodies' proportions; a limb that is oddly long makes a doubt a fault.

    Raises:
        ValueError: the opinion is of other people.
    """
    if opinion.xy.shape != people.xy.shape or opinion.score.shape != people.flag.shape:
        raise ValueError(f"an opinion {opinion.xy.shape} on people {people.xy.shape}")
    size = _sizes(people, opinion)
    far = _far(people.places, opinion, size)
    weight = np.where(np.isfinite(far) & (opinion.score > _KNOWN), opinion.score, 0.0)
    capped = np.minimum(np.nan_to_num(far), _CAP)
    mirrored, said = _mirrored(people, opinion, size)
    exchanged, told = _exchanged(people, opinion, size, mirrored)
    lost = _lost(people, capped, weight) & ~mirrored & ~exchanged
    rest = ~(mirrored | exchanged | lost)
    return [
        *said,
        *told,
        *of_people(
            people,
            "elsewhere",
            "likely",
            lost,
            lambda *_: "the model sees this person elsewhere",
            0.8,
        ),
        *_misplaced(people, opinion, far, rest, made),
        *_offset(people, opinion, far),
    ]


def _sizes(people: Annotations, opinion: Opinion) -> Doubles:
    """Length that distances are measured in, (N,) pixels: the model's torso, or a share."""
    bounds = people.bounds
    side = np.nan_to_num((bounds[:, 2:] - bounds[:, :2]).max(axis=1))
    theirs = np.where(np.isfinite(opinion.xy), opinion.xy, np.nan)
    reach = np.nan_to_num(_ptp(theirs))
    # a single label far away must not make everything look near
    side = np.where(reach > 0, np.minimum(side, 1.5 * reach), side)
    torso = np.zeros(len(people))
    ends = ("left_shoulder", "right_hip")
    if set(ends) <= set(people.skeleton.joints):
        a, b = (opinion.xy[:, people.skeleton.index(joint)] for joint in ends)
        torso = np.nan_to_num(np.linalg.norm(a - b, axis=1))
    return np.asarray(np.maximum(np.maximum(torso, _TORSO * side), 1.0))


def _ptp(xy: Doubles) -> Doubles:
    """Longer side of everybody's extent, (N,); -inf for nobody."""
    finite = np.isfinite(xy)
    low = np.where(finite, xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(finite, xy, -np.inf).max(axis=1, initial=-np.inf)
    return np.asarray(np.where(high >= low, high - low, 0.0).max(axis=1, initial=0.0))


def _far(places: Doubles, opinion: Opinion, size: Doubles) -> Doubles:
    """Distance of every label from the model's joint, (N, K) torso lengths; NaN where unknown."""
    return np.asarray(np.linalg.norm(places - opinion.xy, axis=2) / size[:, None])


def _compare(
    people: Annotations,
    opinion: Opinion,
    size: Doubles,
    order: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> tuple[Doubles, Doubles, Bools]:
    """Mean capped distance as labelled and in another order, (N,) each; who has what it takes."""
    moved = order != np.arange(len(order))
    straight = _far(people.places, opinion, size)[:, moved]
    other = _far(people.places[:, order], opinion, size)[:, moved]
    sure = np.where(np.isfinite(straight) & np.isfinite(other), opinion.score[:, moved], 0.0)
    sure = np.where(sure > _KNOWN, sure, 0.0)
    total = np.maximum(sure.sum(axis=1), 1e-9)
    means = [
        (np.minimum(np.nan_to_num(d), _CAP) * sure).sum(axis=1) / total for d in (straight, other)
    ]
    return means[0], means[1], (sure > 0).sum(axis=1) >= min(_FEW, int(moved.sum()))


def _mirrored(people: Annotations, opinion: Opinion, size: Doubles) -> tuple[Bools, list[Finding]]:
    """People whom the model fits clearly better with all left and right exchanged."""
    order = people.skeleton.flipped
    if (order == np.arange(len(order))).all():
        return np.zeros(len(people), dtype=np.bool_), []
    straight, other, able = _compare(people, opinion, size, order)
    gain = straight - other
    both = (people.usable & people.usable[:, order])[:, order != np.arange(len(order))]
    score = np.where(both, opinion.score[:, order != np.arange(len(order))], 0.0).sum(axis=1)
    score = score / np.maximum(both.sum(axis=1), 1)
    likely = able & (gain > _TURNED[0]) & (other < _TURNED[1]) & (score > _TURNED[2])
    look = able & (gain > 0.1) & ~likely

    def say(row: int, _: tuple[str, ...]) -> str:
        return (
            f"with left and right exchanged the joints lie {other[row]:.2f} torso from the "
            f"model's, {straight[row]:.2f} as labelled"
        )

    badness = np.clip(gain / _CAP, 0, 1)
    found = [
        *of_people(people, "mirrored", "likely", likely, say, badness),
        *of_people(people, "mirrored", "look", look, say, badness),
    ]
    return likely | look, found


def _exchanged(
    people: Annotations, opinion: Opinion, size: Doubles, but: Bools
) -> tuple[Bools, list[Finding]]:
    """Joints that the model fits clearly better exchanged, the best exchange of each person."""
    best = np.zeros(len(people))
    after = np.ones(len(people))
    words = np.full(len(people), "", dtype=object)
    moved_by = np.zeros(people.flag.shape, dtype=np.bool_)
    for text, order in exchanges(people.skeleton):
        straight, other, able = _compare(people, opinion, size, order)
        moved = order != np.arange(len(order))
        total = (straight - other) * moved.sum()  # so that a whole arm beats its wrist
        hits = able & people.usable[:, moved].all(axis=1) & ~but & (total > best)
        hits &= (straight - other > 0.25) & (other < 0.25)
        best[hits], after[hits], words[hits], moved_by[hits] = total[hits], other[hits], text, moved
    sure = np.where(moved_by, opinion.score, 1.0).min(axis=1)
    likely = (best > 0) & (after < 0.15) & (sure > 0.75)

    def say(row: int, _: tuple[str, ...]) -> str:
        return f"{words[row]} seem exchanged, going by the model ({after[row]:.2f} torso if so)"

    badness = np.clip(best / 2, 0, 1)
    found = [
        *of_people(people, "swapped-joints", "likely", moved_by & likely[:, None], say, badness),
        *of_people(people, "swapped-joints", "look", moved_by & ~likely[:, None], say, badness),
    ]
    return best > 0, found


def _lost(people: Annotations, capped: Doubles, weight: Doubles) -> Bools:
    """People nearly all of whose joints the model sees far away, and is sure."""
    count = (weight > 0).sum(axis=1)
    mean = (capped * weight).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    sure = weight.sum(axis=1) / np.maximum(count, 1)
    return np.asarray((count >= _FEW) & (mean > 0.85 * _CAP) & (sure > 0.7))


def _misplaced(
    people: Annotations, opinion: Opinion, far: Doubles, rest: Bools, made: Build | None
) -> list[Finding]:
    """Joints far from where a model that is sure sees them."""
    away, score = np.nan_to_num(far), opinion.score
    odd = _odd(people, made)
    fault = ((score > 0.95) & (away > _CAP)) | ((score > 0.6) & (away > _CAP) & odd)
    look = (score > 0.8) & (away > _CAP) & ~fault.any(axis=1, keepdims=True)

    def say(row: int, joints: tuple[str, ...]) -> str:
        names = people.skeleton.joints
        most = max(joints, key=lambda joint: away[row, names.index(joint)])
        row_of = names.index(most)
        return (
            f"the model sees {named(joints)} elsewhere, {most} by {away[row, row_of]:.1f} torso "
            f"(score {score[row, row_of]:.2f})"
        )

    worst = np.where(score > 0.6, np.minimum(away, 2) * score, 0).max(axis=1) / 2
    return [
        *of_people(people, "misplaced", "likely", fault & rest[:, None], say, worst),
        *of_people(people, "misplaced", "look", look & rest[:, None], say, worst),
    ]


def _odd(people: Annotations, made: Build | None) -> Bools:
    """Joints at the end of an oddly long limb, (N, K)."""
    odd = np.zeros(people.flag.shape, dtype=np.bool_)
    if made is None:
        return odd
    long = (made.excess > 1.3) & (made.odd > 2)
    for bone, (a, b) in enumerate(people.skeleton.edges):
        odd[:, a] |= long[:, bone]
        odd[:, b] |= long[:, bone]
    return odd


def _offset(people: Annotations, opinion: Opinion, far: Doubles) -> list[Finding]:
    """One step by which labels and model differ all over the set."""
    near: Bools = np.nan_to_num(far, nan=9.0) < 0.1
    near &= opinion.score > 0.8
    if near.sum() < 200:
        return []
    step = np.median((people.xy - opinion.xy)[near], axis=0)
    if np.abs(step).max() < 0.75:
        return []
    text = f"labels lie {step[0]:+.1f}, {step[1]:+.1f} px beside the model's joints (median)"
    return [Finding("offset", "look", min(float(np.abs(step).max()) / 5, 1), text)]
