// The live page: camera on, skeleton over it, worked out on this device or on the server.

import { listCameras, onFrames, openCamera } from "./camera.js";
import { device } from "./device.js";
import { drawPeople } from "./draw.js";
import { MOST } from "./follow.js";
import { clear, config, isLocal, keep, limit, part, picker, recall, say, warn } from "./page.js";
import { addShot, recorder, snapshot } from "./shots.js";
import { server } from "./server.js";

const [video, canvas, form] = [part("video"), part("overlay"), part("desk")];
const PRIVACY = {
  device: "Your camera's pictures never leave this computer: the network runs inside this page.",
  server: "Each picture goes to this posegram server, is looked at in memory and dropped. Nothing is stored.",
};
const SECONDS = 2; // over which the gauges average
const HELD = 1000; // milliseconds after which joints without news vanish
const CROWDED = 5; // busy answers in a row after which people are told
const LONGEST = 30 * 60 * 1000; // milliseconds of a recording, which is held in memory
const AGAIN = 6; // tries to reach a server that went away, the first after half a second, each twice as late

let run = null; // {stream, source, asleep, turn, stopFrames, fresh, captured, frames, answers, latest, crowded, tries, recording, recordedSince}
const model = picker({ onchange: () => connect(), about });
const most = limit({ onchange: () => connect() });

function about(chosen) {
  const place = form.elements.where.value;
  if (place === "device" && !config.device?.poses[chosen.name]) return "This model runs on the server only.";
  if (chosen.kind === "rcnn") return "Seconds a picture on a processor: far too slow for live.";
  if (place === "device") return `Speed depends on this device, which follows up to ${MOST} people; it is shown over the picture.`;
  return chosen.milliseconds ? `About ${Math.round(chosen.milliseconds)} ms a picture on this server.` : "";
}

const look = () => ({
  skeleton: true,
  names: form.elements.names.checked,
  scores: form.elements.scores.checked,
  boxes: form.elements.boxes.checked,
  colours: form.elements.colours.value,
  threshold: Number(form.elements.threshold.value),
});

async function start() {
  clear();
  part("start").disabled = true;
  say("Asking for the camera …", { working: true });
  try {
    const stream = await openCamera(part("camera").value);
    run = { stream, source: null, asleep: false, turn: 0, fresh: false, frames: [], answers: [], latest: null, crowded: 0, tries: 0, recording: null };
    video.srcObject = stream;
    await video.play();
    stream.getVideoTracks()[0].addEventListener("ended", () => {
      if (run?.stream === stream) stop("It was unplugged or taken away.", "The camera is gone.");
    });
    await fillCameras(stream);
    showRunning(true);
    run.stopFrames = onFrames(video, frame);
    connect();
  } catch (fault) {
    stop(fault.words ?? fault.message, fault.title ?? "That did not work.");
  } finally {
    part("start").disabled = false;
  }
}

function stop(words = "The camera is off. Start it again whenever you like.", title = "See yourself move.") {
  run?.recording?.stop();
  run?.source?.close();
  run?.stopFrames?.();
  run?.stream.getTracks().forEach((track) => track.stop());
  run = null;
  video.srcObject = null;
  part("empty-title").textContent = title;
  part("empty-words").textContent = words;
  showRunning(false);
  say("");
}

/** Connect to where people are worked out now; the old place is let go, one that is just coming, too. */
async function connect() {
  if (!run) return;
  const mine = run;
  const turn = mine.turn + 1;
  mine.source?.close();
  Object.assign(mine, { source: null, asleep: false, turn, latest: null, answers: [], frames: [], crowded: 0 });
  const current = () => run === mine && mine.turn === turn;
  const ifCurrent = (act) => (...told) => { if (current()) act(mine, ...told); };
  clear();
  const where = form.elements.where.value;
  say(where === "device" ? "Loading the network into this page …" : "Connecting to the server …", { working: true });
  const open = { device, server }[where];
  try {
    const source = await open({ model: usable(where), most: most(), people: ifCurrent(receive), busy: ifCurrent(busy), idle: ifCurrent(sleep), fault: ifCurrent(fail) });
    if (!current()) return source.close();
    mine.source = source;
    say("");
    pump();
  } catch (fault) {
    ifCurrent(fail)(fault.message, true);
  }
}

