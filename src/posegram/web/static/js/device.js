// Live on this device: frames go to a worker of this page and nowhere else.
// The same shape as server.js: {free, send, close}.

import { config } from "./page.js";

const LONGEST = 640; // pixels a side of a frame that is looked at
const FAULTY = "This browser cannot run the network here";

/** Starts the worker; resolves once the network is ready. */
export function device({ model, people, fault }) {
  const { poses, detector } = config.device;
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  let [sequence, working, share] = [0, false, 1];
  const usual = narrow(poses[model].card.skeleton);

  const ready = new Promise((done, refuse) => {
    worker.onmessage = ({ data }) => {
      if (data.kind === "ready") return done();
      if (data.kind === "fault") {
        working = false;
        refuse(new Error(`${FAULTY}: ${data.message}.`));
        return fault(`${FAULTY}: ${data.message}.`, true);
      }
      working = false;
      const found = data.people.map((person) => usual(grown(person, share)));
      people({ sequence: data.sequence, time: data.time, people: found, skeleton: usual.skeleton, spent: data.spent });
    };
    worker.onerror = (event) => {
      event.preventDefault();
      refuse(new Error(`${FAULTY}: ${event.message ?? "the worker did not start"}.`));
    };
  });
  worker.postMessage({ kind: "load", pose: poses[model], detector });

  return ready.then(() => ({
    where: "device",
    free: () => !working,
    async send(video, time) {
      working = true;
      const [width, height] = [video.videoWidth, video.videoHeight];
      share = Math.min(1, LONGEST / Math.max(width, height));
      const bitmap = await createImageBitmap(video, {
        resizeWidth: Math.round(width * share), resizeHeight: Math.round(height * share),
      });
      worker.postMessage({ kind: "frame", bitmap, sequence: ++sequence, time }, [bitmap]);
    },
    close: () => worker.terminate(),
  }), (failed) => {
    worker.terminate();
    throw failed;
  });
}

/** A person found in a smaller picture, in the pixels of the camera's. */
function grown(person, share) {
  const grow = (value) => (value + 0.5) / share - 0.5;
  return { ...person, box: person.box.map(grow), xy: person.xy.map((at) => at.map(grow)) };
}

/** A function that tells our own 19 joints as COCO's 17, as the server does; others as they are. */
function narrow(own) {
  const name = own.name === "body19" ? "coco17" : own.name;
  const rows = (config.skeletons[name] ?? own).joints.map((joint) => own.joints.indexOf(joint));
  const usual = (person) => ({
    ...person, xy: rows.map((row) => person.xy[row]), scores: rows.map((row) => person.scores[row]),
  });
  return Object.assign(usual, { skeleton: name });
}
