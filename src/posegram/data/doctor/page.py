"""What the doctor found as files: a page with pictures of the worst, a sheet, and a JSON report."""

from __future__ import annotations

import html
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from posegram import coords
from posegram import image as pictures
from posegram.data import door
from posegram.data.check import Report
from posegram.data.doctor.annotations import Annotations, Doubles
from posegram.data.doctor.findings import KINDS, LEVELS, Finding
from posegram.data.doctor.opinion import Opinion
from posegram.data.stream import save_text
from posegram.pose import Floats, Image, People

__all__ = ["Case", "cases", "picture", "require_own", "summary", "write"]

_TILE = (300, 260)  # height, width of one view of a person, pixels
_MARGIN = 1.3  # side of the view / side of what it must show
_FORMAT = "posegram data check 1"
_WIDE = 1600  # pixels, about, of the contact sheet
_SHEET = (200, 150)  # height, width of a picture on the sheet
_ALARM = (230, 20, 40)  # red, green, blue of the rings around joints in question
_HUGE = 1e5  # pixels beyond which a joint is not drawn
_LISTED = 1000  # findings that the page lists in words; the JSON file has all
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:1180px;padding:1rem 1.5rem;
color:#1c2024;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse;margin:.5rem 0}th,td{text-align:left;padding:.2rem .8rem .2rem 0;
border-bottom:1px solid #d9dde1;vertical-align:top}td.n,th.n{text-align:right}
.cases{display:grid;grid-template-columns:repeat(auto-fill,minmax(270px,1fr));gap:1rem}
figure{margin:0;border:1px solid #d9dde1;border-radius:6px;padding:.6rem;overflow-wrap:anywhere}
figure img{max-width:100%;display:block;margin:0 auto .5rem}figure p{margin:.25rem 0}
.certain{color:#a00d1e;font-weight:600}.likely{color:#8a4b00;font-weight:600}.look{color:#47525d}
small{color:#47525d}
"""


@dataclass(frozen=True)
class Case:
    """All that was found about one person, or about one picture without a person."""

    source: int
    image: int
    person: int | None
    findings: tuple[Finding, ...]  # the worst first

    @property
    def weight(self) -> float:
        """Rank among the cases: that of the worst finding, and a little for every other."""
        return self.findings[0].weight + 0.02 * min(len(self.findings) - 1, 5)


def cases(findings: Sequence[Finding]) -> list[Case]:
    """Findings gathered by person, or by picture, the worst first; those of whole sets left out."""
    grouped: dict[tuple[int, int, int], list[Finding]] = defaultdict(list)
    for one in sorted(findings, key=lambda finding: -finding.weight):
        if one.image is not None:
            row = -1 if one.person is None else one.person
            grouped[one.source, one.image, row].append(one)
    made = [
        Case(source, image, None if row < 0 else row, tuple(some))
        for (source, image, row), some in grouped.items()
    ]
    return sorted(made, key=lambda case: -case.weight)


def picture(people: Annotations, case: Case, opinion: Opinion | None = None) -> Image | None:
    """The person as labelled, joints in question ringed, and beside it as the model sees it.

    None where the picture cannot be read.
    """
    try:
        photo = pictures.read(people.images[case.image])
    except (OSError, ValueError):
        return None
    if case.person is None:
        whole = np.array([-0.5, -0.5, photo.shape[1] - 0.5, photo.shape[0] - 0.5], dtype=np.float32)
        return coords.warp(photo, coords.to_crop(whole, _TILE, margin=1.0), _TILE)
    row = case.person
    views = [(_drawable(people.xy[row]), people.usable[row].astype(np.float32))]
    if opinion is not None:
        views.append((_drawable(opinion.xy[row]), opinion.score[row].astype(np.float32)))
    matrix = coords.to_crop(_frame(people, row, photo), _TILE, margin=_MARGIN)
    crop = coords.warp(photo, matrix, _TILE)
    made = [_drawn(crop, coords.move(xy, matrix), score, people) for xy, score in views]
    asked = {joint for one in case.findings for joint in one.joints}
    for joint in asked & set(people.skeleton.joints):
        _ring(made[0], coords.move(views[0][0], matrix)[people.skeleton.index(joint)])
    return np.concatenate(made, axis=1)


def _frame(people: Annotations, row: int, photo: Image) -> Floats:
    """What the view must show, (4,): box and joints, as far as they are near the picture."""
    height, width = photo.shape[:2]
    both = np.stack([people.box[row], people.bounds[row]])
    both = both[np.isfinite(both).all(axis=1)]
    if not len(both):
        return np.array([0, 0, width, height], dtype=np.float32)
    low, high = both[:, :2].min(axis=0), both[:, 2:].max(axis=0)
    edge = 0.25 * max(height, width)
    low = np.clip(low, -edge, (width + edge, height + edge))
    high = np.clip(high, -edge, (width + edge, height + edge))
    return np.concatenate([low, np.maximum(high, low + 8)]).astype(np.float32)


def _drawable(xy: Doubles) -> Floats:
    """Places (K, 2) that numbers can bear, NaN for the others."""
    with np.errstate(invalid="ignore"):
        near = (np.abs(xy) < _HUGE).all(axis=1, keepdims=True)
    return np.where(near, xy, np.nan).astype(np.float32)


def _drawn(crop: Image, xy: Floats, score: Floats, people: Annotations) -> Image:
    box = np.zeros((1, 4), dtype=np.float32)
    drawn = People(xy[None], score[None], box, people.skeleton)
    return pictures.draw(crop, drawn, threshold=0.2, radius=2.5)


def _ring(view: Image, at: Floats) -> None:
    if np.isfinite(at).all():
        cv2.circle(view, (round(float(at[0])), round(float(at[1]))), 8, _ALARM, 2, cv2.LINE_AA)


def summary(report: Report) -> dict[str, Any]:
    """What was found as plain values for machines, the worst finding first."""
    sources = report.sources
    return {
        "format": _FORMAT,
        "people": report.people,
        "images": report.images,
        "people_with_faults": len(report.flagged()),
        "faults": len(report.faults),
        "counts": _counts(report.findings),
        "sources": [
            {"source": one.source, "skeleton": one.skeleton.name, "joints": one.skeleton.joints}
            for one in sources
        ],
        "findings": [_plain(one, sources[one.source]) for one in report.findings],
    }


def _counts(findings: Sequence[Finding]) -> dict[str, dict[str, int]]:
    count = Counter((one.kind, one.level) for one in findings)
    kinds = [kind for kind in KINDS if any((kind, level) in count for level in LEVELS)]
    return {kind: {level: count[kind, level] for level in LEVELS} for kind in kinds}


def _plain(one: Finding, people: Annotations) -> dict[str, Any]:
    record = None if one.person is None else int(people.record[one.person])
    return {
        "kind": one.kind,
        "level": one.level,
        "badness": round(one.badness, 4),
        "sentence": one.sentence,
        "source": one.source,
        "image": None if one.image is None else people.images[one.image].as_posix(),
        "annotation": record,
        "annotation_id": None if record is None else people.whole["annotations"][record].get("id"),
        "joints": list(one.joints),
    }


def write(
    folder: Path, report: Report, *, worst: int = 50, opinions: Sequence[Opinion | None] = ()
) -> Path:
    """The page's path, `index.html`, written with `report.json`, `sheet.jpg` and `pictures/`.

    Files of an earlier report in the folder are replaced; nothing else is touched.

    Args:
        folder: where to; made when it is not there.
        report: what was found.
        worst: how many people or pictures are shown.
        opinions: the model's joints of each source, drawn beside the labels.

    Raises:
        ValueError: a file or folder of such a name is there, and no report made it.
    """
    require_own(folder)
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    # first: a report that breaks off is known as one by this file
    door.save_json(folder / "report.json", summary(report))
    (folder / "sheet.jpg").unlink(missing_ok=True)
    for old in (folder / "pictures").glob("[0-9][0-9][0-9][0-9].jpg"):
        old.unlink()
    sources = report.sources
    given = list(opinions) or [None] * len(sources)
    shown, tiles = [], []
    for number, case in enumerate(cases(report.findings)[:worst], 1):
        view = picture(sources[case.source], case, given[case.source])
        name = ""
        if view is not None:
            name = f"pictures/{number:04d}.jpg"
            pictures.write(folder / name, view)
            tiles.append(_tile(view, number))
        shown.append((case, name))
    if tiles:
        columns = min(len(tiles), max(1, _WIDE // max(tile.shape[1] for tile in tiles)))
        pictures.write(folder / "sheet.jpg", pictures.grid(tiles, columns))
    return save_text(folder / "index.html", _page(report, shown, sheet=bool(tiles)))


def require_own(folder: Path) -> None:
    """See that a report there replaces an earlier one at most, and nobody's photos.

    Raises:
        ValueError: a file or folder of such a name is there, and no report made it.
    """
    earlier = folder / "report.json"
    if earlier.is_file() and _FORMAT in earlier.read_bytes()[:200].decode(errors="replace"):
        return
    for name in ("report.json", "index.html", "sheet.jpg", "pictures"):
        if (folder / name).exists():
            raise ValueError(f"{folder / name} is there, and no report made it: give another --out")


def _tile(view: Image, number: int) -> Image:
    """A picture for the sheet, with its number."""
    height = _SHEET[0]
    width = round(view.shape[1] * height / view.shape[0])
    small = np.asarray(cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    for thick, ink in ((3, (0, 0, 0)), (1, (255, 255, 255))):
        cv2.putText(small, str(number), (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, ink, thick)
    return small


def _page(report: Report, shown: Sequence[tuple[Case, str]], *, sheet: bool) -> str:
    sources, findings = report.sources, report.findings
    whole = [one for one in findings if one.image is None]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        '<meta name=viewport content="width=device-width,initial-scale=1">',
        f"<title>Dataset check</title><style>{_STYLE}</style>",
        "<h1>Dataset check</h1>",
        f"<p>{html.escape(', '.join(dict.fromkeys(one.source for one in sources)))}</p>",
        f"<p><b>{report.people:,}</b> people in <b>{report.images:,}</b> pictures; "
        f"<b>{len(report.faults):,}</b> faults, "
        f"<b>{len(report.flagged()):,}</b> people with faults. ",
        '<a href="report.json">All findings as JSON</a>',
        ' · <a href="sheet.jpg">contact sheet</a></p>' if sheet else "</p>",
        _table(findings),
    ]
    if whole:
        parts += ["<h2>The set as a whole</h2>", *(f"<p>{_words(one)}</p>" for one in whole)]
    if shown:
        parts.append(f"<h2>The worst {len(shown)}</h2><div class=cases>")
        parts += [_figure(n, *one, sources) for n, one in enumerate(shown, 1)]
        parts.append("</div>")
    return "\n".join([*parts, _list(sources, findings), "</html>\n"])


def _table(findings: Sequence[Finding]) -> str:
    if not findings:
        return "<p>Nothing was found.</p>"
    head = "<tr><th>kind<th>what it means" + "".join(f"<th class=n>{one}" for one in LEVELS[::-1])
    rows = [
        f"<tr><td>{kind}<td>{html.escape(KINDS[kind])}"
        + "".join(f"<td class=n>{count[level] or ''}" for level in LEVELS[::-1])
        for kind, count in _counts(findings).items()
    ]
    return f"<table>{head}{''.join(rows)}</table>"


def _figure(number: int, case: Case, name: str, sources: Sequence[Annotations]) -> str:
    people = sources[case.source]
    shown = f'<img src="{name}" alt="" loading=lazy>' if name else "<p>(no picture)</p>"
    lines = "".join(f"<p>{_words(one)}</p>" for one in case.findings)
    title = f"<small>{number}. {_place(case.findings[0], people)}</small>"
    return f"<figure>{shown}{title}{lines}</figure>"


def _words(one: Finding) -> str:
    return f"<span class={one.level}>{one.kind}</span> {html.escape(one.sentence)}"


def _place(one: Finding, people: Annotations) -> str:
    """Picture and annotation of a finding, escaped."""
    if one.image is None:
        return html.escape(people.source)
    name = html.escape(people.images[one.image].name)
    if one.person is None:
        return name
    record = people.whole["annotations"][people.record[one.person]]
    return f"{name}, annotation {html.escape(str(record.get('id')))}"


def _list(sources: Sequence[Annotations], findings: Sequence[Finding]) -> str:
    own = [one for one in findings if one.image is not None]
    if not own:
        return ""
    more = f" (the first {_LISTED:,} of {len(own):,})" if len(own) > _LISTED else ""
    rows = "".join(
        f"<tr><td>{_place(one, sources[one.source])}<td>{_words(one)}" for one in own[:_LISTED]
    )
    return f"<details><summary>Everything found{more}</summary><table>{rows}</table></details>"
