"""The dataset doctor: what sets of annotated people hold, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from posegram.data.doctor import copies as twins
from posegram.data.doctor.annotations import Annotations
from posegram.data.doctor.findings import Finding
from posegram.data.doctor.frames import frames
from posegram.data.doctor.limbs import build, limbs
from posegram.data.doctor.marks import beyond, marks
from posegram.data.doctor.opinion import Opinion, judge
from posegram.data.doctor.sides import sides

__all__ = ["JointCount", "PairCount", "Report", "check"]

_RULES: tuple[Callable[[Annotations], list[Finding]], ...] = (
    *(marks, frames, limbs, sides),
    *(twins.twice, twins.copied_labels),
)


@dataclass(frozen=True)
class JointCount:
    """How often one joint was labelled, and how."""

    joint: str
    labelled: int
    hidden: int
    outside: int  # of the picture; 0 where the picture is not at hand


@dataclass(frozen=True)
class PairCount:
    """A left/right pair: on whose side of the picture the left joint lies."""

    pair: tuple[str, str]
    both: int  # people with both labelled
    facing: float  # share of those whose left joint is on the picture's right, as seen from front


@dataclass(frozen=True, eq=False)
class Report:
    """What `check` found; no fault means that the sets can be trained on as they are."""

    sources: tuple[Annotations, ...]
    findings: tuple[Finding, ...]  # the worst first
    joints: tuple[JointCount, ...]
    pairs: tuple[PairCount, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that are more than worth a look."""
        return tuple(finding for finding in self.findings if finding.fault)

    @property
    def people(self) -> int:
        """How many people were examined."""
        return sum(len(source) for source in self.sources)

    @property
    def images(self) -> int:
        """How many pictures the sources name."""
        return len({image for source in self.sources for image in source.images})

    @property
    def present(self) -> int:
        """How many of them are at hand."""
        return len({i for source in self.sources for i in source.images if i.is_file()})

    def flagged(self) -> set[tuple[int, int]]:
        """Source and row of everybody with a fault of their own."""
        return {(f.source, f.person) for f in self.faults if f.person is not None}


def check(
    sources: Sequence[Annotations],
    *,
    copies: bool = True,
    opinions: Sequence[Opinion | None] = (),
) -> Report:
    """Everything that is wrong or worth a look in sets of people, the worst first.

    The kinds are those of `posegram.data.doctor.findings.KINDS`.

    Args:
        sources: from `posegram.data.doctor.annotations.load` or `gather`.
        copies: look for copied and damaged photos too, which decodes every picture.
        opinions: what a model thinks of each source, in their order; None where it was not asked.

    Raises:
        ValueError: opinions and sources do not count the same.
    """
    given = list(opinions) or [None] * len(sources)
    if len(given) != len(sources):
        raise ValueError(f"{len(given)} opinions on {len(sources)} sets of people")
    found: list[Finding] = []
    seen: set[int] = set()
    for number, (people, opinion) in enumerate(zip(sources, given, strict=True)):
        own = [finding for rule in _RULES for finding in rule(people)]
        if id(people.whole) not in seen:  # skeletons of one file share its pictures
            own += twins.files(people)
            seen.add(id(people.whole))
        if opinion is not None:
            own += judge(people, opinion, build(people))
        found += [replace(finding, source=number) for finding in _agreed(own)]
    if copies:
        found += twins.photos(sources)
    found.sort(key=lambda finding: -finding.weight)
    return Report(tuple(sources), tuple(found), _count_joints(sources), _count_pairs(sources))


def _agreed(findings: Sequence[Finding]) -> list[Finding]:
    """People mirrored by their face and by a model are so for certain."""
    count = Counter(one.person for one in findings if one.kind == "mirrored" and one.fault)
    return [
        replace(one, level="certain")
        if one.kind == "mirrored" and one.fault and count[one.person] > 1
        else one
        for one in findings
    ]


def _count_joints(sources: Iterable[Annotations]) -> tuple[JointCount, ...]:
    labelled: Counter[str] = Counter()
    hidden: Counter[str] = Counter()
    out: Counter[str] = Counter()
    for people in sources:
        past = people.usable & (beyond(people) > 0)
        for row, joint in enumerate(people.skeleton.joints):
            labelled[joint] += int(people.labelled[:, row].sum())
            hidden[joint] += int((people.flag[:, row] == 1).sum())
            out[joint] += int(past[:, row].sum())
    return tuple(JointCount(j, labelled[j], hidden[j], out[j]) for j in labelled)


def _count_pairs(sources: Iterable[Annotations]) -> tuple[PairCount, ...]:
    sides: dict[tuple[str, str], list[bool]] = {}
    for people in sources:
        for pair in people.skeleton.mirror:
            left, right = (people.places[:, people.skeleton.index(j), 0] for j in pair)
            step = left - right
            sides.setdefault(pair, []).extend((step[np.isfinite(step)] > 0).tolist())
    return tuple(PairCount(pair, len(s), float(np.mean(s))) for pair, s in sides.items() if s)
