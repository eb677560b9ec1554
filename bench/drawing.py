"""The measured values as Markdown tables and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import summary

mpl.use("Agg")
from matplotlib import pyplot as plt

_NAMES = {"limbs": "PCK@0.2, 12 limb joints", "ap": "AP, given boxes"}
_FOUND = {"ap": "AP, people found"}


def tables(report: dict[str, Any]) -> str:
    """The whole report as Markdown."""
    machine = report["machine"]
    lines = [
        "# Bench",
        "",
        f"{machine['processor']}, {machine['cores']} cores (load {machine['load']} at the end), "
        f"Python {machine['python']}, ONNX Runtime {machine['onnxruntime']}, "
        f"OpenCV {machine['opencv']}, posegram {machine['posegram']}.",
        "CPU milliseconds on one thread (`time.process_time`), medians; every network in turns in "
        "the same run. Ratios hold on other days, single milliseconds do not.",
        "",
    ]
    lines += summary.lines(report)
    for one in report["sets"]:
        lines += _set(one)
    for one in report["photos"]:
        lines += [*_photos(one), *_finders(one), *_parts(one)]
    return "\n".join([*lines, *_stages(report), *_crowds(report), *_notes(report)])


def _set(one: dict[str, Any]) -> list[str]:
    first = one["rows"][0]["name"]
    head = ["network", "CPU ms / person", "25-75%", f"times {first}",
            "PCK@0.2, 12 limb joints", "PCK@0.2, its joints", "AP, given boxes"]  # fmt: skip
    rows = []
    for row in one["rows"]:
        low, high = row["ms_quartiles"]
        joints = f" ({row['all']['joints']} joints)" if row["all"] else ""
        rows.append(
            [
                *(row["name"], f"{row['ms']:.1f}", f"{low:.1f}-{high:.1f}", f"{row['ratio']:.2f}"),
                *(_score(row["limbs"]), _score(row["all"]) + joints, _score(row["ap"])),
            ]
        )
    title = f"## {one['spec']}: {one['people']} people in {one['images']} photos"
    brackets = "In brackets: 95% bootstrap interval over whole photos."
    return [title, "", *_markdown(head, rows), "", brackets, ""]


def _photos(one: dict[str, Any]) -> list[str]:
    first = one["rows"][0]["name"]
    head = ["network", "CPU ms / photo", "25-75%", f"times {first}", "people / photo", "AP, found",
            f"AP, {one['complete']} photos", "CPU ms, five people", f"times {first}"]  # fmt: skip
    rows = []
    for row in one["rows"]:
        low, high = row["ms_quartiles"]
        five = ["-", "-"]
        if row["five"]:
            five = [f"{row['five']['ms']:.1f}", f"{row['five']['ratio']:.2f}"]
        rows.append(
            [
                *(row["name"], f"{row['ms']:.1f}", f"{low:.1f}-{high:.1f}", f"{row['ratio']:.2f}"),
                *(f"{row['found']:.1f}", _score(row["ap"]), _score(row["ap_complete"]), *five),
            ]
        )
    title = f"## {one['spec']}: people found in {one['photos']} photos, {one['people']} labelled"
    text = (
        "Milliseconds a photo are means, since photos differ in their people. "
        f"AP in per cent over all photos, and over the {one['complete']} whose labels list "
        f"everybody: elsewhere a found person may count as wrong only for lack of a label. Five "
        f"people: {one['shots']} photos; who works on crops finds, then poses five labelled boxes."
    )
    return [title, "", *_markdown(head, rows), "", text, ""]


def _finders(one: dict[str, Any]) -> list[str]:
    first = one["finders"][0]["name"]
    head = ["finds people", "CPU ms / photo", f"times {first}", "recall, not small", "recall, all",
            "precision", "false alarms / background", "backgrounds with one"]  # fmt: skip
    rows = []
    for row in one["finders"]:
        alarms = ["-", "-"]
        if row["alarms"] is not None:
            alarms = [f"{row['alarms']:.2f}", f"{100 * row['alarmed']:.0f}%"]
        scores = [_score(row[key]) for key in ("recall_large", "recall", "precision")]
        rows.append([row["name"], f"{row['ms']:.1f}", f"{row['ratio']:.2f}", *scores, *alarms])
    text = (
        f"At IoU 0.5, per cent, of {one['large']} people with an area of 32^2 or more and of all "
        f"{one['people']}; precision in the photos whose labels list everybody; "
        f"{one['empty']} background photos. Thresholds are those of `bench/README.md`."
    )
    return ["### Finding people", "", *_markdown(head, rows), "", text, ""]


def _parts(one: dict[str, Any]) -> list[str]:
    if not one["stages"]:
        return []
    total = sum(one["stages"].values())
    head = ["", *one["stages"], "all"]
    row = ["CPU ms", *(f"{ms:.1f}" for ms in one["stages"].values()), f"{total:.1f}"]
    share = ["share", *(f"{100 * ms / total:.0f}%" for ms in one["stages"].values()), "100%"]
    first = one["rows"][0]["name"]
    return [f"### {first}: from the file to the joints of five people", "",
            *_markdown(head, [row, share]), ""]  # fmt: skip


def _score(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    if found["low"] is None:
        return f"{found['value']:.1f}"
    return f"{found['value']:.1f} [{found['low']:.1f}, {found['high']:.1f}]"


def _stages(report: dict[str, Any]) -> list[str]:
    names = ("crop", "network", "decode")
    head = ["network", "file MB", "input", *names, "arithmetic", "GFLOP", "GFLOP/s",
            "share of peak"]  # fmt: skip
    rows = []
    for model in report["models"]:
        spent, total = model["stages"], sum(model["stages"].values())
        shares = [f"{spent[s]:.2f} ms ({100 * spent[s] / max(total, 1e-9):.0f}%)" for s in names]
        high, wide = model["input"]
        work = ["-"] * 3
        if model["gflop"] is not None:
            share = f"{100 * model['share_of_peak']:.0f}%"
            work = [f"{model['gflop']:.2f}", f"{model['gflop_per_s']:.0f}", share]
        kind = model["kind"] or "-"
        size = f"{wide}x{high}"
        rows.append([model["name"], f"{model['megabytes']:.1f}", size, *shares, kind, *work])
    peaks = ", ".join(f"{peak:.0f} in {kind}" for kind, peak in report["peaks"].items())
    text = f"Peak: {peaks} GFLOP/s, the best matrix product of the same runtime on one thread."
    if any((model["share_of_peak"] or 0) > 1 for model in report["models"]):
        text += " A share above 100% is no truth: the machine was busy while the peak was taken."
    return ["## Where the time goes, one person", "", *_markdown(head, rows), "", text,
            ""]  # fmt: skip


def _crowds(report: dict[str, Any]) -> list[str]:
    models = [model for model in report["models"] if model["crowds"]]
    counts = list(models[0]["crowds"])
    head = ["network", *(f"{n} people" if n != "1" else "1 person" for n in counts)]
    rows = [
        [m["name"], *(f"{m['crowds'][n]:.1f} ms ({1000 * int(n) / max(m['crowds'][n], 1e-9):.0f}/s)"
                      for n in counts)]
        for m in models
    ]  # fmt: skip
    text = "CPU milliseconds for one photo with given boxes; in brackets people per second."
    return ["## Number of people", "", *_markdown(head, rows), "", text, ""]


def _notes(report: dict[str, Any]) -> list[str]:
    return [f"- {note}" for note in report["notes"]]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def picture(report: dict[str, Any], path: Path) -> None:
    """Accuracy against CPU milliseconds, given and found boxes, and time against people."""
    panels = [
        (one, key)
        for one in [*report["sets"], *report["photos"]]
        for key in (_FOUND if "photos" in one else _NAMES)
        if any(row[key] for row in one["rows"])
    ]
    columns = 2 if len(panels) in (1, 3) else min(len(panels) + 1, 3)
    rows = -(-(len(panels) + 1) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(5.2 * columns, 4.2 * rows), squeeze=False, layout="constrained"
    )
    flat = axes.ravel()
    names = [m["name"] for m in report["models"] if m["crowds"]]
    names += [row["name"] for one in report["photos"] for row in one["rows"]]
    colours = {name: f"C{n % 10}" for n, name in enumerate(dict.fromkeys(names))}
    for axis, (one, key) in zip(flat, panels, strict=False):
        _scatter(axis, one, key, colours)
    _curves(flat[len(panels)], [m for m in report["models"] if m["crowds"]], colours)
    for axis in flat[len(panels) + 1 :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _scatter(axis: Any, one: dict[str, Any], key: str, colours: dict[str, str]) -> None:
    for row in one["rows"]:
        score = row[key]
        if score is None:
            continue
        value, ends = score["value"], row["ms_quartiles"]
        low, high = (value if score[end] is None else score[end] for end in ("low", "high"))
        axis.errorbar(
            row["ms"],
            value,
            xerr=[[max(row["ms"] - ends[0], 0)], [max(ends[1] - row["ms"], 0)]],
            yerr=[[max(value - low, 0)], [max(high - value, 0)]],
            fmt="o",
            color=colours[row["name"]],
            capsize=3,
            label=row["name"],
        )
    found = "photos" in one
    each, label = ("photo", _FOUND[key]) if found else ("person", _NAMES[key])
    axis.set(xscale="log", xlabel=f"CPU milliseconds per {each}, one thread", ylabel=label)
    spec = one["spec"].rpartition("/")[2]
    size = f"{one['photos']} photos" if found else f"{one['people']} people"
    axis.set_title(f"{spec}\n{size}", fontsize=9)
    _plain_ticks(axis.xaxis)
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=8)


def _plain_ticks(axis: Any) -> None:
    """Plain numbers at 1, 2, 3, 5 of every power of ten."""
    axis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 3, 5)))
    axis.set_major_formatter(mpl.ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(mpl.ticker.NullFormatter())


def _curves(axis: Any, models: Sequence[dict[str, Any]], colours: dict[str, str]) -> None:
    for model in models:
        counts = [int(n) for n in model["crowds"]]
        spent = list(model["crowds"].values())
        axis.plot(counts, spent, "o-", color=colours[model["name"]], label=model["name"])
    axis.set(xscale="log", yscale="log", xlabel="people in a photo", ylabel="CPU ms per photo")
    axis.set_xticks(counts, [str(n) for n in counts])
    axis.set_title("time against number of people, boxes given", fontsize=9)
    _plain_ticks(axis.yaxis)
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
