// One result: the pose drawn over the photo, its people, its joints, its downloads.

import { drawPeople, personal, side, unpack, whiten } from "./draw.js";
import { keep, make, part, plural, recall, refusal, save } from "./page.js";

const LONGEST = 2400; // pixels of the canvas' longer side: sharp on every screen, light on phones
const form = part("tools");
const canvas = part("pose");
let turns = 0; // rises with everything that was asked to be shown or hidden
let shown = null; // {record, name, picture, bare, people, skeleton, chosen, lit, url}

/**
 * Show a record of the server with the photo it belongs to; without the photo, the server's drawn
 * picture takes its place, as it is. Whether it is shown: not where another one was asked for since.
 */
export async function show(record, name, original) {
  const turn = ++turns;
  const found = await picture(record, original);
  if (turn !== turns) {
    letGo(found);
    return false;
  }
  forgetPicture();
  const unpacked = unpack(record);
  const best = unpacked.people.reduce((a, person, n, all) => (person.score > all[a].score ? n : a), 0);
  shown = { record, name, ...found, ...unpacked, chosen: best, lit: null };
  part("result").hidden = false;
  document.body.classList.add("looking");
  part("result-name").textContent = name;
  const wide = record.width > record.height * 1.5; // beside each other they would be too small
  document.querySelector(".panes").classList.toggle("flat", wide);
  if (found.url) part("original").src = found.url;
  else part("original").removeAttribute("src");
  for (const control of form.elements) control.disabled = found.bare && control.type !== "fieldset";
  part("as-shown").hidden = found.bare;
  const sides = recall("view", {}).colours ?? (record.people.length > 1 ? "people" : "sides");
  form.elements.colours.value = sides;
  listDownloads(record, name);
  listPeople();
  redraw();
  return true;
}

export function hide() {
  turns += 1;
  part("result").hidden = true;
  document.body.classList.remove("looking");
  forgetPicture();
}

function forgetPicture() {
  if (shown) letGo(shown);
  shown = null;
}

function letGo({ picture: bitmap, url }) {
  bitmap.close();
  if (url) URL.revokeObjectURL(url);
}

/** {picture, bare, url}: the original, or the server's drawn picture (`bare`); throws a `Refusal`. */
async function picture({ links, width, height }, original) {
  if (original) {
    // browsers turn a photo upright by its EXIF tag, as the server does
    const bitmap = await createImageBitmap(original, { imageOrientation: "from-image" }).catch(() => null);
    const same = bitmap?.width === width && bitmap?.height === height;
    if (same) return { picture: bitmap, bare: false, url: URL.createObjectURL(original) };
  }
  const answer = await fetch(links.jpg).catch(() => null);
  if (!answer?.ok) throw refusal(answer?.status ?? 0);
  return { picture: await createImageBitmap(await answer.blob()), bare: true, url: null };
}

/** The people of whom a joint is drawn, as a set of places. */
function visible(threshold) {
  const places = shown.people.map((person, place) => (Math.max(...person.scores) >= threshold ? place : -1));
  return new Set(places.filter((place) => place >= 0));
}

function facts({ people, width, height, model }, bare, seen) {
  const left = people.length - seen;
  const below = left ? `, and ${left} of whom nothing is sure enough to be drawn` : "";
  const who = people.length ? plural(seen, "person", "people") + below : "Nobody found";
  const note = bare ? " · drawn by the server; the original is no longer in this browser" : "";
  return `${who} · ${width} × ${height} pixels · ${model}${note}`;
}

function listDownloads({ links }, name) {
  const titles = { jpg: "Picture", json: "JSON", coco: "COCO", csv: "CSV", "csv-wide": "CSV with angles" };
  const order = Object.keys(titles);
  const ends = { coco: "coco.json", "csv-wide": "wide.csv" }; // by default as the kind
  const kinds = Object.keys(links).sort((a, b) => order.indexOf(a) - order.indexOf(b));
  const stem = name.replace(/\.[^.]*$/, "");
  part("downloads").replaceChildren(...kinds.filter((kind) => kind !== "self").map((kind) =>
    make("a", { class: "button small", href: links[kind], download: `${stem}-pose.${ends[kind] ?? kind}` },
      titles[kind] ?? kind.toUpperCase())));
}

function look() {
  const chosen = form.elements;
  return {
    skeleton: chosen.skeleton.checked,
    names: chosen.names.checked,
    scores: chosen.scores.checked,
    boxes: chosen.boxes.checked,
    colours: chosen.colours.value,
    threshold: Number(chosen.threshold.value),
  };
}

