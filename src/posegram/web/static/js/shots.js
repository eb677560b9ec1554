// Snapshots and recordings of the live page: the camera's picture with the joints drawn in.

import { drawPeople } from "./draw.js";
import { make, part, size } from "./page.js";

const KINDS = ["video/mp4;codecs=avc1", "video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"];

/** The picture of now with people drawn in, as a PNG blob. */
export async function snapshot(video, latest, mirror, look) {
  const canvas = make("canvas");
  paint(canvas, video, latest, mirror, look);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

function paint(canvas, video, latest, mirror, look) {
  const [width, height] = [video.videoWidth, video.videoHeight];
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.save();
  if (mirror) context.setTransform(-1, 0, 0, 1, width, 0);
  context.drawImage(video, 0, 0);
  context.restore();
  if (latest) drawPeople(context, latest, { scale: 1, width, mirror }, look);
}

/** A running recording {draw, stop}; `done(blob, suffix)` gets the film when it ends. */
export function recorder(video, done) {
  const kind = KINDS.find((one) => self.MediaRecorder?.isTypeSupported(one));
  if (!kind) throw new Error("it has no MediaRecorder for any format we know.");
  const canvas = make("canvas");
  paint(canvas, video, null, false, {});
  const chunks = [];
  const film = new MediaRecorder(canvas.captureStream(30), { mimeType: kind, videoBitsPerSecond: 4e6 });
  const ended = new Promise((end) => {
    film.onstop = () => {
      film.stream.getTracks().forEach((track) => track.stop());
      if (chunks.length) done(new Blob(chunks, { type: kind.split(";")[0] }), kind.includes("mp4") ? "mp4" : "webm");
      end();
    };
  });
  film.ondataavailable = ({ data }) => { if (data.size) chunks.push(data); };
  film.start(1000);
  return {
    draw: (latest, mirror, look) => paint(canvas, video, latest, mirror, look),
    stop() {
      if (film.state !== "inactive") film.stop();
      return ended;
    },
  };
}

/** Put a snapshot or a recording on the page, to look at and to save. */
export function addShot(blob, suffix) {
  const url = URL.createObjectURL(blob);
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  const name = `posegram-${stamp}.${suffix}`;
  const view = suffix === "png"
    ? make("img", { src: url, alt: "Snapshot of your camera with the joints drawn in" })
    : make("video", { src: url, controls: true, playsinline: true, "aria-label": "Recording of your camera" });
  const link = make("a", { class: "name", href: url, download: name }, `Save ${suffix === "png" ? "snapshot" : "recording"}`);
  const about = make("span", { class: "about" }, size(blob.size));
  const away = make("button", { class: "link", type: "button", "aria-label": `Remove ${name}` }, "Remove");
  const tile = make("li", { class: "tile" }, make("div", {}, make("span", { class: "thumb" }, view), link, about, away));
  away.addEventListener("click", () => {
    tile.remove();
    URL.revokeObjectURL(url);
    part("shots-part").hidden = !part("shots").childElementCount;
    part("main").focus(); // its button is gone
  });
  part("shots").prepend(tile);
  part("shots-part").hidden = false;
}
