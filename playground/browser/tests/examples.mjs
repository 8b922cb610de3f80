// The examples that the page shows, copied from it and run. With --clients, a folder of the services' own clients; those
// that are not behind the plainest form with --every-example only.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeCertificate } from "../certificate.mjs";
import { Clients } from "../clients.mjs";
import { startProxy } from "../proxy.mjs";
import { addPhoto, AWKWARD_PROMPT, chooseExample, chooseModel, makeSmall, PHOTO, setNumber } from "../visit.mjs";

const DIALECTS = ["wavespeed", "fal", "openai"];
const LANGUAGES = ["curl", "python", "javascript"];

async function addAddress(page, address) {
  await page.getByRole("button", { name: "Address", exact: true }).click();
  await page.getByLabel("Address of a picture").fill(address);
  await page.getByRole("button", { name: "Add", exact: true }).click();
}

/** The photograph at an address of the server's. */
async function uploaded(visit) {
  const form = new FormData();
  form.append("file", new Blob([await readFile(PHOTO)], { type: "image/jpeg" }), "lake.jpg");
  const headers = { Authorization: `Bearer ${visit.key}` };
  const sent = await fetch(`${visit.options.server}/api/v3/media/upload/binary`, {
    method: "POST",
    headers,
    body: form,
  });
  return (await sent.json()).data.download_url;
}

async function fill(page, prompt = AWKWARD_PROMPT) {
  await makeSmall(page, { steps: 2 });
  await page.locator("textarea").fill(prompt);
}

/** What the page holds in the clipboard after its button was pressed; null: there is no such example. */
async function copied(page, dialect, language) {
  if ((await chooseExample(page, dialect, language)) === null) return null;
  await page.locator(".code").getByRole("button", { name: "Copy" }).click();
  return page.evaluate(() => navigator.clipboard.readText());
}

/** Width and height of a picture, by the browser's own decoder. */
function sizeOf(page, bytes) {
  return page.evaluate(async (text) => {
    const blob = new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]);
    const { width, height } = await createImageBitmap(blob);
    return [width, height];
  }, bytes.toString("base64"));
}

/** Runs all examples of the form as it stands; each has to leave `results` of `size`. Returns how many there were. */
async function runAll(visit, page, results, choice = {}) {
  const { dialects = DIALECTS, languages = LANGUAGES, size = [256, 256], variables = {} } = choice;
  const clients = new Clients(visit.options.clients);
  const folder = await mkdtemp(join(tmpdir(), "masks-"));
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.locator("details.code summary").click();
  for (const dialect of dialects) {
    for (const language of languages) {
      const code = await copied(page, dialect, language);
      assert.ok(code, `${dialect} ${language}`);
      const environment = { AFTERIMAGE_API_KEY: visit.key, ...variables };
      const masks = await savedMasks(page, folder);
      const given = { pictures: [PHOTO, ...masks], variables: environment };
      const left = await clients.run(dialect, language, code, given);
      assert.deepEqual([...left.keys()], results, `${dialect} ${language}`);
      for (const [name, bytes] of left)
        assert.deepEqual(await sizeOf(page, bytes), size, `${dialect} ${language}: ${name}`);
    }
  }
  await rm(folder, { recursive: true });
  return `${dialects.length * languages.length} examples`;
}

/** The masks that the page gives for the example that it shows, as files of `folder`. */
async function savedMasks(page, folder) {
  const saved = [];
  for (const button of await page.locator(".mask-files button").all()) {
    const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
    saved.push(join(folder, download.suggestedFilename()));
    await download.saveAs(saved.at(-1));
  }
  return saved;
}

