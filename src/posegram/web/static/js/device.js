// Live on this device: frames go to a worker of this page and nowhere else.
// The same shape as server.js: {free, send, close}.

import { frameSize } from "./camera.js";
import { grown } from "./coords.js";
import { config } from "./page.js";

const FAULTY = "This browser cannot run the network here";

/** Starts the worker; resolves once the network is ready. */
export function device({ model, most = 0, people, fault }) {
  const { poses } = config.device;
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  let [sequence, working, share] = [0, false, 1];
  const usual = narrow(poses[model].card.skeleton);

  const ready = new Promise((done, refuse) => {
    const broken = (why) => {
      const words = `${FAULTY}: ${why}.`;
      refuse(new Error(words));
      fault(words, true);
    };
    worker.onmessage = ({ data }) => {
      if (data.kind === "ready") return done();
      if (data.kind === "fault") return broken(data.message);
      working = false;
      const found = data.people.map((person) => usual(grown(person, share)));
      people({ sequence: data.sequence, time: data.time, people: found, skeleton: usual.skeleton, spent: data.spent });
    };
    worker.onerror = (event) => {
      event.preventDefault();
      broken(event.message ?? "the worker did not start");
    };
  });
  worker.postMessage({ kind: "load", pose: poses[model], detector: poses[model].detector, most });

  return ready.then(() => ({
    where: "device",
    free: () => !working,
    async send(video, time) {
      working = true;
      try {
        const size = frameSize(video);
        share = size.share;
        const bitmap = await createImageBitmap(video, { resizeWidth: size.width, resizeHeight: size.height });
        worker.postMessage({ kind: "frame", bitmap, sequence: ++sequence, time }, [bitmap]);
      } catch (failed) {
        working = false; // or no frame would ever be sent again
        throw failed;
      }
    },
    close: () => worker.terminate(),
  }), (failed) => {
    worker.terminate();
    throw failed;
  });
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
