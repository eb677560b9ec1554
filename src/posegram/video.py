"""Frames with their times out of files, cameras and network streams."""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from posegram.pose import Image
from posegram.recorder import Writer, beginning

try:
    import av
    from av.codec.context import Flags
except ModuleNotFoundError as fault:
    raise ImportError("video needs PyAV: pip install 'posegram[video]'") from fault

__all__ = ["Broken", "Clip", "Frame", "Source", "Writer", "frames", "is_live", "latest", "probe"]

Source = str | Path  # a file; rtsp://, http:// and the like; a camera: /dev/video0 or its number

# for files of strangers: no playlist that reads other files or the network, no exotic reader
_GUARDED = {"protocol_whitelist": "file", "format_whitelist": "mov,mp4,matroska,webm,avi"}
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}"),
            "win32": ("dshow", "video={}")}  # fmt: skip
_PATIENCE = 10.0  # seconds without a packet after which a stream counts as gone
_ASKED = 0.3  # seconds between two questions whether to stop while no frame comes


class Broken(ValueError):
    """A clip that ends too early; the frames before that are good."""


@dataclass(frozen=True)
class Clip:
    """What is known of a video before it is decoded."""

    width: int  # of the upright picture, pixels
    height: int
    seconds: float | None  # None for what is live
    fps: float  # on average
    count: int | None  # frames, an estimate; None for what is live
    sound: bool
    pixel: Fraction = Fraction(1)  # width / height of a pixel as it is shown: 4/3 in HDV


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video."""

    image: Image  # (H, W, 3) uint8 RGB, upright
    time: float  # seconds from the beginning of the clip
    number: int = 0  # its place in the whole clip, from 0; behind a start reckoned from its time


def probe(source: Source, *, trusted: bool = True) -> Clip:
    """Size, length and rate of a video, with its first frame decoded as proof.

    Args:
        source: a file, a stream's address, a camera.
        trusted: False for a stranger's file: only plain containers, and nothing but that file.

    Raises:
        FileNotFoundError: there is no such file or camera.
        ValueError: it holds no video that can be decoded.
    """
    with _opened(source, trusted) as container:
        stream = container.streams.video[0]
        first = next(_decoded(container, stream, str(source)), None)
        if first is None:
            raise ValueError(f"{source} holds no frame that can be decoded")
        height, width = _upright(first[0]).shape[:2]
        seconds, fps = _seconds(container, stream), _rate(stream)
        count = None if seconds is None else max(1, round(seconds * fps))
        pixel = Fraction(stream.sample_aspect_ratio or 1)
        if _turns(first[0]) % 2:
            pixel = 1 / pixel
        return Clip(width, height, seconds, fps, count, bool(container.streams.audio), pixel)


def frames(
    source: Source, *, trusted: bool = True, start: float = 0.0, end: float | None = None
) -> Iterator[Frame]:
    """The frames of a video one by one, upright, with their own times, which only grow.

    Args:
        source: a file, a stream's address, a camera.
        trusted: False for a stranger's file: only plain containers, and nothing but that file.
        start: seconds into the clip at which to begin.
        end: seconds into the clip at which to stop; with the clip by default.

    Raises:
        FileNotFoundError: there is no such file or camera.
        Broken: after the last good frame, when the clip ends before it should.
        ValueError: it holds no video that can be decoded.
    """
    with _opened(source, trusted) as container:
        stream = container.streams.video[0]
        if is_live(source):
            stream.codec_context.flags |= Flags.low_delay
        else:
            stream.thread_type = "AUTO"
        if start > 0:
            _seek(container, stream, start)
        step, last, reached = 1.0 / _rate(stream), -math.inf, 0.0
        first = count = 0
        for count, (picture, time, until) in enumerate(_decoded(container, stream, str(source)), 1):
            if time is None or time <= last:  # damaged or missing times still have to grow
                time = max(0.0, last + step)
            last, reached = time, max(time + step, until)
            if count == 1 and start > 0:
                first = round(time / step)
            if end is not None and time >= end - 1e-6:
                return
            if time >= start - 1e-6:
                yield Frame(_upright(picture), time, first + count - 1)
        _check_end(container, stream, str(source), reached, count)


def latest(moving: Iterator[Frame], *, stop: Callable[[], bool] = lambda: False) -> Iterator[Frame]:
    """The newest frame each time one is asked for; those that came meanwhile are dropped.

    A camera does not wait for a slow network: without this its picture lags more and more.

    Args:
        moving: the frames as they come.
        stop: asked again and again while none comes; True ends the frames.
    """
    changed, newest = threading.Condition(), list[Frame | None]()
    fault: list[Exception] = []

    def read() -> None:
        try:
            for frame in moving:
                with changed:
                    if newest and newest[-1] is None:
                        return
                    newest[:] = [frame]
                    changed.notify()
        except Exception as stopped:  # noqa: BLE001 - raised again where the frames are used
            fault.append(stopped)
        with changed:
            newest.append(None)
            changed.notify()

    threading.Thread(target=read, daemon=True, name="posegram-camera").start()
    try:
        while True:
            with changed:
                frame = _awaited(changed, newest, stop)
            if frame is None:
                break
            yield frame
    finally:
        with changed:
            newest[:] = [None]
    if fault:
        raise fault[0]


def _awaited(
    changed: threading.Condition, newest: list[Frame | None], stop: Callable[[], bool]
) -> Frame | None:
    """The frame that comes; None at the end, or once it is to stop."""
    while not changed.wait_for(lambda: newest, timeout=_ASKED):
        if stop():
            return None
    return newest.pop(0)


@contextlib.contextmanager
def _opened(source: Source, trusted: bool) -> Iterator[Any]:
    """The container, whose first video stream exists."""
    where, options = _address(source)
    if not trusted:
        if is_live(source):
            raise ValueError(f"{source} is no file")
        options = {"container_options": _GUARDED}
    elif "://" in where:
        options["timeout"] = (_PATIENCE, _PATIENCE)
    try:
        container = av.open(where, metadata_errors="ignore", **options)
    except av.error.FFmpegError as fault:
        raise _refusal(source, fault) from fault
    with container:
        if not container.streams.video:
            if container.streams.audio:
                raise ValueError(f"{source} holds sound but no video")
            raise _refusal(source)
        yield container


def is_live(source: Source) -> bool:
    """Whether a source is a camera or a network stream, which has no length and does not wait."""
    name = str(source)
    return isinstance(source, str) and (
        "://" in name or name.isdigit() or name.startswith(("/dev/video", "video="))
    )


def _address(source: Source) -> tuple[str, dict[str, Any]]:
    """What FFmpeg calls the source, and with which options it opens it."""
    name = str(source)
    if not is_live(source):
        if Path(name).is_dir():
            raise ValueError(f"{source} is a folder, not a video")
        if not Path(name).exists():
            raise FileNotFoundError(f"there is no file {source}")
        if Path(name).stat().st_size == 0:
            raise ValueError(f"{source} is empty")
        return f"file:{name}", {}  # a colon in a file's name is no protocol
    if "://" in name:
        return name, {}
    kind, numbered = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
    return numbered.format(name) if name.isdigit() else name, {"format": kind}


def _refusal(source: Source, fault: Exception | None = None) -> Exception:
    if is_live(source):
        said = str(getattr(fault, "strerror", "") or fault)
        return OSError(f"cannot open the camera or stream {source}: {said}{_cameras(str(source))}")
    if isinstance(fault, PermissionError):
        return PermissionError(f"may not read {source}")
    return ValueError(f"{source} is not a readable video (another kind of file, or cut off)")


def _cameras(source: str) -> str:
    """Which cameras there are, for somebody who asked for another one; only Linux tells."""
    if "://" in source or sys.platform != "linux":
        return ""
    there = sorted(map(str, Path("/dev").glob("video*")))
    return f"; there are {', '.join(there)}" if there else "; there is no camera (/dev/video0)"


def _seek(container: Any, stream: Any, start: float) -> None:
    """Go to a key frame before `start` seconds; in .ts files the first guess may lie behind it."""
    end, place = beginning(container) + start, 0
    for back in (0.0, 2.0, 10.0, start + 1.0):
        place = max(int((end - back) * 1_000_000), 0)  # .avi files refuse what lies before them
        container.seek(place)
        key = next((p for p in container.demux(stream) if p.is_keyframe), None)
        time = None if key is None else key.dts if key.pts is None else key.pts
        if time is not None and time * stream.time_base <= end:
            break
    container.seek(place)


def _decoded(container: Any, stream: Any, name: str) -> Iterator[tuple[Any, float | None, float]]:
    """FFmpeg's frames as they are shown, with their times; damaged ones are left out.

    With each comes until when frames are shown of which the file is read so far.
    """
    damaged, time, began, until = False, None, beginning(container), -math.inf
    try:
        for packet in container.demux(stream):
            pictures = _pictures(packet)
            if pictures is not None and packet.pts is not None:
                shown = (packet.pts + (packet.duration or 0)) * packet.time_base
                until = max(until, float(shown) - began)
            for picture in pictures or ():
                told = None if picture.time is None else picture.time - began
                time = time if told is None else told
                yield picture, told, until
            if packet.dts is not None:  # else it only asked for what was still in the decoder
                damaged = pictures is None or (damaged and not pictures)
    except av.error.FFmpegError as fault:
        raise Broken(f"{name} breaks off{_after(time)}") from fault
    if damaged:
        raise Broken(f"{name} breaks off{_after(time)}")


def _pictures(packet: Any) -> list[Any] | None:
    """The frames that a packet completes; None for a damaged one."""
    if packet.is_corrupt:  # half a packet would cost the threads' finished frames, too
        return None
    try:
        return list(packet.decode())
    except av.error.FFmpegError:
        return None


def _after(time: float | None) -> str:
    return " before its first frame" if time is None else f" after {time:.2f} s"


def _check_end(container: Any, stream: Any, name: str, reached: float, count: int) -> None:
    """Refuse a clip that says it is longer than the `count` frames that could be decoded."""
    if stream.duration is None and container.streams.audio:
        return  # the length told may be that of the sound
    if 0 < stream.frames <= count:
        return  # of changing rate, the last one shown for long
    seconds = _seconds(container, stream)
    if seconds is not None and reached < seconds - max(0.5, 0.02 * seconds):
        raise Broken(f"{name} breaks off after {reached:.2f} of {seconds:.2f} s")


def _seconds(container: Any, stream: Any) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        end = ((stream.start_time or 0) + stream.duration) * stream.time_base
        return float(end) - beginning(container)
    if not container.duration or container.duration < 0:
        return None
    # of Matroska and WebM it is the time at the end
    before = beginning(container) if "matroska" in container.format.name else 0.0
    return float(container.duration) / 1e6 - before


def _rate(stream: Any) -> float:
    """Frames a second; an .avi may call its ticks frames, so the smaller of two tales."""
    told = [float(r) for r in (stream.average_rate, stream.guessed_rate) if r]
    return min(told) if told and 0 < min(told) < 1000 else 30.0


def _turns(picture: Any) -> int:
    """How often a phone was turned by a quarter, counterclockwise, as it was held."""
    quarters: int = round(picture.rotation / 90) % 4
    return quarters


def _upright(picture: Any) -> Image:
    image, turns = picture.to_ndarray(format="rgb24"), _turns(picture)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
