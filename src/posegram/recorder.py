"""Video out: H.264 in an .mp4 that browsers play, with the sound of another clip."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from posegram.files import draft_of
from posegram.pose import Image

try:
    import av
except ModuleNotFoundError as fault:
    raise ImportError("video needs PyAV: pip install 'posegram[video]'") from fault

__all__ = ["Writer", "beginning", "silence"]

_TICKS = 90_000  # of a second, in which the times of written frames are counted
# real containers only: a playlist of the same name would make FFmpeg read other files
_GUARDED = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,matroska,webm,avi,asf,flv,mpegts,mpeg,ogg,image2,gif,mjpeg,"
    "mxf,gxf,nut,dv,wtv,rm,ivf,h264,hevc,mpegvideo,m4v,yuv4mpegpipe",
}
_COPIED = ("aac", "mp3", "opus", "flac", "ac3", "eac3", "alac")  # sound that an .mp4 may hold


class Writer:
    """A context manager that writes frames as H.264 in an .mp4 which browsers play.

    The file appears when the block ends, also by an exception or by Ctrl-C: it plays what was
    written so far; without a frame, an older file of the name stays as it was. Odd sides grow by
    one pixel, since the format halves its colours.

    Attributes:
        path: the file.
        size: height and width of every frame in pixels.
        count: frames written.
        sound: whether the file gets sound.
        muted: why the sound that was asked for is left out, see `silence`.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        *,
        fps: float = 30.0,
        sound: Path | None = None,
        start: float = 0.0,
        pixel: Fraction = Fraction(1),
    ) -> None:
        """A writer of one file.

        Args:
            path: the .mp4 file.
            size: height and width of every frame in pixels.
            fps: about how many frames a second there will be; their own times decide.
            sound: a clip whose sound is copied beside the frames; left out where that cannot be.
            start: seconds into that clip of the time 0 here.
            pixel: width / height of a pixel as players show it.

        Raises:
            FileNotFoundError: there is no folder to write to, or no such clip of sound.
            OSError: the file cannot be written.
            ValueError: its name does not end in .mp4.
        """
        if path.suffix.lower() != ".mp4":
            raise ValueError(f"cannot write {path}: its name must end in .mp4")
        self.muted = "" if sound is None else silence(sound)
        self.path, self.size, self.count = path, size, 0
        self._part = draft_of(path)
        self._last = -1
        with self._told():
            self._out = av.open(
                f"file:{self._part}", "w", format="mp4", options={"movflags": "+faststart"}
            )
        try:
            self._stream = _h264(self._out, size, fps)
            self._stream.codec_context.sample_aspect_ratio = pixel
            self._packets = _sound(self._out, None if self.muted else sound, start)
            self._next = next(self._packets, None)  # opens the clip, which names its sound's format
        except BaseException:
            self._out.close()
            self._part.unlink(missing_ok=True)
            raise
        self.sound = self._next is not None

    def __enter__(self) -> Writer:
        return self

    def write(self, image: Image, time: float) -> None:
        """Append one frame (H, W, 3) uint8 RGB that is shown at `time` seconds.

        Raises:
            OSError: the file cannot be written.
            ValueError: the frame has another size than was told.
        """
        if image.shape != (*self.size, 3) or image.dtype != np.uint8:
            raise ValueError(f"{self.path}: a frame is {image.shape}, not {(*self.size, 3)} uint8")
        odd = [(0, side % 2) for side in self.size]
        even = np.pad(image, (*odd, (0, 0)), mode="edge") if any(map(any, odd)) else image
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709")
        self._last = max(self._last + 1, round(time * _TICKS))
        frame.pts, frame.time_base = self._last, Fraction(1, _TICKS)
        self._mux(frame)
        self.count += 1

    def _mux(self, frame: Any) -> None:
        """Encode a frame, None for the last, and bring the sound up to it."""
        with self._told():
            for packet in self._stream.encode(frame):
                self._out.mux(packet)
            while self._next is not None and self._next.pts * self._next.time_base <= (
                self._last / _TICKS
            ):
                self._out.mux(self._next)
                self._next = next(self._packets, None)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """FFmpeg's refusal to write as a sentence."""
        try:
            yield
        except av.error.FFmpegError as fault:
            self._part.unlink(missing_ok=True)
            raise OSError(f"cannot write {self.path}: {fault.strerror}") from fault

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            with contextlib.suppress(OSError) if fault else contextlib.nullcontext():
                if self.count:
                    self._mux(None)
                with self._told():
                    self._out.close()
                if self.count:
                    self._part.replace(self.path)
        finally:
            self._packets.close()
            self._part.unlink(missing_ok=True)