/** The chosen model, or the default where this place cannot run it. */
function usable(where) {
  const chosen = model.name();
  if (where === "server" || config.device.poses[chosen]) return chosen;
  const standing = config.models.find((entry) => config.device.poses[entry.name]).name;
  warn(`${chosen} runs on the server only; this device uses ${standing}.`);
  return standing;
}

function frame(time) {
  if (!run) return;
  const now = performance.now();
  run.fresh = true;
  run.captured = time;
  run.frames.push(now);
  if (run.asleep) connect();
  pump();
  draw();
}

/** The server let a page go that nobody looked at; the next frame wakes it. */
function sleep(mine) {
  Object.assign(mine, { source: null, asleep: true });
}

/** Send the newest frame as soon as the source has room: none waits, none goes twice. */
function pump() {
  if (!run?.source || !run.fresh || !run.source.free()) return;
  run.fresh = false;
  run.source.send(video, run.captured).catch(() => {}); // a frame that cannot be read; the next one may be
}

function receive(mine, told) {
  const now = performance.now();
  mine.answers.push({ at: now, spent: now - told.time * 1000 });
  mine.latest = { people: told.people, skeleton: config.skeletons[told.skeleton], at: now };
  if (mine.crowded >= CROWDED) say("");
  Object.assign(mine, { crowded: 0, tries: 0 });
  canvas.latest = mine.latest; // for other scripts, and for tests
  pump();
  draw();
}

function busy(mine) {
  mine.crowded += 1;
  if (mine.crowded === CROWDED) say("The server is busy; frames are left out.");
}

function fail(mine, words, final, again) {
  if (final) {
    mine.source?.close();
    mine.source = null;
    say("");
  }
  if (again && mine.tries < AGAIN) {
    const { turn } = mine;
    say("The connection ended; connecting again …", { working: true });
    setTimeout(() => run === mine && mine.turn === turn && connect(), 500 * 2 ** mine.tries++);
    return;
  }
  if (!part("alerts").textContent.includes(words)) warn(final ? `${words} Change where it is worked out, or stop and start again.` : words);
}

/** What was found last; null where it is too old to be shown. */
function recent() {
  return run.latest && performance.now() - run.latest.at < HELD ? run.latest : null;
}

function draw() {
  const [width, height] = [video.videoWidth, video.videoHeight];
  if (!run || !width) return;
  // pixels of the page a pixel of the camera, which is shown whole
  const zoom = Math.min(canvas.clientWidth / width, canvas.clientHeight / height) || 1;
  const scale = Math.max(1, Math.min(2, zoom * devicePixelRatio));
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, wide, high);
  const latest = recent();
  const mirror = form.elements.mirror.checked;
  const view = { scale, width, mirror, pixel: scale / zoom };
  if (latest) drawPeople(context, latest, view, look());
  run.recording?.draw(latest, mirror, look());
}

