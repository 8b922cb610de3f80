// What the command line says.

import { parseArgs } from "node:util";
import { findBrowser } from "../browser/find-browser.mjs";

const USAGE = `usage: npm run measure -- --server URL --key KEY [OPTION ...]

  --server URL        a server that runs
  --key KEY           a key of it
  --runs N            how often each form of device is measured; medians count (3)
  --calibrate         slow a slow machine down by less than Lighthouse does by itself
  --floor N           fail when a category has fewer points of 100
  --busy-floor N      for performance instead, on a machine that is slow or has other work
  --output FILE       leave the scores there as JSON
  --browser PATH      the browser; otherwise a Chromium in PATH`;

export function readOptions() {
  const text = { type: "string" };
  const flag = { type: "boolean", default: false };
  const names = { server: text, key: text, runs: text, floor: text, "busy-floor": text, output: text, browser: text };
  const { values } = parseArgs({ options: { ...names, calibrate: flag, help: flag } });
  if (values.help || !values.server || !values.key) {
    console.error(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  return {
    browser: values.browser ?? findBrowser(),
    // The link that the server prints at its first start.
    address: `${values.server.replace(/\/$/, "")}/#key=${encodeURIComponent(values.key)}`,
    runs: Number(values.runs ?? 3),
    calibrate: values.calibrate,
    floor: Number(values.floor ?? 0),
    busyFloor: Number(values["busy-floor"] ?? values.floor ?? 0),
    output: values.output,
  };
}
