"""The live page in a real browser: frames per second and latency, on the server and on this device.

    python bench/live.py                                     # starts a server of its own
    python bench/live.py --seconds 60 --model small

Debian's Chromium shows a fake camera (640x480, 30 frames/s, a moving photo) to the page as a person
sees it. Latency is from a frame's capture to its joints on the page; `camera` is what the browser
itself could show. Needs `make setup` (Playwright) and /usr/bin/chromium.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from load import PHOTO, own_server, row
from playwright.sync_api import Page, sync_playwright

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]
PATIENCE = 300_000  # milliseconds until the first joints


def film(path: Path) -> None:
    """Write what the fake camera shows, concatenated JPEGs: somebody who moves to and fro."""
    photo = cv2.resize(cv2.imread(str(PHOTO)), (480, 480), interpolation=cv2.INTER_AREA)
    parts = []
    for n in range(60):
        at = 80 + round(60 * np.sin(2 * np.pi * n / 60))
        frame = np.full((480, 640, 3), 90, dtype=np.uint8)
        frame[:, at : at + 480] = photo
        parts.append(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    path.write_bytes(b"".join(parts))


def live(page: Page, where: str, model: str, seconds: float) -> list[dict[str, Any]]:
    """The page's gauges every two seconds, once the first joints are drawn."""
    page.goto("/live")
    page.select_option("#model", model)
    page.locator(f"input[name=where][value={where}]").check(force=True)
    page.click("#start")
    page.locator("#gauges[data-median]:not([data-median='0'])").wait_for(timeout=PATIENCE)
    page.wait_for_timeout(3000)  # the first frames warm everything up
    read = "({ ...document.querySelector('#gauges').dataset })"
    found = []
    for _ in range(max(1, round(seconds / 2))):
        page.wait_for_timeout(2000)
        found.append(page.evaluate(read))
    page.click("#stop")
    return found


def tell(where: str, found: list[dict[str, Any]]) -> None:
    """Print one run's row."""

    def each(name: str) -> list[float]:
        return [float(one[name]) for one in found]

    print(f"live in Chromium, worked out on the {where}, {2 * len(found)} s")
    rate = each("fps")
    row("frames/s", f"{np.median(rate):.1f} ({min(rate):.1f} to {max(rate):.1f})", "")
    row("camera", f"{np.median(each('camera')):.1f}", "frames/s")
    row("latency", f"{np.median(each('median')):.0f} {np.median(each('worst')):.0f}", "p50 p95, ms")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run")
    parser.add_argument("--model", default="small")
    parser.add_argument("--where", nargs="*", default=["server", "device"])
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with (
        own_server([]) as (url, _),
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as api,
    ):
        camera = Path(folder) / "camera.mjpeg"
        film(camera)
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
        browser = api.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        for where in args.where:
            page = browser.new_page(base_url=url)
            page.set_default_timeout(PATIENCE)
            tell(where, live(page, where, args.model, args.seconds))
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
