// The photo page: photos in, results shown, the gallery kept.

import { erase, forget, LISTED, originalOf, remember, remembered, showGallery, thumbnail, unlisted } from "./gallery.js";
import { ask, clear, config, insist, limit, part, picker, plural, receive, Refusal, refusal, say, size, warn } from "./page.js";
import { hide, show } from "./result.js";
import { upright } from "./upright.js";

const KINDS = ["image/jpeg", "image/png", "image/webp"];
const AT_ONCE = 2;
const TOLD = 3; // failures of one go that are told one by one
const [model, most] = [picker(), limit()];
let waiting = []; // {name, words, bad, go: shared by those that came together}
let current = "";

/** Look at some files, two at a time; the first result is shown. */
async function take(files) {
  clear();
  const go = { bad: 0 };
  const work = files.map((file, n) => ({ file, name: file.name || `pasted ${n + 1}`, words: "waiting", bad: false, go }));
  waiting = [...work, ...waiting.filter((entry) => !entry.bad)];
  tell();
  if (work.length > LISTED) warn(`Of these ${work.length} photos, the last ${LISTED} stay in the list below; posegram predict takes whole folders.`);
  const queue = [...work];
  let first = true;
  const worker = async () => {
    for (let entry = queue.shift(); entry; entry = queue.shift()) {
      const id = await one(entry);
      if (id && first) {
        first = false;
        await open(id, entry.name);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  if (go.bad > TOLD) warn(`${go.bad - TOLD} more could not be looked at; the list below says why.`);
  tell();
}

/** Look at one file; its id, or "" where it failed (which is then on the page). */
async function one(entry) {
  try {
    entry.words = "working";
    tell();
    await check(entry.file);
    const body = new FormData();
    body.append("image", entry.file);
    const query = new URLSearchParams({ model: model.name(), max_people: most() });
    const record = await insist(`/v1/pose/image?${query}`, { method: "POST", body });
    await store(record, entry);
    waiting = waiting.filter((other) => other !== entry);
    return record.id;
  } catch (fault) {
    entry.bad = true;
    entry.words = fault.message;
    entry.go.bad += 1;
    if (entry.go.bad <= TOLD) warn(`${entry.name}: ${fault.message}`);
    return "";
  } finally {
    tell();
  }
}

async function check(file) {
  // a type comes from the name's ending: without one the server looks at the first bytes
  if (file.type && !KINDS.includes(file.type)) throw new Refusal("This is not a photo that posegram reads. Choose a JPEG, PNG or WebP picture.");
  const most = config.limits.picture;
  if (file.size > most) throw new Refusal(`This file has ${size(file.size)}; the server takes up to ${size(most)}.`);
  if (!file.size) throw new Refusal("This file is empty.");
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new Refusal("This is a folder, or a file that cannot be read any more.");
  });
}

async function store(record, { file: sent, name }) {
  const file = await upright(sent);
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

/** Show a result by its id; address, view and focus follow. Its name, where it could not be kept. */
async function open(id, name = "Photo") {
  const entry = remembered().find((known) => known.id === id);
  current = id; // from now on: whoever opens another one meanwhile sees that one
  try {
    const [record, original] = await Promise.all([ask(`/v1/results/${id}.json`), originalOf(id)]);
    if (current !== id) return;
    if (idInAddress() !== id) history.pushState(null, "", `#${id}`);
    if (!await show(record, entry?.name ?? name, original)) return;
  } catch (fault) {
    if (current === id) await lost(id, fault);
    return;
  }
  showGallery(waiting, current);
  part("result").scrollIntoView({ block: "start" });
  part("result").focus({ preventScroll: true });
}

async function lost(id, fault) {
  if (fault.status === 404) await forget(id);
  showNone();
  warn(fault.status === 404
    ? "The server does not have this result any more: results are deleted after a while. Look at the photo again."
    : fault.message);
}

/** Show no result. */
function showNone() {
  current = "";
  hide();
  showGallery(waiting);
}

/** The id of the result that the page's address names; "" where it names none. */
function idInAddress() {
  return location.hash.match(/^#([0-9a-f]{32})$/)?.[1] ?? ""; // others name a place on the page
}

async function follow() {
  const id = idInAddress();
  if (id && id !== current) {
    clear();
    await open(id);
  } else if (location.hash.length < 2) {
    showNone();
  }
}

/** Delete results, and say so only where that is true. */
async function eraseAll(ids, words) {
  const faults = [];
  for (const id of ids) await erase(id).catch((fault) => faults.push(fault)); // all at once would be refused
  const shown = current && !ids.includes(current); // another one, opened meanwhile
  if (shown) {
    showGallery(waiting, current);
  } else {
    history.replaceState(null, "", location.pathname);
    showNone();
  }
  if (faults.length) warn(`Deleted here, but not on the server: it deletes results by itself after a while. ${faults[0].message}`);
  else say(words);
  if (!shown) part("main").focus();
}

receive((files) => { if (files.length) take(files); });
addEventListener("hashchange", follow);
part("gallery").addEventListener("click", ({ target }) => {
  // the address stays as it is, so that the browser tells of no change
  if (target.closest("a")?.hash === location.hash && !current) follow();
});
part("example").addEventListener("click", async () => {
  const answer = await fetch(new URL("../img/example.jpg", import.meta.url)).catch(() => null);
  if (!answer?.ok) return warn(refusal(answer?.status ?? 0).message);
  take([new File([await answer.blob()], "Eileen Collins, NASA.jpg", { type: "image/jpeg" })]);
});
part("forget").addEventListener("click", () => eraseAll([current], "Deleted, here and on the server."));
part("forget-all").addEventListener("click", () => {
  waiting = waiting.filter((entry) => !entry.bad);
  eraseAll([...remembered().map((entry) => entry.id), ...unlisted()], "Everything is deleted, here and on the server.");
});
showGallery();
follow();
