// Photos that no browser turns upright: WebP with an EXIF tag. The server turns them.

const TURN = 0x0112; // the EXIF tag
const ONTO = { // its values -> how a picture of that width and height gets upright: a canvas' transform
  2: (w) => [-1, 0, 0, 1, w, 0],
  3: (w, h) => [-1, 0, 0, -1, w, h],
  4: (w, h) => [1, 0, 0, -1, 0, h],
  5: () => [0, 1, 1, 0, 0, 0],
  6: (w, h) => [0, 1, -1, 0, h, 0],
  7: (w, h) => [0, -1, -1, 0, h, w],
  8: (w) => [0, -1, 1, 0, 0, w],
};

/** A photo as the server sees it: itself, or a turned copy where a browser would show it as it lies. */
export async function upright(photo) {
  const value = await turn(photo).catch(() => 1); // broken EXIF must not cost the photo
  if (!ONTO[value]) return photo;
  const bitmap = await createImageBitmap(photo, { imageOrientation: "none" }).catch(() => null);
  if (!bitmap) return photo;
  const { width, height } = bitmap;
  const canvas = value < 5 ? new OffscreenCanvas(width, height) : new OffscreenCanvas(height, width);
  const context = canvas.getContext("2d");
  context.setTransform(...ONTO[value](width, height));
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/png" }).catch(() => photo);
}

/** The value of a WebP's tag; 1 where there is none, or for another kind of photo. */
async function turn(photo) {
  const head = new DataView(await photo.slice(0, 12).arrayBuffer());
  if (word(head, 0) !== "RIFF" || word(head, 8) !== "WEBP") return 1;
  for (let at = 12; at + 8 <= photo.size;) {
    const chunk = new DataView(await photo.slice(at, at + 8).arrayBuffer());
    const size = chunk.getUint32(4, true);
    if (word(chunk, 0) === "EXIF") return tag(new DataView(await photo.slice(at + 8, at + 8 + size).arrayBuffer()));
    at += 8 + size + (size % 2);
  }
  return 1;
}

function word(view, at) {
  return [0, 1, 2, 3].map((n) => String.fromCharCode(view.getUint8(at + n))).join("");
}

function tag(exif) {
  const start = word(exif, 0) === "Exif" ? 6 : 0;
  const little = word(exif, start).startsWith("II");
  const list = start + exif.getUint32(start + 4, little);
  for (let n = 0; n < exif.getUint16(list, little); n++) {
    const at = list + 2 + 12 * n;
    if (exif.getUint16(at, little) === TURN) return exif.getUint16(at + 8, little);
  }
  return 1;
}
