// Says what the first load costs, and fails when it costs more than the limit.

import { readFile } from "node:fs/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";

const LIMIT_KB = 60;
const built = new URL("../../crates/afterimage-server/src/playground/built/", import.meta.url);
const total = { plain: 0, gzip: 0, brotli: 0 };
for (const name of ["index.html", "playground.js", "playground.css"]) {
  const bytes = await readFile(new URL(name, built));
  const sizes = { plain: bytes.length, gzip: gzipSync(bytes).length, brotli: brotliCompressSync(bytes).length };
  for (const key of Object.keys(total)) total[key] += sizes[key];
  console.log(
    name.padEnd(16),
    Object.entries(sizes)
      .map(([key, size]) => `${key} ${size}`)
      .join("  "),
  );
}
console.log(
  "together".padEnd(16),
  Object.entries(total)
    .map(([key, size]) => `${key} ${size}`)
    .join("  "),
);
if (total.gzip > LIMIT_KB * 1000) {
  console.error(`the first load is ${total.gzip} bytes with gzip; at most ${LIMIT_KB} KB are meant`);
  process.exit(1);
}
