// What every page's script needs: its settings, the server, one way to tell people what went wrong.

export const config = JSON.parse(document.getElementById("main").dataset.config ?? "{}");

/** Whether the server is this very computer. */
export const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

export const part = (id) => document.getElementById(id);

/** A new element with attributes and children (elements or text). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** A refusal of the server, or its silence, as one sentence. */
export class Refusal extends Error {
  constructor(message, { status = 0, wait = 0 } = {}) {
    super(message);
    this.status = status; // of HTTP; 0: no answer
    this.wait = wait; // seconds after which trying again makes sense
  }
}

const SILENCE = "The server does not answer. Is posegram still running, and are you connected to it?";
const SENTENCES = {
  413: "This file is larger than the server takes.",
  415: "This is not a kind of file that posegram can read.",
  429: "That was too much at once. Wait a moment, then try again.",
  503: "The server is busy with other work. Try again in a moment.",
};

/** A refusal from an answer's status and body. */
export function refusal(status, body, wait = 0) {
  const message = body?.error?.message ?? SENTENCES[status] ?? `The server refused this (${status}).`;
  return new Refusal(status ? message : SILENCE, { status, wait });
}

/** The server's answer as JSON (null without a body); throws a `Refusal`. */
export async function ask(url, { method = "GET", body = undefined, signal = undefined } = {}) {
  let answer;
  try {
    answer = await fetch(url, { method, body, signal, headers: { "X-Posegram": "1", Accept: "application/json" } });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw refusal(0);
  }
  const found = await answer.json().catch(() => null);
  if (!answer.ok) throw refusal(answer.status, found, Number(answer.headers.get("Retry-After")) || 0);
  return found;
}

/** As `ask`, but a busy server is asked again a few times. */
export async function insist(url, options = {}, times = 5) {
  for (let tried = 1; ; tried++) {
    try {
      return await ask(url, options);
    } catch (fault) {
      if (![429, 503].includes(fault.status) || tried >= times) throw fault;
      await pause(Math.max(fault.wait, 0.5) * 1000 * (1 + Math.random()));
    }
  }
}

export const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Say what is going on; "" for nothing. Said twice, screen readers would read it twice. */
export function say(words, { working = false } = {}) {
  if (part("status").textContent === words) return;
  const wheel = working ? [make("span", { class: "spin", "aria-hidden": "true" })] : [];
  part("status").replaceChildren(...(words ? [...wheel, words] : []));
}

/** Show one sentence about what went wrong, until it is closed or followed by `clear`. */
export function warn(words) {
  const close = make("button", { class: "link", type: "button" }, "Close");
  const notice = make("p", { class: "notice" }, make("span", {}, words), close);
  close.addEventListener("click", () => {
    notice.remove();
    part("main").focus({ preventScroll: true }); // its button is gone
  });
  part("alerts").append(notice);
  notice.scrollIntoView({ block: "nearest" });
}

export function clear() {
  part("alerts").replaceChildren();
}

const held = new Map(); // what the browser would not keep, until this page is left

/** A value kept in this browser under a name; the fallback where there is none. */
export function recall(name, fallback) {
  if (held.has(name)) return held.get(name);
  try {
    return JSON.parse(localStorage.getItem(`posegram.${name}`)) ?? fallback;
  } catch {
    return fallback;
  }
}

export function keep(name, value) {
  try {
    localStorage.setItem(`posegram.${name}`, JSON.stringify(value));
    held.delete(name);
  } catch {
    held.set(name, value); // private windows and full storage still show results, and forget all
  }
}

/** Make the model picker tell each model's honest speed, and remember the choice. */
export function picker({ onchange = () => {}, about = speed } = {}) {
  const select = part("model");
  const wanted = recall("model", "");
  if ([...select.options].some((o) => o.value === wanted && !o.disabled)) select.value = wanted;
  const tell = () => {
    part("model-note").textContent = about(config.models.find((m) => m.name === select.value));
  };
  select.addEventListener("change", () => {
    keep("model", select.value);
    tell();
    onchange(select.value);
  });
  tell();
  return { name: () => select.value, tell };
}

/** A function that tells how many people are wanted at most, 0: all; the choice is remembered. */
export function limit({ onchange = () => {} } = {}) {
  const select = part("most");
  const wanted = String(recall("most", 0));
  if ([...select.options].some((one) => one.value === wanted)) select.value = wanted;
  select.addEventListener("change", () => {
    keep("most", Number(select.value));
    onchange();
  });
  return () => Number(select.value);
}

function speed(model) {
  if (!model) return "";
  // of our own 19 joints a result shows COCO's 17
  const joints = `${model.joints && model.skeleton !== "body19" ? model.joints.length : 17} joints`;
  if (model.kind === "rcnn") return `${joints}; careful, but seconds a picture on a processor.`;
  return model.milliseconds
    ? `${joints}; about ${Math.round(model.milliseconds)} ms a picture on this server.`
    : `${joints}; not timed on this server yet.`;
}

/** Files dropped anywhere on the page, chosen in the form or pasted. */
export function receive(take) {
  const [drop, input] = [part("drop"), part("files")];
  let depth = 0;
  const over = (inside) => {
    document.body.classList.toggle("dragging", inside);
    drop.classList.toggle("over", inside);
  };
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  addEventListener("dragenter", (event) => { if (carries(event)) over(++depth > 0); });
  addEventListener("dragleave", (event) => { if (carries(event)) over(--depth > 0); });
  addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    over(false);
    depth = 0;
    take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) take(files);
  });
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
}

/** Hand a blob to the browser's downloads. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 30000);
}

export const plural = (count, one, many) => `${count} ${count === 1 ? one : many}`;

export function size(bytes) {
  const large = bytes / 2 ** 20;
  return large < 1 ? `${Math.ceil(bytes / 1024)} kB` : `${large.toFixed(1).replace(".0", "")} MB`;
}
