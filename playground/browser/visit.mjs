// One visit to the page: a browser context, and what the tests do in it again and again.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BUILT = new URL("../../crates/afterimage-server/src/playground/built/", import.meta.url);
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript", css: "text/css", svg: "image/svg+xml" };
/** The policy under which the server serves the page. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; " +
  "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/** The photograph that the documents use, too. */
export const PHOTO = fileURLToPath(new URL("../../docs/photos/lake.jpg", import.meta.url));

/** Breaks quoting wherever it is wrong. */
export const AWKWARD_PROMPT = `it's a "lake" at $HOME; \`dusk\` \\ 雪\nand another line`;

/** Milliseconds in which a small picture is made, also by a slow machine with other work. */
export const PATIENCE = 120_000;

export class Visit {
  #browser;
  #contexts = [];
  #troubles = [];
  /** Errors of the console that a test causes by intention. */
  expected = [];

  constructor(browser, options) {
    this.#browser = browser;
    this.options = options;
    this.key = options.key;
    this.address = `${options.server}/`;
  }

  /** A page in a context of its own. */
  async page(context = {}) {
    const made = await this.#browser.newContext({
      viewport: { width: 1440, height: 900 },
      locale: "en-GB",
      ...context,
    });
    this.#contexts.push(made);
    if (this.options.built) await serveBuilt(made, this.options.server);
    const page = await made.newPage();
    page.setDefaultTimeout(20_000);
    page.on("pageerror", (error) => this.#troubles.push(`error in the page: ${error.message}`));
    page.on("console", (message) => {
      if (message.type() === "error") this.#troubles.push(message.text());
    });
    this.last = page;
    return page;
  }

  /** A page that has the key and shows the form. */
  async ready(context = {}) {
    const page = await this.page(context);
    await this.enter(page);
    return page;
  }

  async enter(page) {
    await page.goto(`${this.address}#key=${encodeURIComponent(this.key)}`);
    await page.locator("form.settings").waitFor();
  }

  /** Whether the page did anything that belongs in no test: errors, or what the policy forbids. */
  checkQuiet() {
    const loud = this.#troubles.filter((text) => !this.expected.some((pattern) => pattern.test(text)));
    assert.deepEqual(loud, []);
  }

  async shoot(name, page = this.last) {
    const folder = this.options.screenshots;
    if (!folder || !page) return;
    mkdirSync(folder, { recursive: true });
    await page.screenshot({ path: join(folder, `${name.replace(/[^a-z0-9]+/gi, "-").toLowerCase()}.png`) });
  }

  /** Leaves a file beside the screenshots. */
  async leave(name, bytes) {
    if (this.options.screenshots) await writeFile(join(this.options.screenshots, name), bytes);
  }

  /** A request to the server beside the page. */
  async api(path, { method = "GET", body } = {}) {
    const headers = { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json" };
    const response = await fetch(`${this.options.server}/api/v3/${path}`, {
      method,
      headers,
      body: body && JSON.stringify(body),
    });
    assert.equal(response.status, 200, `${method} ${path}`);
    return (await response.json()).data;
  }

  async close() {
    // One that hangs is left to the end of the browser.
    const patience = new Promise((resolve) => setTimeout(resolve, 10_000).unref());
    await Promise.race([Promise.all(this.#contexts.map((context) => context.close())), patience]);
  }
}

const FILES = [
  "playground.js",
  "brush.js",
  "code.js",
  "zh.js",
  "playground.css",
  "status.js",
  "status.css",
  "icon.svg",
];
/** Pages by their paths. */
const PAGES = { "": "index.html", status: "status.html" };

/** The built file that a server has at `path`, with its headers; null: none. */
export async function builtFile(path) {
  const name = PAGES[path] ?? path;
  if (!FILES.includes(name) && !(path in PAGES)) return null;
  const headers = { "content-type": TYPES[name.split(".").at(-1)] };
  if (path in PAGES) headers["content-security-policy"] = POLICY;
  return { headers, body: await readFile(new URL(name, BUILT)) };
}

/** Answers for the page's own files from the folder of built ones, as the server would. */
async function serveBuilt(context, server) {
  const pathOf = (url) => url.href.split(/[?#]/)[0].slice(server.length + 1);
  const isOurs = (url) => url.href.startsWith(`${server}/`) && [...Object.keys(PAGES), ...FILES].includes(pathOf(url));
  await context.route(isOurs, async (route) => route.fulfill(await builtFile(pathOf(new URL(route.request().url())))));
}

/** Makes tasks short: small pictures and few steps. */
export async function makeSmall(page, { steps = 3, size = 256 } = {}) {
  if (await page.locator('[data-field="size"]').count()) {
    await page.locator('[data-field="size"] .segment', { hasText: "Custom" }).click();
    await page.getByLabel("Width").fill(String(size));
    await page.getByLabel("Width").blur();
    await page.getByLabel("Height").fill(String(size));
    await page.getByLabel("Height").blur();
  }
  await setNumber(page, "num_inference_steps", steps);
}

/** Types a number into the field of a parameter. */
export async function setNumber(page, name, value) {
  const field = page.locator(`[data-field="${name}"]`);
  if (!(await field.isVisible())) await page.locator("details.advanced", { has: field }).locator("summary").click();
  const input = field.locator('input[type="number"]');
  await input.fill(String(value));
  await input.blur();
}

export async function addPhoto(page, file = PHOTO) {
  await page.locator('.input-panel input[type="file"]').first().setInputFiles(file);
  await page.locator(".picture").first().waitFor();
}

export async function chooseModel(page, ending) {
  const value = await page.locator(`#model option[value$="${ending}"]`).getAttribute("value");
  await page.locator("#model").selectOption(value);
}

/** Chooses an example of those that the page shows; null: it has none, and says why. */
export async function chooseExample(page, dialect, language) {
  await page.locator(`.code input[name="dialect"][value="${dialect}"]`).check({ force: true });
  await page.locator(`.code input[name="language"][value="${language}"]`).check({ force: true });
  // What was typed a moment ago is drawn with the next frames.
  await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
  const code = page.locator(`.code code[data-dialect="${dialect}"][data-language="${language}"]`);
  return (await code.count()) === 0 ? null : code.textContent();
}

export function runButton(page) {
  return page.locator('.run-bar button[type="submit"]');
}

/** Sends the form and waits for the result. */
export async function make(page) {
  await runButton(page).click();
  await finished(page);
}

/** Waits until the task that is shown is done. */
export async function finished(page) {
  await page.locator(".result-picture img, .compare img").first().waitFor({ timeout: PATIENCE });
}

/** Pixels of the picture that is shown, once it is loaded. */
export async function shownSize(page) {
  const image = page.locator(".result-picture img").first();
  await image.waitFor();
  return image.evaluate(async (element) => {
    await element.decode();
    return [element.naturalWidth, element.naturalHeight];
  });
}

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** No serious or critical violation by axe. */
export async function checkAccessible(page, where) {
  // The page's policy forbids scripts that are added; this one is evaluated by the browser's own tools.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(`${await readFile(AXE, "utf8")}; undefined`);
  // Pictures that fade in are judged where they end.
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .filter((each) => each.effect?.getTiming().iterations !== Infinity)
        .map((each) => each.finished),
    ),
  );
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(
        ({ id, nodes }) =>
          `${id}: ${nodes
            .slice(0, 3)
            .map((node) => `${node.html.slice(0, 160)} (${node.any[0]?.message ?? ""})`)
            .join(" | ")}`,
      );
  });
  assert.deepEqual(found, [], where);
}
