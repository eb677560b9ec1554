"""Short video files, good and bad, made on the spot."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

COLOURS = np.array([[220, 40, 40], [40, 200, 60], [50, 60, 220], [230, 230, 230]], dtype=np.uint8)


def picture(number: int = 0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Red, green, blue and white quarters (H, W, 3), with a dark bar that moves."""
    height, width = size
    image = np.repeat(np.repeat(COLOURS.reshape(2, 2, 3), -(-height // 2), 0), -(-width // 2), 1)
    image = np.ascontiguousarray(image[:height, :width])
    image[:, 4 + number % (width - 8)] = 20
    return image


def make(
    path: Path,
    times: list[float] | None = None,
    *,
    size: tuple[int, int] = (96, 128),
    rotation: int = 0,
    sound: float = 0.0,
    offset: float = 0.0,
    pixel: Fraction = Fraction(1),
    last: float = 0.0,
) -> Path:
    """A clip with a frame at each time (10 at 25/s without), turned by its metadata; its path.

    `sound` is the number of seconds of sound beside it, `offset` what the clip's own clock shows
    at its beginning, as that of a broadcast does, `pixel` the width / height of its pixels,
    `last` the seconds for which the last frame is shown.
    """
    times = [n / 25 for n in range(10)] if times is None else times
    options = {"movflags": "+faststart"} if path.suffix in (".mp4", ".mov") else {}
    if offset:
        options["output_ts_offset"] = str(offset)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000 if path.suffix != ".avi" else 25)
        stream.options = {"g": "5"}
        stream.codec_context.sample_aspect_ratio = pixel
        if rotation:
            stream.set_display_rotation(rotation)
        heard = container.add_stream("aac", rate=44100) if sound else None
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number, size), format="rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time / frame.time_base)
            container.mux(stream.encode(frame))
        packets = stream.encode(None)
        if last:
            packets[-1].duration = round(last / packets[-1].time_base)
        container.mux(packets)
        if heard:
            _sound(container, heard, sound)
    return path


def _sound(container, stream, seconds: float) -> None:
    for number in range(round(seconds * 44100 / 1024)):
        wave = np.sin(np.arange(1024) / 20 + number).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
        frame.rate, frame.pts = 44100, number * 1024
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def sound_only(path: Path) -> Path:
    """A file with sound alone; its path."""
    with av.open(str(path), "w") as container:
        _sound(container, container.add_stream("aac", rate=44100), 0.5)
    return path


def cut(path: Path, share: float = 0.6) -> Path:
    """The same file without its end; its path."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
