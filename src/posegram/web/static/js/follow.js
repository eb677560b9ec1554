// People through the frames of a camera on this device: found now and then, followed in between.
// A shorter relative of posegram/infer/follow.py: the same schedule and boxes, for fewer people.

import { iou } from "./boxes.js";
import { whole } from "./coords.js";
import { smoother } from "./smooth.js";

const EVERY = 10; // frames from one look of the detector to the next, while all goes well
const SEEN = 0.3; // score from which a joint counts
const TRUNK = 0.15; // of the longer side: the least that a body's box measures across
const GROWTH = 0.08; // of the longer side: head, hands and feet reach beyond their joints
const [FAITH, SURE] = [0.3, 0.35]; // mean scores: below it a person is given up; from it may be new
const NEW = 0.5; // probability of a box from which it may hold somebody new
const LEAST = 0.2; // somebody new, none of whose joints is that likely, is a false alarm
const [COVERED, DOUBLE] = [0.4, 0.7]; // overlaps: a box is somebody followed; two people are one
const PATIENCE = 1; // seconds for which somebody is looked for where they were; browsers can be slow
const [STEADY, FADE] = [0.15, 0.5]; // seconds: a speed's average; until an unseen person stands
const [MISSES, CERTAIN] = [3, 0.6]; // looks of the detector that may miss who has no such mean score
export const MOST = 4; // people followed at once: each costs a run of the network

/**
 * An async function (picture, seconds) -> people [{track, box, score, xy, scores}] that keeps state.
 *
 * `pose(picture, boxes, bare)` finds one person per box; `bare` says that nothing lies around the
 * box. `detect(picture)` finds boxes, [{box, sure}]; without it the whole frame is the first box.
 */
export function follower({ pose, detect = null }) {
  let tracks = []; // {id, person, body, seen, steady, speed, sights, misses, next}
  let [next, since, doubt] = [1, EVERY, false];
  const alive = (time) => tracks.filter((track) => time - track.seen <= PATIENCE);

  /** Where to look: {boxes, owners (track or null), sure (of new boxes), bare}. */
  async function places(picture, time) {
    const known = alive(time).filter(isBelieved);
    for (const track of known) track.next = around(foresee(track, time), picture);
    const followed = { boxes: known.map((track) => track.next), owners: known, sure: [], bare: false };
    if (!detect) {
      if (known.length) return followed;
      return { boxes: [whole(picture.width, picture.height)], owners: [null], sure: [], bare: true };
    }
    since += 1;
    if (known.length && since < (doubt ? 2 : EVERY)) return followed;
    since = 0;
    const found = (await detect(picture)).map((one) => ({ ...one, owner: null }));
    const missed = [];
    for (const track of known) {
      const seen = found.find((one) => !one.owner && iou(one.box, track.next) >= COVERED);
      if (seen) seen.owner = track;
      track.misses = seen ? 0 : track.misses + 1;
      if (!seen && isBelieved(track)) missed.push({ box: track.next, owner: track });
    }
    const owned = [...found.filter((one) => one.owner), ...missed];
    const fresh = found.filter((one) => !one.owner && one.sure >= NEW);
    const chosen = [...owned, ...fresh.slice(0, Math.max(MOST - owned.length, 0))];
    const [boxes, owners, sure] = ["box", "owner", "sure"].map((part) => chosen.map((one) => one[part]));
    return { boxes, owners, sure, bare: false };
  }

  return async (picture, time) => {
    const { boxes, owners, sure, bare } = await places(picture, time);
    const found = boxes.length ? await pose(picture, boxes, bare) : [];
    const rows = found.map((person, n) => ({ person, owner: owners[n], sure: sure[n] ?? 1, body: bodyOf(person) }))
      .filter(({ person, owner, sure }) => (owner ? person.score >= FAITH : isSomebody(person, sure)))
      .sort((a, b) => Boolean(b.owner) - Boolean(a.owner) || b.person.score - a.person.score);
    const kept = [];
    for (const row of rows) if (kept.every((other) => iou(other.body, row.body) <= DOUBLE)) kept.push(row);
    doubt = kept.length < alive(time).length;
    return kept.map(({ person, owner, body }) => {
      const track = owner ?? { id: next++, steady: smoother(), speed: [0, 0], sights: 0, misses: 0 };
      if (owner) track.speed = speedOf(track, person, time);
      else tracks.push(track);
      Object.assign(track, { person, body, seen: time, sights: track.sights + 1 });
      const size = Math.max(body[2] - body[0], body[3] - body[1], 1);
      tracks = alive(time);
      return { ...person, track: track.id, xy: track.steady(person.xy, person.scores, size, time) };
    });
  };
}

