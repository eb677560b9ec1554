"""Skeletons that people write themselves: a TOML file of joints, bones, pairs and sigmas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from posegram.data import door, nameless
from posegram.data.joints import pairs_by_name, plain
from posegram.pose import Sample, Skeleton, skeleton_named

__all__ = ["content", "read", "with_sigmas"]

_KEYS = ("name", "joints", "bones", "mirror", "sigmas")


def read(path: Path) -> Skeleton:
    """The skeleton in a TOML file: `joints`, and if wanted `name`, `bones`, `mirror`, `sigmas`.

    Without `mirror` the left/right pairs are found by name. Names are compared as the readers give
    them: lower case, with _ for blanks.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no TOML, lacks `joints`, says something else than the keys above, or has
            a sigma that is no finite number above 0.
    """
    raw = content(path)
    try:
        joints = tuple(plain(joint) for joint in raw["joints"])
        bones, mirror = (
            tuple((plain(a), plain(b)) for a, b in raw.get(key, ())) for key in ("bones", "mirror")
        )
        if "mirror" not in raw:
            mirror = pairs_by_name(joints)
        sigmas = tuple(float(value) for value in raw.get("sigmas", ()))
        if not all(0 < sigma < math.inf for sigma in sigmas):
            raise ValueError("`sigmas` are finite numbers above 0")
        return Skeleton(str(raw.get("name", path.stem)), joints, bones, mirror, sigmas)
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{path}: is no skeleton: {fault}") from fault


def content(path: Path) -> dict[str, Any]:
    """What a skeleton file says, by key; errors as `read`."""
    raw = door.load_toml(path, "skeleton file")
    if not isinstance(raw.get("joints"), list) or not raw["joints"] or set(raw) - set(_KEYS):
        raise ValueError(f"{path}: a skeleton file has `joints` and may have {', '.join(_KEYS)}")
    return raw


def with_sigmas(
    samples: Sequence[Sample], source: str, metrics: Sequence[str] = ("ap",)
) -> list[Sample]:
    """The same people, the joints of whose skeletons have the falloffs (sigmas) of another's.

    Joints without names are called as the other's, see `posegram.data.nameless.called`.

    Args:
        samples: of any skeletons.
        source: a skeleton file, or the name of a built-in skeleton; joints are found by name.
        metrics: what is to be measured. Without `ap` no sigmas are taken; where it is one of
            several, a skeleton that names joints may state none, and AP is left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no skeleton, states no sigmas, or none for a joint of the labels.
    """
    theirs = read(Path(source)) if source.endswith(".toml") else skeleton_named(source)
    named = nameless.called(samples, theirs)
    if "ap" not in metrics:
        return named
    if not theirs.sigmas:
        if len(metrics) > 1 and any(nameless.fits(one.skeleton, theirs) for one in samples):
            return named
        raise ValueError(f"{source} states no sigmas, which AP needs: sigmas = [...], one a joint")
    samples = named
    known = dict(zip(theirs.joints, theirs.sigmas, strict=True))
    skeletons = list(dict.fromkeys(sample.skeleton for sample in samples))
    lacking = [joint for own in skeletons for joint in own.joints if joint not in known]
    if lacking:
        raise ValueError(f"{source} has no sigma for {', '.join(dict.fromkeys(lacking))}")
    fitted = {own: replace(own, sigmas=tuple(known[j] for j in own.joints)) for own in skeletons}
    return [replace(sample, skeleton=fitted[sample.skeleton]) for sample in samples]
