// What the command line says.

import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { findBrowser } from "./find-browser.mjs";

const USAGE = `usage: npm run browser -- --server URL --key KEY [OPTION ...]

  --server URL        a server that runs
  --key KEY           a key of it; its tasks are added to and deleted from
  --screenshots DIR   leave pictures of the page there
  --snippets DIR      leave the examples that the page shows there, as DIALECT.LANGUAGE.ENDING
  --clients DIR       run the examples with the services' clients that are there: npm run clients -- DIR
  --every-example     all of them, not only those of the plainest form
  --only TEXT         only the tests whose names have TEXT in them
  --built             take the page's files from the folder of built ones, everything else from the server
  --browser PATH      the browser; otherwise a Chromium in PATH`;

export function readOptions() {
  const text = { type: "string" };
  const flag = { type: "boolean", default: false };
  const texts = {
    server: text,
    key: text,
    screenshots: text,
    snippets: text,
    clients: text,
    only: text,
    browser: text,
  };
  const names = { ...texts, "every-example": flag, built: flag };
  const { values } = parseArgs({ options: { ...names, help: flag } });
  if (values.help || !values.server || !values.key) {
    console.error(USAGE);
    process.exit(values.help ? 0 : 2);
  }
  const browser = values.browser ?? findBrowser();
  if (!browser || !existsSync(browser)) {
    console.error("no Chromium was found; name one with --browser");
    process.exit(2);
  }
  return { ...values, browser, server: values.server.replace(/\/$/, "") };
}