function gauge() {
  if (!run) return;
  if (run.recording && performance.now() - run.recordedSince > LONGEST) endRecording("Recording ended after half an hour; it is below.");
  const begin = performance.now() - SECONDS * 1000;
  run.answers = run.answers.filter((one) => one.at > begin);
  run.frames = run.frames.filter((at) => at > begin);
  const spent = run.answers.map((one) => one.spent).sort((a, b) => a - b);
  const span = run.answers.length > 1 ? (run.answers.at(-1).at - run.answers[0].at) / 1000 : 0;
  const rate = span > 0.2 ? (run.answers.length - 1) / span : 0;
  const whole = run.frames.length > 1 ? (1000 * (run.frames.length - 1)) / (run.frames.at(-1) - run.frames[0]) : 0;
  const share = whole && rate ? Math.max(0, Math.round(100 * (1 - rate / whole))) : 0;
  part("fps").textContent = rate ? rate.toFixed(0) : "–";
  const [median, worst] = [0.5, 0.95].map((share) => Math.round(spent[Math.floor(spent.length * share)] ?? 0));
  part("latency").textContent = spent.length ? `${median} / ${worst} ms` : "–";
  part("drops").textContent = rate ? `${share} %` : "–";
  part("count").textContent = recent() ? String(run.latest.people.length) : "–";
  Object.assign(part("gauges").dataset, { fps: rate.toFixed(1), camera: whole.toFixed(1), median, worst });
}

async function endRecording(words) {
  const { recording } = run;
  run.recording = null;
  part("on-air").hidden = true;
  part("record").setAttribute("aria-pressed", "false");
  await recording.stop();
  say(words);
}

async function fillCameras(stream) {
  const select = part("camera");
  const current = stream.getVideoTracks()[0].getSettings().deviceId;
  const options = (await listCameras()).map(({ id, name }) => new Option(name, id, false, id === current));
  if (options.length) select.replaceChildren(...options);
}

function showRunning(on) {
  part("stage").classList.toggle("running", on);
  part("empty").hidden = on;
  for (const id of ["gauges", "bar"]) part(id).hidden = !on;
  part("on-air").hidden = true;
  part("record").setAttribute("aria-pressed", "false");
  part("start").disabled = false; // what is disabled takes no focus
  (on ? part("stop") : part("start")).focus({ preventScroll: true });
}

function settle() {
  const where = form.elements.where.value;
  part("stage").classList.toggle("mirrored", form.elements.mirror.checked);
  part("threshold-value").textContent = `${Math.round(form.elements.threshold.value * 100)} %`;
  part("privacy").querySelector("span").textContent = PRIVACY[where];
  model.tell();
}

function restore() {
  const known = recall("live", {});
  // on this very computer the server is quicker and as private; elsewhere pictures stay at home
  form.elements.where.value = known.where ?? (isLocal ? "server" : "device");
  if (!config.device || !Object.keys(config.device.poses).length) form.elements.where.value = "server";
  for (const name of ["mirror", "names", "scores", "boxes"]) {
    if (name in known) form.elements[name].checked = known[name];
  }
  for (const name of ["colours", "threshold"]) if (name in known) form.elements[name].value = known[name];
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", ({ target }) => {
  if (target.name && !["model", "most"].includes(target.name)) {
    keep("live", { ...recall("live", {}), [target.name]: target.type === "checkbox" ? target.checked : target.value });
  }
  settle();
  if (target.name === "where") connect();
});
part("camera").addEventListener("change", async () => {
  if (!run) return;
  stop();
  await start();
});
part("start").addEventListener("click", start);
part("stop").addEventListener("click", () => stop());
part("snapshot").addEventListener("click", async () => {
  if (!run) return;
  addShot(await snapshot(video, recent(), form.elements.mirror.checked, look()), "png");
  say("Snapshot taken; it is below.");
});
part("record").addEventListener("click", async () => {
  if (!run) return;
  if (run.recording) return endRecording("Recording ended; it is below.");
  try {
    run.recording = recorder(video, (blob, kind) => addShot(blob, kind));
    run.recordedSince = performance.now();
    part("on-air").hidden = false;
    part("record").setAttribute("aria-pressed", "true");
  } catch (fault) {
    warn(`This browser cannot record: ${fault.message}`);
  }
});
addEventListener("beforeunload", (event) => {
  // the browser asks: a recording, and what was not saved, would be lost
  if (run?.recording || part("shots").childElementCount) event.preventDefault();
});
addEventListener("pagehide", () => run && stop());
setInterval(gauge, 500);
restore();
settle();
