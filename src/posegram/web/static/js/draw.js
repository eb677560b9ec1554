// People drawn on a canvas: left blue, right orange, the middle pale, as posegram.draw does it, in
// the colours that posegram/drawing.py has.

import { config } from "./page.js";

const { sides: SIDES, people: PERSONS } = config.colours; // "#rrggbb"
const [OUTLINE, FAINTEST] = ["rgb(15 15 15)", 0.35];

/** A server's record of a photo as {skeleton: {joints, bones}, people: [{xy, scores, box, score}]}. */
export function unpack(record) {
  const people = record.people.map((person) => ({
    box: person.box,
    score: person.score,
    track: person.track ?? null,
    xy: record.joints.map((name) => person.joints[name] && [person.joints[name].x, person.joints[name].y]),
    scores: record.joints.map((name) => person.joints[name]?.score ?? 0),
  }));
  return { skeleton: { joints: record.joints, bones: record.bones }, people };
}

/** A white canvas: the ground on which the server looks at transparent pictures, too. */
export function whiten(context) {
  context.fillStyle = "#fff";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
}

export function side(joint) {
  return joint.startsWith("left") ? "left" : joint.startsWith("right") ? "right" : "middle";
}

/** Colour of one person: by track where there is one, else by place. */
export function personal(person, place) {
  return PERSONS[(person.track ?? place) % PERSONS.length];
}

/**
 * Draws people over what the canvas shows.
 *
 * `view`: {scale: canvas pixels a picture pixel, width: of the picture, mirror, pixel: canvas pixels
 * a pixel of the screen, 1 without it}. `look`: {skeleton, names, scores, boxes, colours: "sides" |
 * "people", threshold, lit: [person, joint] | null}.
 */
export function drawPeople(context, { people, skeleton }, view, look) {
  const index = new Map(skeleton.joints.map((name, n) => [name, n]));
  const bones = skeleton.bones.map(([a, b]) => [index.get(a), index.get(b)]);
  const paints = people.map((person, place) => {
    const points = person.xy.map((at) => at && onCanvas(at, view));
    const shown = points.map((at, n) => Boolean(at) && person.scores[n] >= look.threshold);
    const dot = radius(points.filter((_, n) => shown[n]), context.canvas);
    const paint = { points, shown, dot, person, place, look, skeleton };
    if (look.boxes && shown.includes(true)) drawBox(context, person, paint, view);
    if (look.skeleton) {
      for (const bone of bones) drawBone(context, paint, bone);
      skeleton.joints.forEach((_, joint) => drawJoint(context, paint, joint));
    }
    if (look.lit?.[0] === place && points[look.lit[1]]) ring(context, paint, look.lit[1]);
    return paint;
  });
  if (look.names || look.scores) drawLabels(context, paints, view.pixel ?? 1);
  context.globalAlpha = 1;
}

/** A picture pixel's centre on the canvas. */
export function onCanvas([x, y], { scale, width, mirror }) {
  return [((mirror ? width - 1 - x : x) + 0.5) * scale, (y + 0.5) * scale];
}

function radius(points, canvas) {
  const xs = points.map((at) => at[0]), ys = points.map((at) => at[1]);
  const span = points.length ? Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)) : 0;
  return Math.min(Math.max(span / 70, 2), Math.max(2.5, Math.max(canvas.width, canvas.height) / 110));
}

function opacity({ person, look }, joint) {
  const sure = (person.scores[joint] - look.threshold) / Math.max(1 - look.threshold, 1e-6);
  return FAINTEST + (1 - FAINTEST) * Math.min(Math.max(sure, 0), 1);
}

function colour({ person, place, look, skeleton }, ...joints) {
  const sides = new Set(joints.map((joint) => side(skeleton.joints[joint])));
  const [left, right] = [sides.has("left"), sides.has("right")];
  const where = left === right ? "middle" : left ? "left" : "right";
  if (look.colours !== "people") return SIDES[where];
  const own = personal(person, place);
  return where === "right" ? darker(own) : own; // so that the sides can be told apart here, too
}

function darker(colour) {
  return colour.replace(/[0-9a-f]{2}/g, (two) => Math.floor((parseInt(two, 16) * 3) / 5).toString(16).padStart(2, "0"));
}

