// People's boxes in the browser: what posegram/infer/detect.py and metrics/boxes.py do.
// A box is [x0, y0, x1, y1] in picture pixels.

import { clamp, inverse, move, probability, toCrop, whole } from "./coords.js";

const [STEP, LONG, MORE] = [32, 1.3, 1.1]; // as posegram/data/scenes.py
const [LEAST, OVERLAP, TOP] = [0.2, 0.5, 300]; // as posegram/infer/detect.py
const [CLOSER, SMALL, SURE, LARGE] = [1.6, 0.025, 0.4, 0.1]; // as there, too

/** Intersection over union of two boxes, 0 to 1. */
export function iou(a, b) {
  const shared = area([
    Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3]),
  ]);
  return shared / Math.max(area(a) + area(b) - shared, 1e-9);
}

function area([x0, y0, x1, y1]) {
  return Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);
}

/** [height, width] of the detector's input that shows a picture largest, multiples of 32. */
export function inputSize([height, width], [h, w]) {
  const most = Math.max(Math.floor((LONG * Math.sqrt(h * w)) / STEP), 1);
  let best = [0, 0, null];
  for (let y = STEP; y <= most * STEP; y += STEP) {
    for (let x = STEP; x <= most * STEP; x += STEP) {
      if (y * x > MORE * h * w) continue;
      const zoom = Math.min(y / height, x / width);
      if (!best[2] || zoom > best[0] || (zoom === best[0] && y * x < best[1])) {
        best = [zoom, y * x, [y, x]];
      }
    }
  }
  return best[2];
}

/** The matrix from a picture to the detector's input of that size. */
export function toScene(picture, size) {
  return toCrop(whole(picture.width, picture.height), size, 1);
}

/**
 * Boxes in picture pixels with the probability that each holds a person, [{box, sure}], best first,
 * from the detector's outputs: boxes (1, N, 4), logits (1, N).
 */
export function decodeBoxes([boxes, logits], matrix, picture, calibration) {
  const rows = [];
  for (let n = 0; n < logits.data.length; n++) {
    const score = probability(logits.data[n], calibration);
    if (score >= LEAST) rows.push({ sure: score, box: Array.from(boxes.data.subarray(4 * n, 4 * n + 4)) });
  }
  const back = inverse(matrix);
  return best(rows).map(({ box, sure }) => {
    const [x0, y0] = move([box[0], box[1]], back);
    const [x1, y1] = move([box[2], box[3]], back);
    const [right, bottom] = [picture.width - 0.5, picture.height - 0.5];
    const ends = [[x0, right], [y0, bottom], [x1, right], [y1, bottom]];
    return { box: ends.map(([value, most]) => clamp(value, -0.5, most)), sure };
  });
}

/** [{box, sure}] by falling probability, without those that overlap a better one. */
function best(rows) {
  const kept = [];
  for (const row of rows.sort((a, b) => b.sure - a.sure).slice(0, TOP)) {
    if (kept.every((other) => iou(other.box, row.box) <= OVERLAP)) kept.push(row);
  }
  return kept;
}

/**
 * The people's boxes in a picture: those that `look` finds with an input of about that size
 * ([height, width] to [{box, sure}]), and, where most are small, with a larger one.
 */
export async function search(look, picture, size) {
  const share = ({ box }) => area(box) / (picture.width * picture.height);
  const first = await look(size);
  const shares = first.filter(({ sure }) => sure >= SURE).map(share).sort((a, b) => a - b);
  const [low, high] = [shares[(shares.length - 1) >> 1], shares[shares.length >> 1]];
  if (!shares.length || (low + high) / 2 > SMALL) return first;
  const again = await look(size.map((side) => Math.round(CLOSER * side)));
  const [large, others] = [first.filter((row) => share(row) >= LARGE), first.filter((row) => share(row) < LARGE)];
  // who is large now and was not, quite, before would otherwise be in neither
  const grown = (row) => others.some((other) => iou(other.box, row.box) > OVERLAP);
  return best([...large, ...again.filter((row) => share(row) < LARGE || grown(row))]);
}
