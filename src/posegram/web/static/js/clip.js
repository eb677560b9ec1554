// The video page: a clip in, a job out; the clips of this browser.

import { ago } from "./gallery.js";
import { ask, clear, config, keep, limit, make, part, picker, receive, recall, refusal, say, size, warn } from "./page.js";

const MOST = 12;
const AGAIN = 5000; // milliseconds between two looks at clips that are under way
const KINDS = /\.(mp4|m4v|mov|webm|mkv|avi)$/i;
const model = picker({ about: (chosen) => (chosen?.kind === "rcnn" ? "Seconds a frame on a processor: a minute of film takes hours." : "") });
const most = limit();
let sending = null;
let next = 0; // the timer of the list

function take([file, ...others]) {
  clear();
  if (others.length) return warn("One clip at a time: choose a single file.");
  const most = config.limits.clip;
  if (!file.type.startsWith("video/") && !KINDS.test(file.name)) {
    return warn(`${file.name || "This"} is not a video that posegram reads. Choose an MP4, MOV, WebM, MKV or AVI file.`);
  }
  if (file.size > most) return warn(`${file.name} has ${size(file.size)}; the server takes up to ${size(most)}.`);
  if (sending) return warn("One clip at a time: another is being sent.");
  send(file);
}

/** Send a clip, showing how far it is, and go to its job's page. */
function send(file) {
  const body = new FormData();
  body.append("video", file);
  sending = new XMLHttpRequest(); // fetch cannot tell how much was sent
  const query = new URLSearchParams({ model: model.name(), max_people: most() });
  sending.open("POST", `/v1/jobs?${query}`);
  sending.setRequestHeader("X-Posegram", "1");
  sending.setRequestHeader("Accept", "application/json");
  sending.responseType = "json";
  sending.upload.onprogress = ({ loaded, total }) => {
    part("upload-bar").value = total ? loaded / total : 0;
    say(loaded < total ? `Sending ${file.name} …` : "Looking at the clip …", { working: true });
  };
  sending.onload = () => {
    const { status, response } = sending;
    finish();
    if (status !== 202) return warn(refusal(status, response).message);
    keep("clips", [{ id: response.id, name: file.name || "Clip", when: Date.now() }, ...recall("clips", [])].slice(0, MOST));
    location.assign(`/jobs/${response.id}`);
  };
  sending.onerror = () => { finish(); warn(refusal(0).message); };
  sending.onabort = () => { finish(); part("main").focus(); }; // its button is gone
  part("upload").hidden = false;
  say(`Sending ${file.name} …`, { working: true });
  sending.send(body);
}

function finish() {
  sending = null;
  part("upload").hidden = true;
  say("");
}

const WORDS = { queued: "waiting", running: "at work", done: "ready", failed: "failed", cancelled: "cancelled" };

/** List this browser's clips; those that the server forgot go. */
async function list() {
  const known = recall("clips", []);
  const states = await Promise.all(known.map(({ id }) => ask(`/v1/jobs/${id}`).catch((fault) => fault)));
  const left = known.filter((_, n) => states[n].status !== 404);
  if (left.length < known.length) keep("clips", left);
  const rows = known.flatMap(({ id, name, when }, n) => {
    if (states[n].status === 404) return [];
    const words = `${WORDS[states[n].state] ?? "unknown"} · ${ago(when)}`;
    return [make("li", {}, make("a", { href: `/jobs/${id}` }, make("b", {}, name), make("span", {}, words)))];
  });
  const held = document.activeElement?.closest("#clips a")?.href; // a new row gets the focus of its old one
  part("clips").replaceChildren(...rows);
  if (held) [...part("clips").querySelectorAll("a")].find((link) => link.href === held)?.focus({ preventScroll: true });
  part("clips-empty").hidden = rows.length > 0;
  // who could not be asked about, as while the server starts anew, is asked about again
  return states.some(({ state, status }) => ["queued", "running"].includes(state) || (state === undefined && status !== 404));
}

/** List the clips, again and again while one is under way and somebody may be looking. */
async function watch() {
  clearTimeout(next);
  if (!document.hidden && await list()) next = setTimeout(watch, AGAIN);
}

receive((files) => { if (files.length) take(files); });
part("upload-stop").addEventListener("click", () => sending?.abort());
addEventListener("beforeunload", (event) => {
  if (sending) event.preventDefault(); // the browser asks: all that was sent would be lost
});
document.addEventListener("visibilitychange", watch);
watch();
