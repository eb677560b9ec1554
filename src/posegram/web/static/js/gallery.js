// What this browser looked at: ids and small pictures in localStorage, originals in its own cache.

import { whiten } from "./draw.js";
import { insist, keep, make, part, plural, recall } from "./page.js";

export const LISTED = 24; // entries with their pictures
const KNOWN = 500; // ids of results that are listed no more, but lie on the server still
const CACHE = "posegram-originals";
const addressOf = (id) => `/original/${encodeURIComponent(id)}`; // a key of the cache, never asked of a server

/** Entries {id, name, when, people, model, thumb}, newest first. */
export const remembered = () => recall("results", []);

/** Ids of results that newer ones pushed out of the list. */
export const unlisted = () => recall("unlisted", []);

/** Remember a result, with its original where the browser can hold it. */
export async function remember(entry, original) {
  const entries = [entry, ...remembered().filter((old) => old.id !== entry.id)];
  keep("results", entries.slice(0, LISTED));
  const older = entries.slice(LISTED).map(({ id }) => id);
  if (older.length) keep("unlisted", [...older, ...unlisted()].slice(0, KNOWN));
  older.forEach(drop);
  const store = await cache();
  await store?.put(addressOf(entry.id), new Response(original)).catch(() => {});
}

/** The original of a result as a blob; null where this browser does not hold it. */
export async function originalOf(id) {
  const answer = await (await cache())?.match(addressOf(id));
  return answer ? answer.blob() : null;
}

/** Forget a result in this browser. */
export async function forget(id) {
  keep("results", remembered().filter((entry) => entry.id !== id));
  keep("unlisted", unlisted().filter((other) => other !== id));
  await drop(id);
}

/** Forget a result here and on the server; throws a `Refusal` where the server may still hold it. */
export async function erase(id) {
  await forget(id);
  await insist(`/v1/results/${encodeURIComponent(id)}`, { method: "DELETE" }).catch((fault) => {
    if (fault.status !== 404) throw fault;
  });
}

async function drop(id) {
  await (await cache())?.delete(addressOf(id)).catch(() => {});
}

async function cache() {
  return "caches" in self ? caches.open(CACHE).catch(() => null) : null; // absent on plain http
}

/** A small square picture of a bitmap as a data URL. */
export function thumbnail(source, width, height) {
  const canvas = make("canvas", { width: 240, height: 240 });
  const side = Math.min(width, height);
  const context = canvas.getContext("2d");
  whiten(context); // JPEG would make black of what is transparent
  context.drawImage(
    source, (width - side) / 2, Math.max(0, (height - side) * 0.3), side, side, 0, 0, 240, 240);
  return canvas.toDataURL("image/jpeg", 0.78);
}

/** Show the gallery; `waiting` are tiles [{name, words, bad}] of photos without a result yet. */
export function showGallery(waiting = [], current = "") {
  const entries = remembered();
  const tiles = waiting.map(({ name, words, bad }) =>
    make("li", { class: bad ? "tile bad" : "tile" }, make("div", {},
      make("span", { class: "thumb" }, bad ? "not read" : "…"),
      make("span", { class: "name", title: name }, name), make("span", { class: "about" }, words))));
  for (const entry of entries) {
    const link = make("a", { href: `#${entry.id}`, "aria-current": String(entry.id === current) },
      make("span", { class: "thumb" }, make("img", { src: entry.thumb, alt: "", loading: "lazy" })),
      make("span", { class: "name", title: entry.name }, entry.name),
      make("span", { class: "about" }, `${plural(entry.people, "person", "people")} · ${ago(entry.when)}`));
    tiles.push(make("li", { class: "tile" }, link));
  }
  const held = document.activeElement?.closest("#gallery a")?.hash; // a new tile gets the focus of its old one
  part("gallery").replaceChildren(...tiles);
  if (held) part("gallery").querySelector(`a[href="${held}"]`)?.focus({ preventScroll: true });
  part("gallery-empty").hidden = tiles.length > 0;
  part("forget-all").hidden = entries.length + unlisted().length === 0;
}

/** How long ago a time in milliseconds was, in words. */
export function ago(when) {
  const minutes = Math.round((Date.now() - when) / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 48 * 60 ? `${Math.round(minutes / 60)} h ago` : new Date(when).toLocaleDateString();
}
