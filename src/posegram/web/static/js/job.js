// The page of one clip: how far it is, the film when it is done.

import { ask, clear, keep, make, part, pause, plural, recall, warn } from "./page.js";

const id = part("main").dataset.job;
const address = `/v1/jobs/${encodeURIComponent(id)}`;
const TITLES = { "clip.mp4": "Film", "poses.csv": "CSV", "poses_wide.csv": "CSV with angles", "poses.json": "JSON", "coco.json": "COCO" };
const name = recall("clips", []).find((clip) => clip.id === id)?.name;
if (name) part("job-head").textContent = name;
let seen = null; // {done, at}: where the rate is measured from
let removal = ""; // "asked" for or "done", by this page

/** Ask once a second until the job ends. */
async function watch() {
  for (let silent = 0; removal !== "done";) {
    try {
      const job = await ask(address);
      if (removal) continue; // this answer may be older than the wish
      if (silent) clear(); // the server is back
      silent = 0;
      if (show(job)) return;
    } catch (fault) {
      if (removal) continue;
      if (fault.status === 404) return gone();
      if (++silent === 5) warn(fault.message);
    } finally {
      await pause(1000);
    }
  }
}

/** Show a job's state; whether it has ended. */
function show(job) {
  const running = ["queued", "running"].includes(job.state);
  part("progress").hidden = !running;
  if (running) return showProgress(job);
  const words = {
    done: `Ready: ${plural(job.done, "frame", "frames")}. ${job.error ?? ""}`.trim(),
    failed: `This clip failed: ${job.error ?? "no reason is known"}.`.replace(/\.\.$/, "."),
    cancelled: "Cancelled. The clip and everything made from it are deleted.",
  };
  tell(words[job.state] ?? job.state);
  part("key").hidden = job.state !== "done";
  if (job.state === "done") showFilm(job);
  return true;
}

function showProgress({ state, done, total, tries }) {
  const bar = part("bar");
  if (total) bar.value = done / total;
  else bar.removeAttribute("value");
  if (state === "queued") tell("Waiting for its turn.");
  else if (tries > 1) tell("At work, after an interruption.");
  else tell("At work. You may close this page and come back by its address.");
  part("count").textContent = total ? `${done} of ${total} frames` : plural(done, "frame", "frames");
  part("left").textContent = remaining(done, total);
  return false;
}

function remaining(done, total) {
  const now = performance.now();
  // until the first frame is done, the network loads
  if (!seen?.done || done < seen.done) seen = { done, at: now };
  const rate = (done - seen.done) / ((now - seen.at) / 1000);
  if (!total || !Number.isFinite(rate) || rate <= 0 || now - seen.at < 2500) return "";
  const seconds = Math.ceil((total - done) / rate);
  return seconds < 90 ? `about ${seconds} s left` : `about ${Math.round(seconds / 60)} min left`;
}

function showFilm({ files }) {
  const film = files.find((file) => file.name === "clip.mp4");
  if (film) {
    part("film").onerror = () => warn("The film cannot be played here. It can be downloaded below.");
    part("film").src = film.url;
  }
  const stem = (name ?? "clip").replace(/\.[^.]*$/, "");
  part("files").replaceChildren(...files.map((file) =>
    make("a", { class: "button small", href: file.url, download: `${stem}-${file.name}` }, TITLES[file.name] ?? file.name)));
  part("done").hidden = false;
}

function tell(words) {
  if (part("job-state").textContent !== words) part("job-state").textContent = words;
}

function gone() {
  keep("clips", recall("clips", []).filter((clip) => clip.id !== id));
  part("progress").hidden = true;
  for (const id of ["done", "key"]) part(id).hidden = true;
  tell("There is no such clip, or no longer: results are deleted after a while.");
}

async function remove(words) {
  if (removal) return; // pressed twice
  removal = "asked";
  clear();
  try {
    await ask(address, { method: "DELETE" });
  } catch (fault) {
    if (fault.status !== 404) {
      removal = "";
      return warn(fault.message);
    }
  }
  removal = "done";
  part("film").onerror = null;
  part("film").removeAttribute("src");
  part("film").load();
  gone();
  tell(words);
  part("main").focus(); // its button is gone
}

part("cancel").addEventListener("click", () => remove("Cancelled. The clip and everything made from it are deleted."));
part("delete").addEventListener("click", () => remove("Deleted. Nothing of this clip is left on the server."));
watch();