function redraw() {
  if (!shown) return;
  const { record, picture: bitmap, bare } = shown;
  const scale = Math.min(LONGEST / Math.max(record.width, record.height), Math.max(1, 1400 / record.width));
  canvas.width = Math.round(record.width * scale);
  canvas.height = Math.round(record.height * scale);
  const context = canvas.getContext("2d");
  whiten(context);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const settings = look();
  document.querySelector(".panes").classList.toggle("alone", bare || !form.elements.original.checked);
  const view = { scale, width: record.width, pixel: 1 / frame().zoom };
  if (!bare) drawPeople(context, shown, view, { ...settings, lit: shown.lit });
  const seen = visible(settings.threshold);
  part("result-facts").textContent = facts(record, bare, seen.size);
  canvas.setAttribute("aria-label", `${shown.name} with the joints of ${plural(seen.size, "person", "people")} drawn in`);
  for (const [place, tab] of [...part("people").children].entries()) {
    tab.hidden = !seen.has(place) && place !== shown.chosen;
  }
  part("threshold-value").textContent = `${Math.round(settings.threshold * 100)} %`;
  for (const row of part("joints").rows) {
    const joint = Number(row.dataset.joint);
    row.classList.toggle("faint", shown.people[shown.chosen].scores[joint] < settings.threshold);
    row.classList.toggle("lit", shown.lit?.[0] === shown.chosen && shown.lit[1] === joint);
  }
}

function listPeople() {
  const { people } = shown;
  part("people").replaceChildren(...people.map((person, place) => {
    const button = make("button", {
      type: "button", role: "tab", id: `person-${place}`, "aria-controls": "joints-frame",
      "aria-selected": String(place === shown.chosen), tabindex: place === shown.chosen ? 0 : -1,
    });
    button.append(spot(personal(person, place)), `Person ${place + 1}`,
      make("small", {}, `${Math.round(person.score * 100)} %`));
    button.addEventListener("click", () => choose(place));
    return button;
  }));
  part("joints-frame").hidden = !people.length;
  listJoints();
}

function spot(fill) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("aria-hidden", "true");
  for (const [name, value] of [["cx", 5], ["cy", 5], ["r", 5], ["fill", fill]]) circle.setAttribute(name, value);
  svg.append(circle);
  return svg;
}

function choose(place) {
  shown.chosen = place;
  shown.lit = null;
  for (const [n, button] of [...part("people").children].entries()) {
    button.setAttribute("aria-selected", String(n === place));
    button.tabIndex = n === place ? 0 : -1;
  }
  listJoints();
  redraw();
}

function listJoints() {
  const person = shown.people[shown.chosen];
  const rows = person ? shown.skeleton.joints.map((name, joint) => {
    const [at, score] = [person.xy[joint], person.scores[joint]];
    const number = (value) => (at ? value.toFixed(1) : "–");
    const row = make("tr", { "data-joint": joint },
      make("th", { scope: "row", class: side(name) }, name.replaceAll("_", " ")),
      make("td", {}, number(at?.[0])), make("td", {}, number(at?.[1])),
      make("td", {}, at ? score.toFixed(2) : "–"));
    row.addEventListener("pointerenter", () => light([shown.chosen, joint]));
    return row;
  }) : [];
  part("joints").replaceChildren(...rows);
}

function light(lit) {
  if (!shown || String(shown.lit) === String(lit)) return;
  shown.lit = lit;
  redraw();
}

/** Where the canvas' picture is on the screen: {left, top, zoom}, pixels and pixels a canvas pixel. */
function frame() {
  const { left, top, width, height } = canvas.getBoundingClientRect();
  const zoom = Math.min(width / canvas.width, height / canvas.height) || 1;
  return {
    left: left + (width - canvas.width * zoom) / 2, top: top + (height - canvas.height * zoom) / 2, zoom,
  };
}

/** The joint nearest to the pointer, as [person, joint]; null where none is near. */
function nearest(event) {
  const { left, top, zoom } = frame();
  const scale = (canvas.width / shown.record.width) * zoom;
  const x = (event.clientX - left) / scale - 0.5;
  const y = (event.clientY - top) / scale - 0.5;
  let [best, away] = [null, 18 / scale];
  shown.people.forEach((person, place) => person.xy.forEach((at, joint) => {
    if (!at || person.scores[joint] < look().threshold) return;
    const distance = Math.hypot(at[0] - x, at[1] - y);
    if (distance < away) [best, away] = [[place, joint], distance];
  }));
  return best;
}

canvas.addEventListener("pointermove", (event) => {
  if (!shown || shown.bare) return;
  const lit = nearest(event);
  if (lit && lit[0] !== shown.chosen) choose(lit[0]);
  light(lit);
  if (lit) {
    const row = part("joints").rows[lit[1]];
    const rows = part("joints-frame");
    rows.scrollTop = row.offsetTop - rows.clientHeight / 2;
  }
});
canvas.addEventListener("pointerleave", () => light(null));
addEventListener("resize", redraw);
part("joints").addEventListener("pointerleave", () => light(null));
part("people").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !shown) return;
  event.preventDefault();
  const places = [...part("people").children].flatMap((tab, place) => (tab.hidden ? [] : [place]));
  choose(places.at((places.indexOf(shown.chosen) + step) % places.length));
  part("people").children[shown.chosen].focus();
});
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", (event) => {
  const { name } = event.target;
  const value = event.target.type === "checkbox" ? event.target.checked : form.elements[name].value;
  keep("view", { ...recall("view", {}), [name]: value });
  redraw();
});
part("as-shown").addEventListener("click", () => {
  canvas.toBlob((blob) => save(blob, `${shown.name.replace(/\.[^.]*$/, "")}-pose.png`), "image/png");
});
for (const [name, value] of Object.entries(recall("view", {}))) {
  const control = form.elements[name];
  if (control?.type === "checkbox") control.checked = value;
  else if (control && name !== "colours") control.value = value;
}
