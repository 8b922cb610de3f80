// Lighthouse on the page of a server that runs, as a phone and as a desktop sees it. See `options.mjs` for the command
// line.
//
// Points for performance differ from run to run with what else the machine does, so each device is measured several
// times and medians count. The rest is the same each time; its worst counts.

import { writeFile } from "node:fs/promises";
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";
import { throttling } from "lighthouse/core/config/constants.js";
import desktop from "lighthouse/core/config/desktop-config.js";
import { slowdownFor } from "./calibration.mjs";
import { readOptions } from "./options.mjs";
import { condensed, lacking, median } from "./scores.mjs";

const CATEGORIES = ["performance", "accessibility", "best-practices"];

const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

const options = readOptions();
let slowdown = throttling.mobileSlow4G.cpuSlowdownMultiplier;

/** Lighthouse's own phone, with its slow line, but for the slowdown; and its own desktop. */
const DEVICES = {
  phone: () => ({
    extends: "lighthouse:default",
    settings: { throttling: { ...throttling.mobileSlow4G, cpuSlowdownMultiplier: slowdown } },
  }),
  desktop: () => desktop,
};

// The first run fills the disk's cache and tells the machine's speed; it does not count.
if (options.calibrate) calibrate(await measure(DEVICES.phone()));
const devices = {};
for (const [device, config] of Object.entries(DEVICES)) {
  const runs = [];
  for (let number = 0; number < options.runs; number++) {
    const run = await measure(config());
    runs.push(run);
    if (options.calibrate) calibrate(run);
  }
  devices[device] = { points: pointsOf(runs), runs };
}
report();
if (options.output) await leave(options.output);
const complaints = lacking(devices, options);
for (const complaint of complaints) console.error(complaint);
process.exit(complaints.length === 0 ? 0 : 1);

/** One run in a browser of its own, so that nothing is in a cache. */
async function measure(config) {
  const chrome = await launch({ chromePath: options.browser, chromeFlags: FLAGS, logLevel: "silent" });
  try {
    const flags = { port: chrome.port, onlyCategories: CATEGORIES, logLevel: "error" };
    const result = await lighthouse(options.address, flags, config);
    return condensed(result.lhr);
  } finally {
    await chrome.kill();
  }
}

/** What else the machine does slows it down, too, and changes from run to run. */
function calibrate(run) {
  slowdown = slowdownFor(run.machine.benchmark);
}

function pointsOf(runs) {
  const points = (category) => runs.map((run) => run.points[category]);
  return Object.fromEntries(
    CATEGORIES.map((category) => [
      category,
      category === "performance" ? median(points(category)) : Math.min(...points(category)),
    ]),
  );
}

function report() {
  for (const [device, { points, runs }] of Object.entries(devices)) {
    const parts = CATEGORIES.map((category) => {
      const each = runs.map((run) => run.points[category]).join(" ");
      return `${category} ${points[category]} (${each})`;
    });
    console.log(`${device.padEnd(8)} ${parts.join("  ")}`);
    const machines = runs.map(({ machine }) => `${machine.benchmark} at ${machine.slowdown}`);
    console.log(`         benchmark and slowdown: ${machines.join(", ")}`);
    for (const line of new Set(runs.flatMap((run) => run.lost))) console.log(`         ${line}`);
  }
}

async function leave(file) {
  const [{ versions }] = devices.phone.runs;
  const of = ({ points, runs }) => ({ points, runs: runs.map(({ versions: _, ...run }) => run) });
  const kept = Object.fromEntries(Object.entries(devices).map(([name, device]) => [name, of(device)]));
  await writeFile(file, `${JSON.stringify({ ...versions, devices: kept }, null, 2)}\n`);
}
