#!/bin/sh
# Fetches what the web pages need and git does not hold: ONNX Runtime and typefaces by npm, Chromium
# for the browser tests by apt. Each may be missing; then one sentence says what will not work.
set -u
cd "$(dirname "$0")" || exit 1
static=../src/posegram/web/static

say() { echo "browser: $*"; }

fetch() {
  npm ci --no-progress --loglevel=error || return 1
  mkdir -p "$static/ort" "$static/fonts" || return 1
  ort=node_modules/onnxruntime-web/dist
  for name in ort.wasm.min.mjs ort-wasm-simd-threaded.mjs ort-wasm-simd-threaded.wasm; do
    cp "$ort/$name" "$static/ort/" || return 1
  done
  cp LICENSE.onnxruntime "$static/ort/LICENSE" || return 1
  gzip -9 --keep --force --no-name "$static/ort/ort-wasm-simd-threaded.wasm" || return 1
  for face in bricolage-grotesque instrument-sans; do
    cp "node_modules/@fontsource-variable/$face/files/$face-latin-wght-normal.woff2" \
      "$static/fonts/$face.woff2" || return 1
    cp "node_modules/@fontsource-variable/$face/LICENSE" "$static/fonts/$face.LICENSE" || return 1
  done
  touch "$static/ort/.ready"
}

if [ "$static/ort/.ready" -nt package-lock.json ] && [ "$static/ort/.ready" -nt fetch.sh ]; then
  :
elif ! command -v npm >/dev/null; then
  say "no npm here, so the live page cannot run on the visitor's own device"
elif ! fetch; then
  say "npm did not deliver, so the live page cannot run on the visitor's own device"
fi

if command -v chromium >/dev/null; then
  :
elif [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  say "no chromium here, so the browser tests will be skipped (apt-get install chromium)"
elif ! { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; } >/dev/null; then
  say "apt did not deliver chromium, so the browser tests will be skipped"
fi
