// Every change of coordinates in the browser: the second implementation of posegram/coords.py, held
// to it by tests/web/test_browser.py.
// Pixels: x right, y down, (0, 0) = centre of the top-left pixel. A matrix is [a, b, c, d, e, f]:
// x' = a x + b y + c, y' = d x + e y + f. A size is [height, width]. A picture is
// {data, width, height, channels} with 8-bit values in rows.

const WINDOW = 4; // cells on each side of a heatmap's peak whose mass is its confidence
const REACH = 0.1; // cells on each side of the peak that mean shift reads / height of the map
const STEPS = 2; // of mean shift
const KERNEL = 0.5; // width of its kernel / (falloff x height of the map)
const NARROW = 1.5; // cells, of the narrowest kernel

/** The box around the outer edges of all pixels of a picture. */
export function whole(width, height) {
  return [-0.5, -0.5, width - 0.5, height - 0.5];
}

/** Matrix from picture pixels to the pixels of one crop around a box [x0, y0, x1, y1]. */
export function toCrop(box, size, margin = 1.25) {
  const [height, width] = size;
  const [x0, y0, x1, y1] = box;
  const side = Math.max(y1 - y0, ((x1 - x0) * height) / width, 1) * margin;
  const zoom = height / side;
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return [zoom, 0, (width - 1) / 2 - zoom * x, 0, zoom, (height - 1) / 2 - zoom * y];
}

/** The matrix that undoes another. */
export function inverse([a, b, c, d, e, f]) {
  const det = a * e - b * d;
  const [p, q, r, s] = [e / det, -b / det, -d / det, a / det];
  return [p, q, -(p * c + q * f), r, s, -(r * c + s * f)];
}

/** A point carried by a matrix. */
export function move([x, y], [a, b, c, d, e, f]) {
  return [a * x + b * y + c, d * x + e * y + f];
}

/** A person found in a picture of a share of the size, in the pixels of the whole one. */
export function grown(person, share) {
  const grow = (value) => (value + 0.5) / share - 0.5;
  return { ...person, box: person.box.map(grow), xy: person.xy.map((at) => at && at.map(grow)) };
}

/**
 * Cuts the crop that an upright matrix (no turn) describes into `out` (height x width x 3 from
 * `offset` on), black outside the picture. Strong shrinking is done by area first, as bilinear
 * sampling would skip pixels.
 */
export function warp(picture, matrix, size, out, offset = 0) {
  const zoom = Math.sqrt(Math.abs(matrix[0] * matrix[4]));
  if (zoom < 0.5) {
    const [small, smaller] = shrink(picture, Math.floor(1 / zoom), matrix, size);
    sample(small, smaller, size, out, offset);
  } else {
    sample(picture, matrix, size, out, offset);
  }
}

/** Bilinear samples: a matrix without a turn lets rows and columns be looked up once each. */
function sample(picture, matrix, [height, width], out, offset) {
  const { data, channels } = picture;
  const back = inverse(matrix);
  const columns = ends(back[0], back[2], width, picture.width, channels);
  const rows = ends(back[4], back[5], height, picture.height, channels * picture.width);
  let at = offset;
  for (let row = 0; row < height; row++) {
    const [above, below] = [rows.first[row], rows.second[row]];
    const [north, south] = [rows.near[row], rows.far[row]];
    for (let column = 0; column < width; column++, at += 3) {
      const [left, right] = [columns.first[column], columns.second[column]];
      const [west, east] = [columns.near[column], columns.far[column]];
      for (let n = 0; n < 3; n++) {
        out[at + n] = 0.5 + // which rounds, as whole numbers are kept by cutting off
          north * (west * data[above + left + n] + east * data[above + right + n]) +
          south * (west * data[below + left + n] + east * data[below + right + n]);
      }
    }
  }
}

