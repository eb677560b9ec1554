// People through the frames of a camera on this device: found now and then, followed in between.
// A shorter relative of posegram/infer/follow.py, with the same schedule and the same boxes.

import { iou } from "./boxes.js";
import { whole } from "./coords.js";
import { smoother } from "./smooth.js";

const EVERY = 10; // frames from one look of the detector to the next, while all goes well
const JOINT = 0.2; // score from which a joint may widen a box
const GROWTH = 0.08; // of the longer side: head, hands and feet reach beyond their joints
const [FAITH, SURE] = [0.3, 0.35]; // mean scores: below it a person is given up; from it may be new
const [COVERED, DOUBLE] = [0.4, 0.7]; // overlaps: a box is somebody followed; two people are one
const PATIENCE = 1; // seconds for which somebody is looked for where they were; browsers can be slow
const MOST = 4; // people followed at once: each costs a run of the network

/**
 * An async function (picture, seconds) -> people [{track, box, score, xy, scores}] that keeps state.
 *
 * `pose(picture, boxes, bare)` finds one person per box; `bare` says that nothing lies around the
 * box. `detect(picture)` finds boxes; without it the whole frame is the first box.
 */
export function follower({ pose, detect = null }) {
  let tracks = []; // {id, body, score, seen, steady}
  let [next, since, doubt] = [1, EVERY, false];

  /** Where to look: {boxes, owners (track or null), bare}. */
  async function places(picture, time) {
    const known = tracks.filter((track) => time - track.seen <= PATIENCE);
    const followed = { boxes: known.map((track) => track.next), owners: known, bare: false };
    if (!detect) {
      if (known.length) return followed;
      return { boxes: [whole(picture.width, picture.height)], owners: [null], bare: true };
    }
    since += 1;
    if (known.length && since < (doubt ? 2 : EVERY)) return followed;
    since = 0;
    const found = (await detect(picture)).map((box) => ({ box, owner: null }));
    for (const track of known) {
      const seen = found.find((one) => !one.owner && iou(one.box, track.next) >= COVERED);
      if (seen) seen.owner = track;
      else found.push({ box: track.next, owner: track });
    }
    const chosen = found.slice(0, MOST);
    return { boxes: chosen.map((one) => one.box), owners: chosen.map((one) => one.owner), bare: false };
  }

  return async (picture, time) => {
    const { boxes, owners, bare } = await places(picture, time);
    const found = boxes.length ? await pose(picture, boxes, bare) : [];
    const rows = found.map((person, n) => ({ person, owner: owners[n], body: bodyOf(person) }))
      .filter(({ person, owner, body }) => body && person.score >= (owner ? FAITH : SURE))
      .sort((a, b) => Boolean(b.owner) - Boolean(a.owner) || b.person.score - a.person.score);
    const kept = [];
    for (const row of rows) if (kept.every((other) => iou(other.body, row.body) <= DOUBLE)) kept.push(row);
    doubt = kept.length < tracks.filter((track) => time - track.seen <= PATIENCE).length;
    return kept.map(({ person, owner, body }) => {
      const track = owner ?? { id: next++, steady: smoother() };
      if (!owner) tracks.push(track);
      Object.assign(track, { body, seen: time, next: around(person, picture) });
      const size = Math.max(body[2] - body[0], body[3] - body[1], 1);
      tracks = tracks.filter((other) => time - other.seen <= 1);
      return { ...person, track: track.id, xy: track.steady(person.xy, person.scores, size, time) };
    });
  };
}

/** The smallest box around points; null around fewer than two. */
function bounds(points) {
  if (points.length < 2) return null;
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function bodyOf(person) {
  return bounds(person.xy.filter((_, n) => person.scores[n] >= JOINT));
}

/** The box to look at next: around the joints that are likely, grown, within the picture. */
function around(person, { width, height }) {
  const [x0, y0, x1, y1] = bodyOf(person);
  const reach = GROWTH * Math.max(x1 - x0, y1 - y0);
  return [
    Math.max(x0 - reach, -0.5), Math.max(y0 - reach, -0.5),
    Math.min(x1 + reach, width - 0.5), Math.min(y1 + reach, height - 0.5),
  ];
}
