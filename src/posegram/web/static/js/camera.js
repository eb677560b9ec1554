// The visitor's camera: opened, listed, and what to tell when it cannot be.

const LONGEST = 640; // pixels a side of a frame that is looked at
const TROUBLES = {
  NotAllowedError: ["The camera is blocked.", "Your browser was told not to let this page use it. Allow the camera in the address bar (or in the browser's settings for this site), then start again."],
  NotFoundError: ["No camera found.", "Plug one in, or open this page on a phone. Photos and videos work without a camera."],
  NotReadableError: ["The camera is in use.", "Another program or tab holds it. Close that one, then start again."],
  OverconstrainedError: ["That camera is gone.", "Choose another one, then start again."],
  AbortError: ["The camera did not start.", "Try once more; unplugging it and plugging it in again helps, too."],
};
const INSECURE = ["No camera on this address.", "Browsers give a camera only to pages on https, or on this computer itself (localhost)."];

/** A stream of the chosen camera (any without an id); throws an Error with `title` and `words`. */
export async function openCamera(id) {
  if (!navigator.mediaDevices?.getUserMedia) throw trouble(INSECURE);
  const video = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 } };
  if (id) video.deviceId = { exact: id };
  else video.facingMode = "user";
  try {
    return await navigator.mediaDevices.getUserMedia({ video, audio: false });
  } catch (fault) {
    throw trouble(TROUBLES[fault.name] ?? ["The camera did not start.", String(fault.message || fault.name)]);
  }
}

function trouble([title, words]) {
  return Object.assign(new Error(`${title} ${words}`), { title, words });
}

/** The cameras as [{id, name}]; names are known only once one was allowed. */
export async function listCameras() {
  const found = await navigator.mediaDevices?.enumerateDevices?.() ?? [];
  return found.filter((device) => device.kind === "videoinput").map((device, n) => (
    { id: device.deviceId, name: device.label || `Camera ${n + 1}` }));
}

/** How a video's frame is looked at: {width, height, share: of its own size}. */
export function frameSize({ videoWidth, videoHeight }) {
  const share = Math.min(1, LONGEST / Math.max(videoWidth, videoHeight));
  return { width: Math.round(videoWidth * share), height: Math.round(videoHeight * share), share };
}

/** Call `take(seconds of capture)` for every new frame that a video shows; a function that stops it. */
export function onFrames(video, take) {
  let on = true;
  if (video.requestVideoFrameCallback) {
    const next = (now) => {
      if (!on) return;
      take(now / 1000);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  } else {
    let last = -1;
    const next = (now) => {
      if (!on) return;
      if (video.currentTime !== last) take(now / 1000);
      last = video.currentTime;
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  }
  return () => { on = false; };
}
