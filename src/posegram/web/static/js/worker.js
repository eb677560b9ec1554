// The live page's worker: runs the bundled networks on this device. Nothing leaves it.
// In: {kind: "load", pose, detector, most: people (0: all)} then {kind: "frame", bitmap, sequence, time}.
// Out: {kind: "ready"}, {kind: "people", sequence, time, people} or {kind: "fault", message}.

import * as ort from "../ort/ort.wasm.min.mjs";
import { decodeBoxes, inputSize, search, toScene } from "./boxes.js";
import { decode, inverse, move, probability, toCrop, warp } from "./coords.js";
import { follower, foremost } from "./follow.js";

ort.env.wasm.wasmPaths = new URL("../ort/", import.meta.url).href;
ort.env.wasm.numThreads = self.crossOriginIsolated
  ? Math.max(1, Math.min(4, Math.floor(navigator.hardwareConcurrency / 2)))
  : 1;
ort.env.logLevel = "error";

let follow = null;
let [most, foremostIds] = [0, []];

/** {card, spread, closer, run}: `run` takes 8-bit RGB pixels and their dims, gives the network's outputs. */
async function open({ card, file, spread, closer }) {
  const session = await ort.InferenceSession.create(file, { executionProviders: ["wasm"] });
  const run = async (pixels, dims) => {
    const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor("uint8", pixels, dims) });
    return session.outputNames.map((name) => outputs[name]);
  };
  return { card, spread, closer, run };
}

/** People [{box, score, xy, scores}], one per box of a picture. */
async function pose({ card, spread, run }, picture, boxes, bare) {
  const [height, width] = card.size;
  const matrices = boxes.map((box) => toCrop(box, card.size, bare ? 1 : card.margin));
  const crops = new Uint8Array(boxes.length * height * width * 3);
  matrices.forEach((matrix, n) => warp(picture, matrix, card.size, crops, n * height * width * 3));
  const outputs = await run(crops, [boxes.length, height, width, 3]);
  const { xy, logit } = decode(outputs, card.kind, card.size, spread);
  return boxes.map((box, n) => {
    const back = inverse(matrices[n]);
    const scores = logit[n].map((value) => probability(value, card.calibration));
    const score = scores.reduce((sum, value) => sum + value, 0) / scores.length;
    return { box, score, scores, xy: xy[n].map((point) => move(point, back)) };
  });
}

async function detect({ card, closer, run }, picture) {
  const look = async (like) => {
    const size = inputSize([picture.height, picture.width], like);
    const matrix = toScene(picture, size);
    const scene = new Uint8Array(size[0] * size[1] * 3);
    warp(picture, matrix, size, scene);
    return decodeBoxes(await run(scene, [1, ...size, 3]), matrix, picture, card.calibration);
  };
  return closer ? search(look, picture, card.size) : look(card.size);
}

async function load({ pose: network, detector, most: wanted = 0 }) {
  most = wanted;
  const poser = await open(network);
  const finder = detector ? await open(detector) : null;
  const [height, width] = poser.card.size;
  await poser.run(new Uint8Array(height * width * 3), [1, height, width, 3]); // the first run is slow
  follow = follower({
    pose: (picture, boxes, bare) => pose(poser, picture, boxes, bare),
    detect: finder && ((picture) => detect(finder, picture)),
  });
  self.postMessage({ kind: "ready" });
}

let canvas = null;

/** The pixels of a bitmap; the bitmap is closed. */
function pixels(bitmap) {
  const { width, height } = bitmap;
  if (!canvas || canvas.width !== width || canvas.height !== height) {
    canvas = new OffscreenCanvas(width, height);
  }
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 };
}

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "load") return await load(data);
    const started = performance.now();
    const people = foremost(await follow(pixels(data.bitmap), data.time), most, foremostIds);
    foremostIds = people.map((person) => person.track);
    const spent = performance.now() - started;
    self.postMessage({ kind: "people", sequence: data.sequence, time: data.time, people, spent });
  } catch (fault) {
    self.postMessage({ kind: "fault", message: String(fault?.message ?? fault) });
  }
};