function drawBone(context, paint, [a, b]) {
  const { points, shown, dot } = paint;
  if (!shown[a] || !shown[b]) return;
  // eyes and ears lie close together: their bones get no wider than fits
  const fits = Math.min(dot, Math.max(1, 0.25 * Math.hypot(points[a][0] - points[b][0], points[a][1] - points[b][1])));
  context.globalAlpha = Math.min(opacity(paint, a), opacity(paint, b));
  context.lineCap = "round";
  for (const [width, ink] of [[fits * 1.8, OUTLINE], [fits * 1.1, colour(paint, a, b)]]) {
    context.lineWidth = width;
    context.strokeStyle = ink;
    context.beginPath();
    context.moveTo(...points[a]);
    context.lineTo(...points[b]);
    context.stroke();
  }
}

function drawJoint(context, paint, joint) {
  if (!paint.shown[joint]) return;
  const dot = paint.skeleton.joints[joint].match(/eye|ear/) ? paint.dot * 0.62 : paint.dot;
  context.globalAlpha = opacity(paint, joint);
  for (const [reach, ink] of [[dot * 1.3, OUTLINE], [dot, colour(paint, joint)]]) {
    context.fillStyle = ink;
    context.beginPath();
    context.arc(...paint.points[joint], reach, 0, 2 * Math.PI);
    context.fill();
  }
}

function ring(context, paint, joint) {
  context.globalAlpha = 1;
  for (const [width, ink] of [[5, OUTLINE], [2.5, "#fff"]]) {
    context.lineWidth = width;
    context.strokeStyle = ink;
    context.beginPath();
    context.arc(...paint.points[joint], paint.dot * 2.4, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Words beside the joints, the surest first; where no place is left, a joint goes without. */
function drawLabels(context, paints, pixel) {
  const taken = [];
  paints.flatMap((paint) => paint.points.map((_, joint) => ({ paint, joint })))
    .filter(({ paint, joint }) => paint.shown[joint])
    .sort((a, b) => b.paint.person.scores[b.joint] - a.paint.person.scores[a.joint])
    .forEach(({ paint, joint }) => label(context, paint, joint, taken, pixel));
}

function label(context, { points, person, look, skeleton, dot }, joint, taken, pixel) {
  const name = skeleton.joints[joint].replaceAll("_", " ");
  const words = [look.names && name, look.scores && `${Math.round(person.scores[joint] * 100)}`]
    .filter(Boolean).join(" ");
  const height = pixel * Math.max(11, Math.min((dot * 2.6) / pixel, 18));
  context.globalAlpha = 1;
  context.font = `550 ${height}px "Instrument Sans", system-ui, sans-serif`;
  context.textBaseline = "middle";
  const place = free(context.canvas, points[joint], [context.measureText(words).width, height], dot * 1.9, taken);
  if (!place) return;
  taken.push(place);
  const [x, y] = [place[0], (place[1] + place[3]) / 2];
  context.lineWidth = height / 3.5;
  context.lineJoin = "round";
  context.strokeStyle = "rgb(15 15 15 / 80%)";
  context.strokeText(words, x, y);
  context.fillStyle = "#fff";
  context.fillText(words, x, y);
}

/** The first free [x0, y0, x1, y1] right, left, over or under a point; undefined where none is. */
function free({ width, height }, [x, y], [wide, high], gap, taken) {
  const corners = [
    [x + gap, y - high / 2], [x - gap - wide, y - high / 2],
    [x - wide / 2, y - gap - high], [x - wide / 2, y + gap],
  ];
  return corners.map(([left, top]) => [left, top, left + wide, top + high]).find((at) =>
    at[0] >= 0 && at[1] >= 0 && at[2] <= width && at[3] <= height &&
    taken.every((other) => at[2] <= other[0] || at[0] >= other[2] || at[3] <= other[1] || at[1] >= other[3]));
}

function drawBox(context, person, paint, view) {
  const [x0, y0] = onCanvas([person.box[0], person.box[1]], view);
  const [x1, y1] = onCanvas([person.box[2], person.box[3]], view);
  context.globalAlpha = 0.9;
  for (const [width, ink] of [[paint.dot * 0.9, OUTLINE], [paint.dot * 0.5, personal(person, paint.place)]]) {
    context.lineWidth = Math.max(width, 1.5);
    context.strokeStyle = ink;
    context.strokeRect(Math.min(x0, x1), y0, Math.abs(x1 - x0), y1 - y0);
  }
}