/** Whether somebody whom the detector has missed is still looked for. */
function isBelieved({ person, misses }) {
  return misses <= MISSES || person.score >= CERTAIN;
}

/** Whether somebody new is there: one joint at least is likely, in a box of that probability. */
function isSomebody({ score, scores }, sure) {
  return score >= SURE && Math.max(...scores) * sure >= LEAST; // as posegram/infer/topdown.py
}

/**
 * At most so many of the people (0: all), in their order: who is shown large and surely. Those whose
 * ids are in `before` were so a moment ago and stay so.
 */
export function foremost(people, most, before = []) {
  if (!most || people.length <= most) return people;
  const merit = ({ box: [x0, y0, x1, y1], scores }) => overall(scores) * Math.sqrt(Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0));
  const known = ({ track }) => before.includes(track);
  const ranked = [...people].sort((a, b) => known(b) - known(a) || merit(b) - merit(a));
  return people.filter((person) => ranked.indexOf(person) < most);
}

/** A person's score, as posegram/scores.py has it. */
function overall(scores) {
  const total = scores.reduce((sum, score) => sum + score, 0);
  return total ? scores.reduce((sum, score) => sum + score ** 2, 0) / total : 0;
}

/** The box around the joints that are seen; a person's own where there are not two. */
function bodyOf(person) {
  const points = person.xy.filter((_, n) => person.scores[n] >= SEEN);
  const [xs, ys] = [points.map((point) => point[0]), points.map((point) => point[1])];
  const [x0, y0, x1, y1] = points.length < 2
    ? person.box
    : [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
  // arms along a body seen from the side leave hardly any width
  const least = (TRUNK * Math.max(x1 - x0, y1 - y0)) / 2;
  const [across, down] = [Math.max((x1 - x0) / 2, least), Math.max((y1 - y0) / 2, least)];
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return [x - across, y - down, x + across, y + down];
}

/** Pixels a second of a person seen again, averaged with what was known. */
function speedOf({ person: old, seen, speed, sights }, person, time) {
  const step = Math.max(time - seen, 1e-3);
  const both = person.xy.map((_, n) => n).filter((n) => old.scores[n] >= SEEN && person.scores[n] >= SEEN);
  const gain = sights < 2 ? 1 : -Math.expm1(-step / STEADY);
  return speed.map((was, axis) => {
    const moved = both.reduce((sum, n) => sum + person.xy[n][axis] - old.xy[n][axis], 0);
    return was + gain * (moved / Math.max(both.length, 1) / step - was);
  });
}

/** The box of a body where it should be by now; its speed fades while it is not seen. */
function foresee({ body, speed, seen }, time) {
  const [x, y] = speed.map((one) => one * FADE * -Math.expm1(-Math.max(time - seen, 0) / FADE));
  return [body[0] + x, body[1] + y, body[2] + x, body[3] + y];
}

/** The box to look at next: around the body, grown, within the picture. */
function around([x0, y0, x1, y1], { width, height }) {
  const reach = GROWTH * Math.max(x1 - x0, y1 - y0);
  return [
    Math.max(x0 - reach, -0.5), Math.max(y0 - reach, -0.5),
    Math.min(x1 + reach, width - 0.5), Math.min(y1 + reach, height - 0.5),
  ];
}
