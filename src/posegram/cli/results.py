"""Results of `posegram predict`: what they are called, whose they are, whether they are done."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import typer

from posegram.cli.clips import INCOMPLETE, Cut, results_of
from posegram.cli.photos import TABLE, Form, distinct, picture_name
from posegram.data import folder

__all__ = ["is_clip", "is_done", "names_for", "of_another", "tell_renamed"]

_HEAD = 1 << 16  # bytes of a file in which its input is named; a clip's may be large
_IMAGE = re.compile(r'"image": ("(?:[^"\\]|\\.)*")')
_PART = re.compile(r'"part": (\{[^{}]*\})')
_WHOLE = {"start": 0.0, "end": None, "stride": 1}  # of a clip whose file tells no part


def is_clip(path: Path) -> bool:
    """Whether an input is a clip, by its name."""
    return path.suffix.lower() in folder.CLIPS


def names_for(inputs: Mapping[Path, str], out: Path, form: Form) -> dict[Path, str]:
    """A name for each input's results that overwrites neither an input nor another's results.

    The inputs' own names, as they are given here, keep their folders. Beside an input its name is
    never taken: IMG_1.jpg beside IMG_1.heic is somebody's photo, whether or not it is an input.
    Results of an earlier run are another's where they name another input.
    """
    one_table = form not in (Form.json, Form.coco) and not all(map(is_clip, inputs))
    sources = {_place(p) for p in inputs}

    def taken(path: Path, name: str) -> bool:
        if one_table and is_clip(path) and name.casefold() == TABLE:
            return True
        result = _place(out / _picture(path, name))
        if result in sources or result.with_suffix("") == _place(path).with_suffix(""):
            return True
        return of_another(path, _files(path, out, name, form))

    return distinct(inputs, taken)


def is_done(path: Path, out: Path, name: str, cut: Cut, *, drawn: bool) -> bool:
    """Whether an earlier run has done all that is wanted of an input, in JSON.

    Args:
        path: the input.
        out: the folder of the results.
        name: what they are called, without suffix.
        cut: the part that is wanted of a clip.
        drawn: whether a picture is wanted, too.
    """
    told = out / f"{name}.json"
    made = [told, *([out / _picture(path, name)] if drawn else [])]
    if (out / f"{name}{INCOMPLETE}").exists() or not all(map(Path.exists, made)):
        return False
    if not _is_of(path, _named(told)) or (
        is_clip(path) and _part(told) != {k: getattr(cut, k) for k in _WHOLE}
    ):
        return False
    return path.stat().st_mtime <= min(p.stat().st_mtime for p in made)  # else it was changed since


def of_another(path: Path, files: Iterable[Path]) -> bool:
    """Whether files of results are of another input; those that name none are nobody's."""
    named = next(filter(None, map(_named, files)), "")
    return bool(named) and not _is_of(path, named)


def tell_renamed(
    photos: Sequence[Path], places: Mapping[Path, str], names: Mapping[Path, str], out: Path
) -> None:
    """Say that photos' own names are those of earlier results of others; clips say so anyway."""
    moved = []
    for photo in photos:
        own = PurePosixPath(places[photo]).with_suffix("").as_posix()
        if names[photo] != own and of_another(photo, [out / f"{own}.json"]):
            moved.append(photo)
    if moved:
        said = f"{out} holds results of another {moved[0].name}, so those of {moved[0]} are called"
        more = f"; so it is with {len(moved) - 1} more" if len(moved) > 1 else ""
        typer.echo(f"posegram: {said} {names[moved[0]]}{more}", err=True)


def _files(path: Path, out: Path, name: str, form: Form) -> list[Path]:
    """The files of an input's own results; photos share one in most forms."""
    if is_clip(path):
        return list(results_of(form, out, name).values())
    return [out / f"{name}.json"] if form is Form.json else []


def _place(path: Path) -> Path:
    """Where a file lies, however its folder is reached, without regard to case."""
    return Path(str(path.parent.resolve() / path.name).casefold())


def _picture(path: Path, name: str) -> str:
    """File name of what is drawn for an input."""
    return f"{name}.mp4" if is_clip(path) else picture_name(path, name)


def _is_of(path: Path, named: str) -> bool:
    """Whether the input that a file of results names is this one."""
    return bool(named) and Path(named).resolve() == path.resolve()


def _head(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_HEAD).decode("utf-8", "replace")
    except OSError:
        return ""


def _named(file: Path) -> str:
    """The input as a file of results names it; empty where it does not."""
    head = _head(file)
    if file.suffix == ".csv":  # whose rows begin with it; without people there is none
        rows = csv.DictReader(io.StringIO(head, newline=""))
        return str(next(rows, {}).get("image") or "")
    return str(_value(_IMAGE, head) or "")


def _part(file: Path) -> object:
    """Which part of a clip its JSON holds."""
    return _value(_PART, _head(file).partition('"frames": ')[0]) or _WHOLE


def _value(pattern: re.Pattern[str], head: str) -> object:
    """The JSON that a pattern finds; None where it finds none."""
    found = pattern.search(head)
    try:
        return json.loads(found[1]) if found else None
    except ValueError:  # somebody else's file
        return None
