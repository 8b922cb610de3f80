// What the command line says.

import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { parseArgs } from "node:util";

const USAGE = `usage: npm run browser -- --server URL --key KEY [OPTION ...]

  --server URL        a server that runs
  --key KEY           a key of it; its tasks are added to and deleted from
  --screenshots DIR   leave pictures of the page there
  --snippets DIR      leave the examples that the page shows there, as DIALECT.LANGUAGE.ENDING
  --only TEXT         only the tests whose names have TEXT in them
  --built             take the page's files from the folder of built ones, everything else from the server
  --browser PATH      the browser; otherwise a Chromium in PATH`;

const BROWSERS = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

export function readOptions() {
  const text = { type: "string" };
  const flag = { type: "boolean", default: false };
  const names = { server: text, key: text, screenshots: text, snippets: text, only: text, browser: text, built: flag };
  const { values } = parseArgs({ options: { ...names, help: flag } });
  if (values.help || !values.server || !values.key) {
    console.error(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  const browser = values.browser ?? found();
  if (!browser || !existsSync(browser)) {
    console.error("no Chromium was found; name one with --browser");
    process.exit(2);
  }
  return { ...values, browser, server: values.server.replace(/\/$/, "") };
}

function found() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  for (const name of BROWSERS) {
    for (const folder of folders) {
      const path = join(folder, name);
      try {
        accessSync(path, constants.X_OK);
        return path;
      } catch {
        // Not there.
      }
    }
  }
  return undefined;
}