/** For each of `count` places: offsets of its two neighbours and their weights, 0 outside. */
function ends(step, start, count, length, stride) {
  const [first, second] = [new Int32Array(count), new Int32Array(count)];
  const [near, far] = [new Float32Array(count), new Float32Array(count)];
  for (let n = 0; n < count; n++) {
    const place = step * n + start;
    const low = Math.floor(place);
    near[n] = low >= 0 && low < length ? low + 1 - place : 0;
    far[n] = low + 1 >= 0 && low + 1 < length ? place - low : 0;
    first[n] = clamp(low, 0, length - 1) * stride;
    second[n] = clamp(low + 1, 0, length - 1) * stride;
  }
  return { first, second, near, far };
}

/** A stretch of 0..length made longer, else shorter, until `times` divides it. */
function divided(first, last, length, times) {
  const lacking = () => (times - ((last - first) % times)) % times;
  last = Math.min(length, last + lacking());
  first = Math.max(0, first - lacking());
  return [first, last - (last - first > times ? (last - first) % times : 0)];
}

/** The part that the crop sees, so many times smaller by area, and the matrix that fits it. */
function shrink(picture, times, matrix, [height, width]) {
  const back = inverse(matrix);
  const [ax, ay] = move([-0.5, -0.5], back);
  const [bx, by] = move([width - 0.5, height - 0.5], back);
  const left = clamp(Math.floor(Math.min(ax, bx)) - 2, 0, picture.width - 1);
  const top = clamp(Math.floor(Math.min(ay, by)) - 2, 0, picture.height - 1);
  const right = clamp(Math.ceil(Math.max(ax, bx)) + 3, left + 1, picture.width);
  const bottom = clamp(Math.ceil(Math.max(ay, by)) + 3, top + 1, picture.height);
  const [x0, x1] = divided(left, right, picture.width, times);
  const [y0, y1] = divided(top, bottom, picture.height, times);
  const across = Math.max(1, Math.floor((x1 - x0) / times));
  const down = Math.max(1, Math.floor((y1 - y0) / times));
  const [fx, fy] = [(x1 - x0) / across, (y1 - y0) / down];
  const [a, b, c, d, e, f] = matrix;
  // a small pixel's centre u lies at (u + .5) f - .5 in the part, which starts at (x0, y0)
  const [gx, gy] = [fx / 2 - 0.5 + x0, fy / 2 - 0.5 + y0];
  const fitted = [a * fx, b * fy, a * gx + b * gy + c, d * fx, e * fy, d * gx + e * gy + f];
  return [average(picture, [x0, y0, x1, y1], across, down), fitted];
}

function average(picture, [x0, y0, x1, y1], across, down) {
  const columns = shares(x0, x1 - x0, across);
  const rows = shares(y0, y1 - y0, down);
  const { data: from, channels, width } = picture;
  const line = across * 3;
  const wide = new Float32Array((y1 - y0) * line);
  for (let row = y0, at = 0; row < y1; row++) {
    for (let column = 0; column < across; column++, at += 3) {
      const weights = columns[column].weights;
      let place = (row * width + columns[column].start) * channels;
      let red = 0, green = 0, blue = 0;
      for (let n = 0; n < weights.length; n++, place += channels) {
        red += weights[n] * from[place];
        green += weights[n] * from[place + 1];
        blue += weights[n] * from[place + 2];
      }
      wide[at] = red;
      wide[at + 1] = green;
      wide[at + 2] = blue;
    }
  }
  const data = new Uint8Array(down * line);
  const sums = new Float32Array(line);
  for (let row = 0; row < down; row++) {
    const { start, weights } = rows[row];
    sums.fill(0.5); // which rounds
    for (let m = 0; m < weights.length; m++) {
      const [weight, begin] = [weights[m], (start - y0 + m) * line];
      for (let n = 0; n < line; n++) sums[n] += weight * wide[begin + n];
    }
    data.set(sums, row * line);
  }
  return { data, width: across, height: down, channels: 3 };
}

