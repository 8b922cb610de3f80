// Says what the first load of each page costs, and fails when one costs more than the limit.

import { readFile } from "node:fs/promises";
import { brotliCompressSync, gzipSync } from "node:zlib";

// A browser counts the headers of the answers, too, about 1.2 KB: `browser/tests/access.mjs` allows 60 KB with them.
const LIMIT_KB = 58.5;
const PAGES = {
  playground: ["index.html", "playground.js", "playground.css"],
  status: ["status.html", "status.js", "status.css"],
};
const built = new URL("../../crates/afterimage-server/src/playground/built/", import.meta.url);

function say(name, sizes) {
  const words = Object.entries(sizes).map(([key, size]) => `${key} ${size}`);
  console.log(name.padEnd(16), words.join("  "));
}

for (const [page, names] of Object.entries(PAGES)) {
  const total = { plain: 0, gzip: 0, brotli: 0 };
  for (const name of names) {
    const bytes = await readFile(new URL(name, built));
    const sizes = { plain: bytes.length, gzip: gzipSync(bytes).length, brotli: brotliCompressSync(bytes).length };
    for (const key of Object.keys(total)) total[key] += sizes[key];
    say(name, sizes);
  }
  say(page, total);
  if (total.gzip > LIMIT_KB * 1000) {
    console.error(`the first load of ${page} is ${total.gzip} bytes with gzip; at most ${LIMIT_KB} KB are meant`);
    process.exitCode = 1;
  }
}
