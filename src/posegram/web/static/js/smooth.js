// Steadier joints: posegram/smooth.py's One-Euro filter (Casiez et al. 2012), without its repair of
// exchanged sides.

const [CUTOFF, SPEEDY, DERIVATIVE] = [1.5, 6, 1]; // hertz; hertz per body size a second; hertz

/** A function (points [[x, y] ...], scores, size in pixels, seconds) -> steadier points. */
export function smoother() {
  let old = null; // {xy, speed, scale, time}
  return (points, scores, size, time) => {
    if (!old) {
      old = { xy: points, speed: points.map(() => [0, 0]), scale: size, time };
      return points;
    }
    const step = Math.max(time - old.time, 1e-3);
    const scale = old.scale + 0.1 * (size - old.scale);
    const xy = [], speed = [];
    points.forEach((point, n) => {
      const fast = point.map((value, axis) => {
        const now = (value - old.xy[n][axis]) / scale / step;
        return old.speed[n][axis] + gain(DERIVATIVE, step) * (now - old.speed[n][axis]);
      });
      const sure = Math.min(Math.max(scores[n] / 0.5, 0.1), 1);
      const part = gain((CUTOFF + SPEEDY * Math.hypot(...fast)) * sure, step);
      speed.push(fast);
      xy.push(point.map((value, axis) => old.xy[n][axis] + part * (value - old.xy[n][axis])));
    });
    old = { xy, speed, scale, time };
    return xy;
  };
}

/** Share of a new value that a first-order low pass takes over. */
function gain(cutoff, step) {
  const turn = 2 * Math.PI * cutoff * step;
  return turn / (turn + 1);
}