/** For each of `count` cells over `length` pixels from `first` on: the pixels it covers, how much. */
function shares(first, length, count) {
  const step = length / count;
  return Array.from({ length: count }, (_, cell) => {
    const [low, high] = [cell * step, Math.min((cell + 1) * step, length)];
    const start = Math.floor(low + 1e-6);
    const stop = Math.min(Math.ceil(high - 1e-6), length);
    const weights = [];
    for (let n = start; n < stop; n++) weights.push((Math.min(n + 1, high) - Math.max(n, low)) / step);
    return { start: first + start, weights };
  });
}

/**
 * Crop pixels and confidence logits from a network's outputs, by the card's kind:
 * {xy: [[x, y] ...] per crop, logit: [...] per crop}.
 */
export function decode(outputs, kind, size, spread) {
  if (kind === "heatmap") return decodeHeatmap(outputs[0].data, outputs[0].dims, size, spread);
  if (kind === "regression") return decodeRegression(outputs, size);
  throw new Error(`no decoding for outputs of kind ${kind}`);
}

function decodeRegression([share, sure], [height, width]) {
  const [n, k] = share.dims;
  const xy = [], logit = [];
  for (let crop = 0; crop < n; crop++) {
    const from = crop * k;
    const joints = Array.from({ length: k }, (_, joint) => [
      share.data[(from + joint) * 2] * width - 0.5,
      share.data[(from + joint) * 2 + 1] * height - 0.5,
    ]);
    xy.push(joints);
    logit.push(Array.from(sure.data.subarray(from, from + k)));
  }
  return { xy, logit };
}

/** Where a joint's OKS is likely highest near its map's peak; confidence is the mass around that. */
export function decodeHeatmap(heat, [n, k, h, w], [height, width], spread) {
  const xy = [], logit = [];
  for (let crop = 0; crop < n; crop++) {
    const joints = [], sure = [];
    for (let joint = 0; joint < k; joint++) {
      const start = (crop * k + joint) * h * w;
      const kernel = Math.max(KERNEL * h * spread[joint], NARROW);
      const [x, y, mass] = peak(heat.subarray(start, start + h * w), h, w, kernel);
      joints.push([((x + 0.5) * width) / w - 0.5, ((y + 0.5) * height) / h - 0.5]);
      const share = clamp(mass, 1e-6, 1 - 1e-6);
      sure.push(Math.log(share / (1 - share)));
    }
    xy.push(joints);
    logit.push(sure);
  }
  return { xy, logit };
}

/** Place of one heatmap's joint in cells, and the share of the softmax in the window around it. */
function peak(map, h, w, kernel) {
  let top = 0;
  for (let n = 1; n < map.length; n++) if (map[n] > map[top]) top = n;
  const [row, column] = [Math.floor(top / w), top % w];
  let total = 0;
  for (let n = 0; n < map.length; n++) total += Math.exp(map[n] - map[top]);
  const reach = Math.max(WINDOW, Math.round(h * REACH));
  let [x, y, mass] = mean(map, h, w, [row, column], WINDOW, () => 1);
  const confidence = mass / total;
  for (let step = 0; step < STEPS; step++) {
    const near = (r, c) => Math.exp(-((r - y) ** 2 + (c - x) ** 2) / (2 * kernel ** 2));
    [x, y] = mean(map, h, w, [row, column], reach, near);
  }
  return [x, y, confidence];
}

/** Mean place of the cells around a peak, each weighing exp(its height over the peak) times `near`. */
function mean(map, h, w, [row, column], reach, near) {
  let [mass, x, y] = [0, 0, 0];
  const highest = map[row * w + column];
  for (let r = Math.max(0, row - reach); r <= Math.min(h - 1, row + reach); r++) {
    for (let c = Math.max(0, column - reach); c <= Math.min(w - 1, column + reach); c++) {
      const share = Math.exp(map[r * w + c] - highest) * near(r, c);
      mass += share;
      x += share * c;
      y += share * r;
    }
  }
  return [x / mass, y / mass, mass];
}

/** Calibrated probability of a logit: 1 / (1 + exp(-(slope logit + offset))). */
export function probability(logit, [slope, offset]) {
  return 1 / (1 + Math.exp(-clamp(slope * logit + offset, -30, 30)));
}

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