def beginning(container: Any) -> float:
    """The time that a clip's own clock shows at its beginning: of .ts files, any number."""
    return max(0.0, (container.start_time or 0) / 1e6)  # below 0 is but the run-up of the sound


def _h264(container: Any, size: tuple[int, int], fps: float) -> Any:
    """A stream of the kind that every browser plays."""
    rate = Fraction(min(max(fps, 1.0), 240.0)).limit_denominator(1001)
    stream = container.add_stream("libx264", rate=rate)
    stream.height, stream.width = (side + side % 2 for side in size)
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, _TICKS)
    stream.codec_context.gop_size = max(1, round(2 * rate))  # seconds between points to seek to
    stream.options = {"preset": "veryfast", "crf": "23"}
    for name in ("colorspace", "color_primaries", "color_trc"):
        setattr(stream.codec_context, name, 1)  # BT.709, ITU-T H.273 tables 2 to 4
    stream.codec_context.color_range = 1  # 16 to 235
    return stream


def silence(path: Path) -> str:
    """Why a clip's sound cannot be copied into an .mp4; empty where it can, or there is none.

    Raises:
        FileNotFoundError: there is no such file.
    """
    try:
        with _listened(path) as clip:
            if not clip.streams.audio:
                return ""
            taken = clip.streams.audio[0]
            kind = taken.codec_context.name if taken.codec_context else "unknown"
            if kind not in _COPIED:
                return f"an .mp4 does not hold its kind of sound ({kind})"
            _try(taken, next((p for p in clip.demux(taken) if p.size), None))
    except FileNotFoundError:
        raise
    except (av.error.FFmpegError, ValueError) as fault:
        return f"its sound cannot be opened ({getattr(fault, 'strerror', None) or fault})"
    return ""


def _try(taken: Any, packet: Any) -> None:
    """Begin an .mp4 in memory with a sound: one whose header is damaged is refused only there."""
    with av.open(io.BytesIO(), "w", format="mp4") as trial:
        given = trial.add_stream_from_template(taken)
        if packet is not None:
            packet.stream, packet.pts, packet.dts = given, 0, 0
            trial.mux(packet)


def _listened(path: Path) -> Any:
    """A clip, opened for its sound."""
    return av.open(f"file:{path}", metadata_errors="ignore", container_options=_GUARDED)


def _sound(container: Any, path: Path | None, start: float) -> Generator[Any, None, None]:
    """The sound of a clip as packets for the container, `start` seconds being time 0."""
    if path is None:
        return
    with _listened(path) as clip:
        if not clip.streams.audio:
            return
        taken, began = clip.streams.audio[0], beginning(clip) + start
        given = container.add_stream_from_template(taken)
        with contextlib.suppress(av.error.FFmpegError):  # sound that breaks off ends there
            if start > 0:
                clip.seek(int((began - 1.0) * 1_000_000))  # in .ts files it may land a bit behind
            for packet in clip.demux(taken):
                if packet.dts is None or packet.pts is None:
                    continue
                shift = round(began / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - shift,
                    packet.dts - shift,
                    given,
                )
                if packet.pts >= 0 or start == 0:
                    yield packet
