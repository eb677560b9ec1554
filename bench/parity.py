"""Does the browser find what the server finds? Crops, networks and joints of both, compared.

    python bench/parity.py coco:PATH/person_keypoints_train.json --people 60

Starts a server, opens its live page in Debian's Chromium, and gives both sides the same photos and
boxes. Distances are pixels of the crop (256x192) over joints of a score above a half. Beside them:
the server's own runtime with less of the graph fused, and what JPEG costs.
"""

from __future__ import annotations

import argparse
import base64
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from load import own_server, row
from playwright.sync_api import Page, sync_playwright

from posegram import coords
from posegram import image as pictures
from posegram.data import read
from posegram.infer.load import bundled, load_network
from posegram.pose import Card, Floats, Image, Sample

PATIENCE = 300_000  # milliseconds
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OPEN = """async () => {
  const base = document.querySelector("script[type=module]").src;
  const { poses } = JSON.parse(document.querySelector("#main").dataset.config).device;
  const at = new URL("../ort/", base).href;
  const ort = await import(`${at}ort.wasm.min.mjs`);
  ort.env.wasm.wasmPaths = at;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(poses.small.file);
  const { warp, toCrop } = await import(new URL("coords.js", base).href);
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const text = (array) => {
    const all = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    return btoa(Array.from(all, (one) => String.fromCharCode(one)).join(""));
  };
  self.run = async (crop, size) => {
    const pixels = new ort.Tensor("uint8", bytes(crop), [1, ...size, 3]);
    const told = await session.run({ [session.inputNames[0]]: pixels });
    return text(told[session.outputNames[0]].data);
  };
  self.cut = async (photo, box, size, margin) => {
    const bitmap = await createImageBitmap(new Blob([bytes(photo)], { type: "image/jpeg" }));
    const [width, height] = [bitmap.width, bitmap.height];
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const out = new Uint8Array(size[0] * size[1] * 3);
    warp({ data, width, height, channels: 4 }, toCrop(box, size, margin), size, out);
    return text(out);
  };
}"""


def in_browser(page: Page, people: list[Sample], crops: Image, card: Card) -> tuple[Image, Floats]:
    """The browser's own crops of the photos' files, and its heatmaps of the crops given."""
    page.goto("/live")
    page.evaluate(OPEN)
    cut, heat = [], []
    for sample, crop in zip(people, crops, strict=True):
        photo, box = base64.b64encode(sample.image.read_bytes()).decode(), sample.box.tolist()
        told = page.evaluate("(a) => self.cut(...a)", [photo, box, card.size, card.margin])
        cut.append(np.frombuffer(base64.b64decode(told), dtype=np.uint8).reshape(crop.shape))
        given = base64.b64encode(crop.tobytes()).decode()
        told = page.evaluate("(a) => self.run(...a)", [given, card.size])
        heat.append(np.frombuffer(base64.b64decode(told), dtype=np.float32))
    return np.stack(cut), np.stack(heat)


def cut_all(people: list[Sample], card: Card, change: Callable[[Image], Image]) -> Image:
    """Crops around people, (N, H, W, 3), each of a photo that was changed before."""
    cut = [
        coords.crop(change(pictures.read(one.image)), one.box[None], card.size, margin=card.margin)
        for one in people
    ]
    return np.concatenate([crops for crops, _ in cut])


def jpeg(quality: int) -> Callable[[Image], Image]:
    """What a picture looks like after a JPEG of some quality."""

    def through(picture: Image) -> Image:
        data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])

    return through


def less_fused(path: Path, crops: Image) -> Floats:
    """Heatmaps by the same runtime with fewer steps of its graph fused, (N, K, h, w)."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: crop[None]})[0] for crop in crops])


def tell(name: str, card: Card, first: Floats, second: Floats) -> None:
    """Print how far joints are from each other in two lots of heatmaps, (N, K, h, w)."""
    (here, logit), (there, _) = (
        coords.decode((heat,), card.kind, card.size) for heat in (first, second)
    )
    sure = coords.probability(logit, card.calibration) > 0.5
    off = np.linalg.norm(here - there, axis=-1)[sure]
    middle, most, nearly = np.percentile(off, [50, 90, 99])
    told = (
        f"median {middle:.2f}  p90 {most:.2f}  p99 {nearly:.2f}  within 1: {(off <= 1).mean():.1%}"
    )
    print(f"  {name:<40} {told}   ({off.size} joints)")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "data", help="labelled people in JPEG files, as `posegram evaluate` takes them"
    )
    parser.add_argument("--people", type=int, default=60, help="so many, evenly spread")
    args = parser.parse_args()
    people = [one for one in read(args.data) if one.box[3] - one.box[1] > 100]
    people = [people[n] for n in np.linspace(0, len(people) - 1, args.people).astype(int)]
    card, network = load_network("small", threads=1)

    def run(crops: Image) -> Floats:
        return np.concatenate([network(crop[None])[0] for crop in crops])

    crops = cut_all(people, card, lambda picture: picture)
    native = run(crops)
    with own_server([]) as (url, _), sync_playwright() as api:
        browser = api.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(base_url=url)
        page.set_default_timeout(PATIENCE)
        cut, heat = in_browser(page, people, crops, card)
        browser.close()
    off = np.abs(cut.astype(int) - crops)
    row("crops", f"{(off > 0).mean():.4%} of the values differ, by {off.max()} at most", "")
    tell("this network: browser against server", card, native, heat.reshape(native.shape))
    tell("server, the browser's crops", card, native, run(cut))
    tell("server, graph less fused", card, native, less_fused(bundled("small"), crops))
    for quality in (85, 70):
        tell(f"server, JPEG {quality}", card, native, run(cut_all(people, card, jpeg(quality))))


if __name__ == "__main__":
    main()
