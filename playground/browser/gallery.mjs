// Takes the pictures of the page that the documents show, on a server of its own with an empty data folder:
//
//     npm run gallery -- --program PATH [--built] [--browser PATH]

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { findBrowser } from "./find-browser.mjs";
import { addPhoto, make, PATIENCE, Visit } from "./visit.mjs";

const GALLERY = fileURLToPath(new URL("../../docs/gallery/", import.meta.url));
const KEY = "gallery-key-0123456789";

/** Windows, each with the pixels of its picture: smaller, so that a document loads quickly. */
const WINDOWS = {
  playground: { viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1200 / 1440 },
  "playground-grid": { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 1000 / 1280 },
  "playground-dark": { viewport: { width: 1280, height: 800 }, deviceScaleFactor: 1000 / 1280, colorScheme: "dark" },
  "playground-phone": { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true },
};

const scenes = {
  async "playground-phone"(page) {
    await prompted(page, "winter");
    await small(page);
    await make(page);
    await page.locator("#stage").evaluate((element) => element.scrollIntoView());
  },

  async "playground-dark"(page) {
    await prompted(page, "at night");
    await small(page);
    await mask(page);
    await make(page);
    await page.locator(".picture").scrollIntoViewIfNeeded();
  },

  async "playground-grid"(page) {
    await prompted(page, "sunset");
    await small(page);
    await page.locator(".run-buttons").getByRole("button", { name: "Grid" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("combobox", { name: "Columns" }).selectOption("balance");
    await dialog.getByRole("combobox", { name: "Rows" }).selectOption("seed");
    await dialog.getByLabel("Values of Seed").fill("1, 2");
    await dialog.getByRole("button", { name: "Make the grid" }).click();
    await page.locator(".grid-head", { hasText: "6 of 6" }).waitFor({ timeout: 2 * PATIENCE });
    await page.locator("textarea").scrollIntoViewIfNeeded();
  },

  async playground(page) {
    await prompted(page, "blue");
    await asPicture(page);
    await page.locator('[data-field="num_images"] .segment', { hasText: "2" }).click();
    await make(page);
    await page.getByRole("button", { name: "Compare", exact: true }).click();
    await page.locator("details.controls summary").click();
    await page.locator('[data-field="balance"]').scrollIntoViewIfNeeded();
  },
};

/** The lake, and what to make of it. */
async function prompted(page, prompt) {
  await addPhoto(page);
  await page.locator("textarea").fill(prompt);
}

/** Nearly in the lake's proportions, and as small as the demo model makes it best. */
async function small(page) {
  await page.locator('[data-field="size"] .segment', { hasText: "Custom" }).click();
  for (const [side, pixels] of [
    ["Width", "336"],
    ["Height", "256"],
  ]) {
    await page.getByLabel(side, { exact: true }).fill(pixels);
    await page.getByLabel(side, { exact: true }).blur();
  }
}

/** In the lake's own proportions. */
async function asPicture(page) {
  await page.locator('[data-field="size"] .segment', { hasText: "As the picture" }).click();
  await page.getByText("Quick", { exact: true }).click();
}

/** A mask over the mountain and what is mirrored of it. */
async function mask(page) {
  await page.getByRole("button", { name: /^Paint a mask/ }).click();
  const surface = page.locator(".brush-surface");
  await surface.waitFor();
  const box = await surface.boundingBox();
  const at = (x, y) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(0.3, 0.45));
  await page.mouse.down();
  for (const [x, y] of [
    [0.5, 0.38],
    [0.7, 0.45],
    [0.35, 0.52],
    [0.68, 0.52],
    [0.42, 0.6],
    [0.6, 0.6],
  ]) {
    await page.mouse.move(...at(x, y), { steps: 8 });
  }
  await page.mouse.up();
  await page.getByRole("button", { name: "Use mask" }).click();
  await page.locator(".picture-mask").waitFor();
}

/** A server that keeps nothing, at a port that is free; `stop` ends it. */
async function serve(program) {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "afterimage-gallery-"));
  const args = ["serve", "--listen", `127.0.0.1:${port}`, "--admin-listen", "off", "--data-dir", folder];
  const server = spawn(program, args, { env: { ...process.env, AFTERIMAGE_API_KEY: KEY }, stdio: "ignore" });
  const stop = async () => {
    if (server.exitCode === null && server.kill()) await once(server, "exit");
    await rm(folder, { recursive: true, force: true });
  };
  const address = `http://127.0.0.1:${port}`;
  for (let tries = 0; tries < 200; tries++) {
    if (
      await fetch(`${address}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      )
    )
      return { address, stop };
    await new Promise((settle) => setTimeout(settle, 300));
  }
  await stop();
  throw new Error("the server does not get ready");
}

async function freePort() {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}

async function shoot(visit, name) {
  const page = await visit.ready(WINDOWS[name]);
  await scenes[name](page);
  // Pictures of the history and of the grid come on their own.
  await page.waitForFunction(() => [...document.images].every((image) => image.complete && image.naturalWidth > 0));
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement?.blur());
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(GALLERY, `${name}.jpg`), type: "jpeg", quality: 88 });
  console.log(`${name}.jpg`);
}

const text = { type: "string" };
const { values } = parseArgs({ options: { program: text, browser: text, built: { type: "boolean", default: false } } });
assert.ok(values.program, "name the server's program with --program");
const server = await serve(values.program);
const args = ["--no-sandbox", "--disable-gpu"];
const browser = await chromium.launch({ executablePath: values.browser ?? findBrowser(), args });
try {
  // One after the other: each shows what those before it made in its history.
  const visit = new Visit(browser, { server: server.address, key: KEY, built: values.built });
  for (const name of Object.keys(scenes)) await shoot(visit, name);
  visit.checkQuiet();
} finally {
  await browser.close();
  await server.stop();
}
