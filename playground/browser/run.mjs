// Tests of the playground in a browser, against a server that runs. See `options.mjs` for the command line.
//
// The tests run in turn, each in a context of its own: nothing is kept from one to the next but the key's history.

import { chromium } from "playwright-core";
import { readOptions } from "./options.mjs";
import { Visit } from "./visit.mjs";
import * as access from "./tests/access.mjs";
import * as appearance from "./tests/appearance.mjs";
import * as connection from "./tests/connection.mjs";
import * as examples from "./tests/examples.mjs";
import * as forms from "./tests/forms.mjs";
import * as history from "./tests/history.mjs";
import * as masks from "./tests/masks.mjs";
import * as results from "./tests/results.mjs";
import * as snippets from "./tests/snippets.mjs";
import * as status from "./tests/status.mjs";

const GROUPS = { access, forms, masks, results, history, connection, appearance, snippets, examples, status };

/** Milliseconds that a test may take. */
const LIMIT = 300_000;

const options = readOptions();
const args = ["--no-sandbox", "--disable-gpu", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
const browser = await chromium.launch({ executablePath: options.browser, args });
let passed = 0;
let skipped = 0;
const failed = [];
for (const [group, { tests }] of Object.entries(GROUPS)) {
  for (const [name, test] of Object.entries(tests)) {
    const full = `${group}: ${name}`;
    if (options.only && !full.includes(options.only)) continue;
    const reason = test.skippedFor?.(options);
    if (reason) {
      console.log(`skipped           ${full}  (${reason})`);
      skipped++;
    } else if (await runs(full, test)) passed++;
    else failed.push(full);
  }
}
await browser.close();
console.log(
  `${passed} passed, ${failed.length} failed, ${skipped} skipped${failed.map((name) => `\n  ${name}`).join("")}`,
);
process.exit(failed.length === 0 && passed + skipped > 0 ? 0 : 1);

async function runs(name, test) {
  const begun = performance.now();
  const visit = new Visit(browser, options);
  const took = () => `${((performance.now() - begun) / 1000).toFixed(1)} s`;
  try {
    const note = await within(LIMIT, test(visit));
    visit.checkQuiet();
    console.log(`ok      ${took().padStart(7)}  ${name}${note ? `  (${note})` : ""}`);
    return true;
  } catch (error) {
    await visit.shoot(`failed ${name}`).catch(() => {});
    console.log(`FAILED  ${took().padStart(7)}  ${name}\n${indented(error.stack ?? String(error))}`);
    return false;
  } finally {
    await visit.close();
  }
}

/** What `work` comes to; a page that hangs fails its test. */
async function within(milliseconds, work) {
  let timer;
  const over = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
    work.catch(() => {});
  }
}

function indented(text) {
  return text
    .split("\n")
    .map((line) => `          ${line}`)
    .join("\n");
}
