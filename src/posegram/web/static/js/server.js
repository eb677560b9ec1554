// Live on the server: small JPEGs over a WebSocket, at most two under way; POST where a proxy lets no
// WebSocket through. The same shape as device.js: {free, send, close}.

import { frameSize } from "./camera.js";
import { grown } from "./coords.js";
import { isLocal, refusal } from "./page.js";

const UNDER_WAY = 2;
const QUALITY = isLocal ? 0.85 : 0.7; // joints hardly move by the first, half a pixel by the second
const PATIENCE = 3000; // milliseconds after which an unanswered frame counts as lost
const OPENING = 8000; // milliseconds after which a WebSocket that neither opens nor fails is given up
const [FULL, IDLE] = [1013, 4001]; // how the server closes, as posegram/web/live.py has it

/**
 * Connects; `people({sequence, time, people, skeleton})`, `busy()`, `idle()` and `fault(words, final,
 * again)` are called as it goes; `idle`: it ended as nothing was sent for long; `again`: what was
 * reached before is not any more, and may be again.
 */
export async function server({ model, most = 0, people, busy, idle, fault }) {
  const flying = new Map(); // sequence -> milliseconds when it left
  const canvas = new OffscreenCanvas(1, 1);
  let [sequence, newest, way, closed] = [0, 0, null, false];

  function answered(told) {
    if (told.error && told.sequence == null) return fault(told.error.message, true);
    // answers come in order: what was sent before this one was left out for it
    for (const number of flying.keys()) if (number <= told.sequence) flying.delete(number);
    if (told.busy) return busy();
    if (told.error) return fault(told.error.message, false);
    if (told.sequence < newest) return; // of two POSTs the later one came first
    newest = told.sequence;
    people(told);
  }

  const lost = (words, final, again = false) => {
    flying.clear();
    if (!closed) fault(words, final, again);
  };
  const socket = await openSocket({ model, max_people: most }, answered, lost, () => closed || idle());
  if (socket) way = { send: (header, jpeg) => socket.send(new Blob([header, jpeg])), close: () => socket.close() };
  else way = posting({ model, max_people: most }, answered, lost);

  return {
    where: "server",
    free() {
      const now = performance.now();
      for (const [number, left] of flying) if (now - left > PATIENCE) flying.delete(number);
      return flying.size < UNDER_WAY;
    },
    async send(video, time) {
      const number = ++sequence;
      flying.set(number, performance.now());
      const { width, height, share } = frameSize(video);
      const header = head(number, time, video.videoWidth, video.videoHeight);
      Object.assign(canvas, { width, height });
      canvas.getContext("2d").drawImage(video, 0, 0, width, height);
      const jpeg = await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
      if (!closed) way.send(header, jpeg, share);
    },
    close() {
      closed = true;
      way.close();
    },
  };
}

/** The 16 bytes before a JPEG: sequence, seconds, width, height; little-endian. */
function head(number, time, width, height) {
  const view = new DataView(new ArrayBuffer(16));
  view.setUint32(0, number, true);
  view.setFloat64(4, time, true);
  view.setUint16(12, width, true);
  view.setUint16(14, height, true);
  return view.buffer;
}

/** An open WebSocket; null where none can be had. */
function openSocket(wanted, answered, lost, idle) {
  return new Promise((done) => {
    const address = new URL(`/v1/live?${new URLSearchParams(wanted)}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    const patience = setTimeout(() => socket.close(), OPENING);
    let open = false;
    socket.onopen = () => {
      clearTimeout(patience);
      open = true;
      done(socket);
    };
    socket.onmessage = ({ data }) => answered(JSON.parse(data));
    socket.onclose = ({ code, reason }) => {
      clearTimeout(patience);
      if (!open) return done(null);
      if (code === IDLE) return idle();
      const full = code === FULL;
      lost(full ? `The server is busy: ${reason}.` : "The connection to the server ended.", true, !full);
    };
  });
}

/** The way round: one POST a frame. */
function posting(wanted, answered, lost) {
  const stop = new AbortController();
  return {
    async send(header, jpeg, share) {
      const view = new DataView(header);
      const sequence = view.getUint32(0, true);
      const query = new URLSearchParams({ ...wanted, sequence, time: view.getFloat64(4, true) });
      try {
        const answer = await fetch(`/v1/pose/frame?${query}`, {
          method: "POST", body: jpeg, signal: stop.signal,
          headers: { "X-Posegram": "1", "Content-Type": "image/jpeg" },
        });
        if (answer.status === 503 || answer.status === 429) return answered({ sequence, busy: true });
        const told = await answer.json().catch(() => null);
        if (!answer.ok) return lost(refusal(answer.status, told).message, answer.status !== 422);
        answered({ ...told, people: told.people.map((person) => grown(person, share)) });
      } catch (fault) {
        if (fault.name !== "AbortError") lost(refusal(0).message, true, true);
      }
    },
    close: () => stop.abort(),
  };
}
