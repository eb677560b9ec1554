"""Joint angles in the image plane, in degrees, found by joint names in any skeleton.

An angle seen in a picture is the true one only where the limb lies parallel to the picture.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from posegram.pose import Floats, People, Skeleton, sources

__all__ = ["angle_names", "angles"]

# at the second of three joints, between the lines to the first and to the third
_BENDS = {
    f"{side}_{name}": tuple(f"{side}_{joint}" for joint in chain)
    for name, chain in (
        ("shoulder", ("hip", "shoulder", "elbow")),
        ("elbow", ("shoulder", "elbow", "wrist")),
        ("hip", ("shoulder", "hip", "knee")),
        ("knee", ("hip", "knee", "ankle")),
    )
    for side in ("left", "right")
}
# from the first joint up to the second, against the picture's vertical
_LEANS = {"trunk": ("pelvis", "thorax"), "head": ("neck", "head_top")}


def angle_names(skeleton: Skeleton) -> tuple[str, ...]:
    """The angles that a skeleton has the joints for, in the order of `angles`."""
    wanted = {**_BENDS, **_LEANS}
    return tuple(name for name, ends in wanted.items() if all(sources(j, skeleton) for j in ends))


def angles(people: People, *, threshold: float = 0.3) -> Floats:
    """Angles of each person in degrees, (N, A), in the order of `angle_names`.

    `left_knee` and its like are 0 to 180: 180 is a straight limb. `trunk` and `head` are -180 to
    180: 0 is upright, above 0 leans to the picture's right. NaN where a joint that an angle needs
    is absent or scores under the threshold.

    Args:
        people: N people.
        threshold: the smallest score of a joint that is used.
    """
    sure = people.score >= threshold
    xy = np.where(sure[..., None], people.xy, np.nan).astype(np.float64)
    columns = []
    for name in angle_names(people.skeleton):
        ends = _BENDS.get(name) or _LEANS[name]
        places = [xy[:, sources(joint, people.skeleton)].mean(axis=1) for joint in ends]
        columns.append(_bend(*places) if name in _BENDS else _lean(*places))
    found = np.stack(columns, axis=1) if columns else np.zeros((len(people), 0))
    return np.asarray(found, dtype=np.float32)


def _bend(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], c: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Angle at `b`, (N,) degrees 0 to 180; NaN where two places are one."""
    one, other = a - b, c - b
    turn = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    same = (one == 0).all(axis=1) | (other == 0).all(axis=1)
    bend = np.degrees(np.arctan2(np.abs(turn), (one * other).sum(axis=1)))
    return np.asarray(np.where(same, np.nan, bend))


def _lean(low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Angle of a line against the upward vertical, (N,) degrees; NaN where the places are one."""
    x, y = (high - low).T
    return np.asarray(np.where((x == 0) & (y == 0), np.nan, np.degrees(np.arctan2(x, -y))))
