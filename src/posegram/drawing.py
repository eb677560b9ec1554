"""People drawn into pictures: joints, bones, boxes, names and tracks; OpenCV rasterises."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypedDict, Unpack

import cv2
import numpy as np
import numpy.typing as npt

from posegram.pose import Floats, Image, Ints, People, Skeleton

__all__ = [
    *("BACKGROUNDS", "COLOURS", "PEOPLE", "SIDES"),
    *("Style", "draw", "person_colour", "require_picture"),
]

COLOURS = ("side", "person", "score")
BACKGROUNDS = ("photo", "black", "white", "beside")

_Colour = tuple[int, int, int]  # red, green, blue

# blue and orange stay apart for colour-blind eyes
SIDES: dict[str, _Colour] = {
    "left": (40, 170, 255),
    "right": (255, 140, 20),
    "middle": (215, 245, 215),
}
PEOPLE: tuple[_Colour, ...] = (  # apart from their neighbours in hue and in lightness
    *((86, 180, 233), (255, 176, 0), (0, 200, 140), (240, 110, 170), (245, 235, 70)),
    *((160, 130, 255), (250, 110, 60), (130, 230, 230), (175, 215, 80), (215, 165, 255)),
)
# from unsure to sure, red over yellow to blue: colour-blind eyes read it, too
_SCALE = np.array([(225, 45, 40), (250, 215, 90), (60, 150, 235)], dtype=np.float64)
_RIM: _Colour = (15, 15, 15)
_LIGHT: _Colour = (245, 245, 245)
_OPACITY = (0.4, 0.7, 1.0)  # of joints just above the threshold, in between, and sure
_BITS = 4  # cv2 draws at 1/16 pixel
_SUB = 2**_BITS
_RIMMED = 0.8  # pixels: smaller joints have no rim, which would hide the person
_FAR = 1e5  # pixels; cv2 counts in 32 bits


class Style(TypedDict, total=False):
    """How `draw` paints; what is left out is as written here."""

    threshold: float  # 0.3: the smallest score of a joint that is drawn
    boxes: bool  # False: draw each person's box
    names: bool  # False: write each joint's name
    tracks: bool  # True: write the track number of people who have one
    colour: Literal["side", "person", "score"]  # side: left blue, right orange
    background: Literal["photo", "black", "white", "beside"]  # photo; beside: the photo left of it
    radius: float | None  # None: of a joint in pixels, by each person's size


_USUAL = Style(
    threshold=0.3,
    boxes=False,
    names=False,
    tracks=True,
    colour="side",
    background="photo",
    radius=None,
)


def draw(image: Image, people: People, **style: Unpack[Style]) -> Image:
    """A new picture with people's joints and bones drawn in, (H, W, 3) uint8 RGB.

    Left is blue, right orange, the middle pale, by the skeleton's mirror pairs. A joint fades
    towards the threshold and is hidden, with its bones, below it. Sizes follow each person's.

    Args:
        image: (H, W, 3) uint8 RGB; stays as it is.
        people: joints that are NaN are left out.
        style: options of `Style`, such as `threshold=0.5, boxes=True`. `colour="person"` gives
            everybody a colour, the same for a track in every frame; `"score"` goes from red
            (at the threshold) to blue (1). `background="black"` shows the skeletons alone;
            `"beside"` gives the photo and, right of it, the drawing, (H, 2 W, 3).

    Raises:
        ValueError: the array is no picture, or an option has no such value.
        TypeError: there is no such option.
    """
    require_picture(image)
    choice = _chosen(style)
    canvas = _canvas(image, choice["background"])
    figures = _figures(people, choice, image.shape[:2])
    for figure in figures:
        if choice["boxes"]:
            _box(canvas, figure)
        for level in range(len(_OPACITY)):
            _paint(canvas, figure, level)
    for figure in figures:  # words lie above everybody
        if choice["names"]:
            _names(canvas, figure, people.skeleton)
        if choice["tracks"] and people.track is not None:
            _tag(canvas, figure)
    return np.hstack([image, canvas]) if choice["background"] == "beside" else canvas


def require_picture(image: Image) -> None:
    """Refuse what is not a picture.

    Raises:
        ValueError: it is not (H, W, 3) uint8 with H and W above 0.
    """
    if not isinstance(image, np.ndarray):  # such as a file's name
        kind = type(image).__name__
        raise ValueError(
            f"a picture is an array (H, W, 3) uint8, not {kind}; posegram.read(FILE) gives one"
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"a picture is (H, W, 3) uint8, not {image.shape} {image.dtype} (H and W above 0)"
        )


def person_colour(number: int) -> tuple[int, int, int]:
    """The colour, red, green, blue, of a track or of the person at this place."""
    return PEOPLE[number % len(PEOPLE)]


def _chosen(style: Style) -> Style:
    unknown = sorted(set(style) - set(_USUAL))
    if unknown:
        raise TypeError(f"draw has no option {unknown[0]!r}; it has {', '.join(_USUAL)}")
    choice: Style = {**_USUAL, **style}
    for key, value, known in (
        ("colour", choice["colour"], COLOURS),
        ("background", choice["background"], BACKGROUNDS),
    ):
        if value not in known:
            raise ValueError(f"no {key} {value!r} to draw with; there are {', '.join(known)}")
    return choice


def _canvas(image: Image, background: str) -> Image:
    if background in ("photo", "beside"):
        return np.array(image, order="C")  # cv2 draws into no other
    return np.full(image.shape, 255 if background == "white" else 0, dtype=np.uint8)


@dataclass(frozen=True, eq=False)
class _Figure:
    """One person ready to be painted; lists, for they are walked through."""

    number: int  # the track, or the place among the people
    box: Floats  # (4,) x0, y0, x1, y1 image pixels
    at: list[tuple[int, int]]  # (K,) x, y in 1/16 image pixels
    levels: list[int]  # (K,) which of _OPACITY, -1 where hidden
    dots: list[float]  # (K,) radii in pixels
    inks: list[_Colour]  # (K,)
    bones: list[tuple[int, int]]  # (E,) joints
    wides: list[int]  # (E,) widths in pixels
    bone_inks: list[_Colour]  # (E,)
    dot: float  # usual radius of a joint in pixels
    rim: int  # width of the dark rim in pixels


def _figures(people: People, choice: Style, size: tuple[int, int]) -> list[_Figure]:
    """Everybody, for a picture of that height and width."""
    bones, sides, bone_sides = _plan(people.skeleton)
    ends = np.array(bones, dtype=np.int64).reshape(-1, 2)
    threshold, radius = choice["threshold"], choice["radius"]
    shown = np.isfinite(people.xy).all(axis=2) & (people.score >= threshold)  # (N, K)
    sure = np.clip((people.score - threshold) / max(1.0 - threshold, 1e-6), 0.0, 1.0)
    # where the colour tells the score, opacity need not
    opaque = np.ones_like(sure) if choice["colour"] == "score" else sure
    levels = np.where(shown, np.rint(opaque * (len(_OPACITY) - 1)), -1).astype(int)
    xy = np.where(shown[..., None], people.xy, 0).clip(-_FAR, _FAR)
    made = []
    for n in range(len(people)):
        dot = _radius(xy[n][shown[n]], size) if radius is None else radius
        dots, wides = _sizes(xy[n], shown[n], ends, dot)
        number = n if people.track is None else int(people.track[n])
        made.append(
            _Figure(
                number=number,
                box=people.box[n],
                at=[(x, y) for x, y in np.rint(xy[n] * _SUB).astype(int).tolist()],
                levels=levels[n].tolist(),
                dots=dots,
                inks=_inks(choice["colour"], sides, number, sure[n]),
                bones=bones,
                wides=wides,
                bone_inks=_inks(choice["colour"], bone_sides, number, sure[n][ends].min(axis=1)),
                dot=dot,
                rim=max(1, round(dot * 0.35)) if dot >= _RIMMED else 0,
            )
        )
    return made


@lru_cache(maxsize=32)
def _plan(skeleton: Skeleton) -> tuple[list[tuple[int, int]], list[str], list[str]]:
    """Bones as joint numbers, and the side of each joint and of each bone."""
    paired = {left: "left" for left, _ in skeleton.mirror}
    paired |= {right: "right" for _, right in skeleton.mirror}
    words = {joint: joint.split("_")[0] for joint in skeleton.joints}
    joints = [w if w in SIDES else paired.get(j, "middle") for j, w in words.items()]
    bones = [(int(a), int(b)) for a, b in skeleton.edges]
    return bones, joints, [_side_of({joints[a], joints[b]}) for a, b in bones]


def _side_of(sides: set[str]) -> str:
    """The side of a bone: a bone between left and right is in the middle."""
    outer = sides - {"middle"}
    return outer.pop() if len(outer) == 1 else "middle"


def _inks(colour: str, sides: list[str], number: int, sure: Floats) -> list[_Colour]:
    """The colours of joints or bones with these sides and shares of certainty."""
    if colour == "score":
        return [_score_colour(float(share)) for share in sure]
    if colour == "side":
        return [SIDES[side] for side in sides]
    own = person_colour(number)
    # the person's right is darker, so that the sides can be told apart here, too
    darker = (own[0] * 3 // 5, own[1] * 3 // 5, own[2] * 3 // 5)
    return [darker if side == "right" else own for side in sides]


def _score_colour(share: float) -> _Colour:
    place = share * (len(_SCALE) - 1)
    below = min(int(place), len(_SCALE) - 2)
    red, green, blue = _SCALE[below] + (place - below) * (_SCALE[below + 1] - _SCALE[below])
    return int(red), int(green), int(blue)


def _radius(xy: Floats, size: tuple[int, int]) -> float:
    """Radius of a joint for a person with these joints (S, 2), in pixels."""
    span = float(np.ptp(xy, axis=0).max()) if len(xy) else 0.0
    return float(min(max(span / 70, 0.7), max(2.0, max(size) / 110)))


def _sizes(
    xy: Floats, shown: npt.NDArray[np.bool_], ends: Ints, dot: float
) -> tuple[list[float], list[int]]:
    """Radii of the joints (K,) and widths of the bones (E,), pixels.

    Eyes and ears lie close together: their dots and bones get no wider than fits.
    """
    length = np.linalg.norm(xy[ends[:, 0]] - xy[ends[:, 1]], axis=1)
    fits = np.minimum(dot, np.maximum(0.8, 0.25 * length))
    fits[~shown[ends].all(axis=1)] = dot
    dots = np.full(len(xy), dot)
    np.minimum.at(dots, ends[:, 0], fits)
    np.minimum.at(dots, ends[:, 1], fits)
    return dots.tolist(), np.maximum(1, np.rint(1.1 * fits)).astype(int).tolist()


def _paint(canvas: Image, figure: _Figure, level: int) -> None:
    """Blend in what is as opaque as this level: dark rims, then bones, then joints."""
    levels = figure.levels
    joints = [k for k, own in enumerate(levels) if own == level]
    bones = [e for e, (a, b) in enumerate(figure.bones) if min(levels[a], levels[b]) == level]
    if not joints and not bones:
        return
    opacity = _OPACITY[level]
    if opacity == 1.0:
        _strokes(canvas, figure, joints, bones, (0, 0))
        return
    touched = [*joints, *(end for e in bones for end in figure.bones[e])]
    x0, y0, x1, y1 = _around(canvas, [figure.at[k] for k in touched], 3 * figure.dot + 3)
    window = canvas[y0:y1, x0:x1]
    if window.size:
        painted = window.copy()
        _strokes(painted, figure, joints, bones, (x0, y0))
        canvas[y0:y1, x0:x1] = cv2.addWeighted(painted, opacity, window, 1 - opacity, 0)


def _around(canvas: Image, at: list[tuple[int, int]], reach: float) -> tuple[int, int, int, int]:
    """The part x0, y0, x1, y1 of the canvas that holds these places and `reach` pixels around."""
    xs, ys = zip(*at, strict=True)
    more = math.ceil(reach)
    height, width = canvas.shape[:2]
    x0, x1 = (min(max(x, 0), width) for x in (min(xs) // _SUB - more, max(xs) // _SUB + more + 1))
    y0, y1 = (min(max(y, 0), height) for y in (min(ys) // _SUB - more, max(ys) // _SUB + more + 1))
    return x0, y0, x1, y1


def _strokes(
    part: Image, figure: _Figure, joints: list[int], bones: list[int], corner: tuple[int, int]
) -> None:
    """Paint bones and joints into a part of the picture whose top left pixel is `corner`."""
    left, top = corner[0] * _SUB, corner[1] * _SUB
    at = [(x - left, y - top) for x, y in figure.at]
    rim = figure.rim
    for e in bones:
        a, b = figure.bones[e]
        cv2.line(part, at[a], at[b], _RIM, figure.wides[e] + 2 * rim, cv2.LINE_AA, _BITS)
    for e in bones:
        a, b = figure.bones[e]
        cv2.line(part, at[a], at[b], figure.bone_inks[e], figure.wides[e], cv2.LINE_AA, _BITS)
    for k in joints:
        for size, ink in ((figure.dots[k] + rim, _RIM), (figure.dots[k], figure.inks[k])):
            reach = round(size * _SUB)
            cv2.circle(part, at[k], reach, ink, cv2.FILLED, cv2.LINE_AA, _BITS)


def _fixed(x: float, y: float) -> tuple[int, int]:
    """A point in 1/16 pixels, as cv2 wants it."""
    return round(x * _SUB), round(y * _SUB)


def _box(canvas: Image, figure: _Figure) -> None:
    """A frame in the person's colour around the person's box."""
    if not np.isfinite(figure.box).all():
        return
    x0, y0, x1, y1 = figure.box.clip(-_FAR, _FAR).tolist()
    wide = max(1, round(figure.dot * 0.5))
    for width, ink in ((wide + 2, _RIM), (wide, person_colour(figure.number))):
        cv2.rectangle(canvas, _fixed(x0, y0), _fixed(x1, y1), ink, width, cv2.LINE_8, _BITS)


def _names(canvas: Image, figure: _Figure, skeleton: Skeleton) -> None:
    """The name of each joint that is shown, right of it."""
    scale = min(max(figure.dot / 9, 0.3), 0.9)
    for k, (x, y) in enumerate(figure.at):
        if figure.levels[k] >= 0:
            place = round(x / _SUB + 1.6 * figure.dots[k] + 2), round(y / _SUB + 8 * scale)
            _text(canvas, skeleton.joints[k], place, scale, _LIGHT)


def _text(canvas: Image, text: str, place: tuple[int, int], scale: float, ink: _Colour) -> None:
    """Words in one colour with a dark rim, their lower left corner at `place`."""
    thin = 1 if scale < 0.8 else 2
    for width, colour in ((thin + 2, _RIM), (thin, ink)):
        cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, width,
                    cv2.LINE_AA)  # fmt: skip


def _tag(canvas: Image, figure: _Figure) -> None:
    """The track's number above the person's topmost joint, inside the picture."""
    shown = [place for place, level in zip(figure.at, figure.levels, strict=True) if level >= 0]
    if not shown:
        return
    scale = min(max(figure.dot / 6, 0.45), 1.5)
    text = str(figure.number)
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
    height, width = canvas.shape[:2]
    top = min(shown, key=lambda place: place[1])
    x = min(max(round(top[0] / _SUB - wide / 2), 2), max(width - wide - 2, 0))
    y = min(max(round(top[1] / _SUB - 3 * figure.dot - 6), high + 3), height - 2)
    _text(canvas, text, (x, y), scale, person_colour(figure.number))