/** Paints all of the first picture's mask. */
async function fillMask(page) {
  await page
    .getByRole("button", { name: /^Paint a mask on/ })
    .first()
    .click();
  await page.getByRole("dialog").getByRole("button", { name: "Fill" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Use mask" }).click();
  await page.locator(".picture-mask").waitFor();
}

/** Runs examples from a page over HTTPS. */
async function runSecurely(visit, choice) {
  const certificate = makeCertificate();
  const proxy = await startProxy(visit.options.server, "", { tls: certificate.tls });
  try {
    visit.address = `${proxy.address}/`;
    const page = await visit.ready({ ignoreHTTPSErrors: true });
    await addPhoto(page);
    await fill(page);
    const names = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"];
    const variables = Object.fromEntries(names.map((name) => [name, certificate.path]));
    return await runAll(visit, page, ["result-1.jpeg"], { ...choice, variables });
  } finally {
    proxy.stop();
    certificate.remove();
  }
}

const always = {
  async "one picture: each interface in each language makes a picture"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await fill(page);
    return runAll(visit, page, ["result-1.jpeg"]);
  },

  // Its client speaks nothing else, so that the page shows another example elsewhere.
  async "over HTTPS: fal's client for Python"(visit) {
    return runSecurely(visit, { dialects: ["fal"], languages: ["python"] });
  },
};

const furthermore = {
  async "over HTTPS"(visit) {
    return runSecurely(visit, {});
  },

  async "several results, as PNG, with a seed"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await fill(page);
    await page.locator('[data-field="num_images"] .segment', { hasText: "2" }).click();
    await page.locator('[data-field="output_format"] .segment', { hasText: "PNG" }).click();
    await page.getByRole("button", { name: "Keep the seed" }).click();
    return runAll(visit, page, ["result-1.png", "result-2.png"]);
  },

  async "two pictures with weights, one of them by its address"(visit) {
    const page = await visit.ready();
    await chooseModel(page, "flux-redux-pro");
    await addPhoto(page);
    await addAddress(page, await uploaded(visit));
    await page.locator(".weight input").first().fill("0.7");
    await page.locator(".weight input").first().blur();
    await fill(page);
    return runAll(visit, page, ["result-1.jpeg"]);
  },

  async "a picture by its address"(visit) {
    const page = await visit.ready();
    await chooseModel(page, "flux-redux-dev");
    await addAddress(page, await uploaded(visit));
    await fill(page);
    return runAll(visit, page, ["result-1.jpeg"]);
  },

  async "image-to-image"(visit) {
    const page = await visit.ready();
    await chooseModel(page, "image-to-image");
    await addPhoto(page);
    await fill(page);
    await setNumber(page, "strength", 0.5);
    // The photograph's: there is no other.
    return runAll(visit, page, ["result-1.jpeg"], { size: [1024, 768] });
  },

  async "image-to-image under a mask"(visit) {
    const page = await visit.ready();
    await chooseModel(page, "image-to-image");
    await addPhoto(page);
    await fill(page);
    await setNumber(page, "strength", 0.5);
    await fillMask(page);
    await setNumber(page, "mask_blur", 4);
    return runAll(visit, page, ["result-1.jpeg"], { size: [1024, 768] });
  },

  async "a variation with a mask, a start and a second seed"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await fill(page);
    await fillMask(page);
    await page.locator("details.controls summary").click();
    await page.getByRole("button", { name: "First picture" }).click();
    await page.getByLabel("Picture against prompt").selectOption("even");
    await setNumber(page, "variation_strength", 0.1);
    return runAll(visit, page, ["result-1.jpeg"]);
  },

  async "image-to-image from the prompt alone"(visit) {
    const page = await visit.ready();
    await chooseModel(page, "image-to-image");
    await fill(page);
    return runAll(visit, page, ["result-1.jpeg"], { dialects: ["wavespeed"], size: [1024, 1024] });
  },
};

/** `tests`, each with the reason for which it is skipped under some options. */
function unless(skippedFor, tests) {
  for (const test of Object.values(tests)) test.skippedFor = skippedFor;
  return tests;
}

export const tests = {
  ...unless(({ clients }) => !clients && "no --clients", always),
  ...unless((options) => !(options.clients && options["every-example"]) && "no --every-example", furthermore),
};
