"""What the report says first: posegram against each peer, and against the aims."""

from __future__ import annotations

from typing import Any

# MoveNet Lightning on one crop, and MultiPose on one photo, as shares of Thunder's time on one
# crop: measured once, on a quiet machine (12, 37 and 40 CPU milliseconds); used only while their
# files are not in the teachers' folder
_LIGHTNING, _MULTIPOSE = 12 / 40, 37 / 40
_CROP_AIM, _FIVE_AIM = 2 / 3, 1.0  # of Lightning's time, of MultiPose's


def lines(report: dict[str, Any]) -> list[str]:
    """Ratios of CPU milliseconds, and recall, as Markdown."""
    said = [
        *(line for one in report["sets"] for line in _crop(one)),
        *(line for one in report["photos"] for line in _photo(one, report)),
    ]
    return ["## posegram against its peers", "", *said, ""] if said else []


def _crop(one: dict[str, Any]) -> list[str]:
    own, *others = one["rows"]
    said = [f"- One crop, {one['spec']}: {own['name']} takes {own['ms']:.1f} ms: "
            + ", ".join(f"{1 / row['ratio']:.2f} of {row['name']}'s {row['ms']:.1f}"
                        for row in others) + "."]  # fmt: skip
    thunder = _row(others, "thunder")
    lightning = _row(others, "lightning")
    aim = f"aim: at most {_CROP_AIM:.2f}"
    if lightning:
        said.append(f"  Against Lightning: {1 / lightning['ratio']:.2f} ({aim}).")
    elif thunder:
        ratio = 1 / thunder["ratio"] / _LIGHTNING
        said.append(
            f"  Against MoveNet Lightning about {ratio:.2f} ({aim}): its file is not there, it "
            f"measured {_LIGHTNING:.2f} of Thunder's time elsewhere."
        )
    return said


def _photo(one: dict[str, Any], report: dict[str, Any]) -> list[str]:
    own, *others = one["rows"]
    said = [f"- A photo, {one['spec']}: {own['name']} takes {own['ms']:.1f} ms: "
            + ", ".join(f"{1 / row['ratio']:.2f} of {row['name']}'s {row['ms']:.1f}"
                        for row in others) + "."]  # fmt: skip
    if own["five"]:
        said += _five(own, others, report)
    return [*said, *_recall(one["finders"])]


def _five(own: dict[str, Any], others: list[dict[str, Any]], report: dict[str, Any]) -> list[str]:
    ms = own["five"]["ms"]
    said = [f"- Five people, found and posed: {ms:.1f} ms: "
            + ", ".join(f"{1 / row['five']['ratio']:.2f} of {row['name']}'s {row['five']['ms']:.1f}"
                        for row in others) + "."]  # fmt: skip
    aim = f"aim: at most {_FIVE_AIM:.1f}"
    multipose = [row for row in others if "multipose" in row["name"] and "+" not in row["name"]]
    thunder = _row(report["models"], "thunder")
    if multipose:
        said.append(f"  Against MultiPose: {1 / multipose[0]['five']['ratio']:.2f} ({aim}).")
    elif thunder:
        ratio = ms / (_MULTIPOSE * sum(thunder["stages"].values()))
        said.append(
            f"  Against MoveNet MultiPose about {ratio:.2f} ({aim}): its file is not there, it "
            f"took {_MULTIPOSE:.2f} of Thunder's time for one crop elsewhere."
        )
    return said


def _recall(finders: list[dict[str, Any]]) -> list[str]:
    own, *others = finders
    said = []
    for row in [row for row in others if row["recall"] and own["recall"]]:
        large = f"{own['recall_large']['value']:.1f} against {row['recall_large']['value']:.1f}%"
        every = f"{own['recall']['value']:.1f} against {row['recall']['value']:.1f}%"
        said.append(
            f"- Recall against {row['name']}: {large} of people not small, {every} of all, in "
            f"{1 / row['ratio']:.2f} of its time."
        )
    return said


def _row(rows: list[dict[str, Any]], part: str) -> dict[str, Any] | None:
    return next((row for row in rows if part in row["name"]), None)
