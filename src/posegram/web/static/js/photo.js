// The photo page: photos in, results shown, the gallery kept.

import { forget, originalOf, remember, remembered, showGallery, thumbnail } from "./gallery.js";
import { ask, clear, config, insist, part, picker, plural, receive, Refusal, say, size, warn } from "./page.js";
import { hide, show } from "./result.js";

const KINDS = ["image/jpeg", "image/png", "image/webp"];
const AT_ONCE = 2;
const model = picker();
let waiting = []; // {name, words, bad}
let current = "";

/** Look at some files, two at a time; the first result is shown. */
async function take(files) {
  clear();
  const work = files.map((file, n) => ({ file, name: file.name || `pasted ${n + 1}`, words: "waiting", bad: false }));
  waiting = [...work, ...waiting.filter((entry) => !entry.bad)];
  tell();
  const queue = [...work];
  let first = true;
  const worker = async () => {
    for (let entry = queue.shift(); entry; entry = queue.shift()) {
      const id = await one(entry);
      if (id && first) {
        first = false;
        await open(id, true);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  tell();
}

/** Look at one file; its id, or "" where it failed (which is then on the page). */
async function one(entry) {
  try {
    entry.words = "working";
    tell();
    check(entry.file);
    const body = new FormData();
    body.append("image", entry.file);
    const record = await insist(`/v1/pose/image?model=${encodeURIComponent(model.name())}`, { method: "POST", body });
    await store(record, entry);
    waiting = waiting.filter((other) => other !== entry);
    return record.id;
  } catch (fault) {
    if (!(fault instanceof Refusal)) throw fault;
    entry.bad = true;
    entry.words = fault.message;
    warn(`${entry.name}: ${fault.message}`);
    return "";
  } finally {
    tell();
  }
}

function check(file) {
  if (!KINDS.includes(file.type)) throw new Refusal("This is not a photo that posegram reads. Choose a JPEG, PNG or WebP picture.");
  const most = config.limits.picture;
  if (file.size > most) throw new Refusal(`This file has ${size(file.size)}; the server takes up to ${size(most)}.`);
  if (!file.size) throw new Refusal("This file is empty.");
}

async function store(record, { file, name }) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  const thumb = bitmap ? thumbnail(bitmap, bitmap.width, bitmap.height) : "";
  bitmap?.close();
  const { id, people, model: by } = record;
  await remember({ id, name, when: Date.now(), people: people.length, model: by, thumb }, file);
}

function tell() {
  const left = waiting.filter((entry) => !entry.bad).length;
  say(left ? `Looking at ${plural(left, "photo", "photos")} …` : "", { working: true });
  showGallery(waiting, current);
}

/** Show a result by its id; `moved` follows with the address, the view and the focus. */
async function open(id, moved) {
  const entry = remembered().find((known) => known.id === id);
  let record;
  try {
    record = await ask(`/v1/results/${encodeURIComponent(id)}.json`);
  } catch (fault) {
    await gone(id, entry, fault);
    return;
  }
  current = id;
  if (moved && location.hash.slice(1) !== id) history.pushState(null, "", `#${id}`);
  await show(record, entry?.name ?? "Photo", await originalOf(id));
  showGallery(waiting, current);
  if (moved) part("result").scrollIntoView({ block: "start" });
  if (moved) part("result").focus({ preventScroll: true });
}

async function gone(id, entry, fault) {
  if (fault.status !== 404) return warn(fault.message);
  if (entry) await forget(id, false);
  current = "";
  hide();
  showGallery(waiting);
  warn("The server does not have this result any more: results are deleted after a while. Look at the photo again.");
}

async function follow() {
  const id = location.hash.slice(1);
  if (!id) return hide();
  clear();
  if (id !== current || part("result").hidden) await open(id, true);
}

receive((files) => { if (files.length) take(files); });
addEventListener("hashchange", follow);
addEventListener("popstate", follow);
part("example").addEventListener("click", async () => {
  const answer = await fetch(new URL("../img/example.jpg", import.meta.url));
  take([new File([await answer.blob()], "Eileen Collins, NASA.jpg", { type: "image/jpeg" })]);
});
part("forget").addEventListener("click", async () => {
  await forget(current);
  current = "";
  history.replaceState(null, "", location.pathname);
  hide();
  showGallery(waiting);
  say("Deleted, here and on the server.");
  part("main").focus();
});
part("forget-all").addEventListener("click", async () => {
  await Promise.all(remembered().map((entry) => forget(entry.id)));
  waiting = [];
  current = "";
  history.replaceState(null, "", location.pathname);
  hide();
  showGallery();
  say("Everything is deleted, here and on the server.");
});
showGallery();
if (location.hash.length > 1) open(location.hash.slice(1), true);
