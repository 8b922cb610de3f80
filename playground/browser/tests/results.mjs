// Tasks: how they run, what comes of them, and what can be done with that.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { mockSubmit, mockTask } from "../mocks.mjs";
import {
  addPhoto,
  checkAccessible,
  chooseModel,
  finished,
  make,
  makeSmall,
  PATIENCE,
  runButton,
  setNumber,
  shownSize,
} from "../visit.mjs";

export const tests = {
  async "a picture is uploaded and varied, with progress and previews"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page, { size: 512, steps: 28 });
    await page.locator('[data-field="num_images"] .segment', { hasText: "2" }).click();
    await runButton(page).click();
    await page.locator(".progress-line progress").waitFor();
    await page.locator(".progress-line", { hasText: /Step \d+ of \d+/ }).waitFor({ timeout: PATIENCE });
    await page.locator(".forming").first().waitFor({ timeout: PATIENCE });
    await page.getByText(/about .* left/).waitFor({ timeout: PATIENCE });
    await visit.shoot("running");
    await checkAccessible(page, "running");
    await finished(page);
    assert.deepEqual(await shownSize(page), [512, 512]);
    assert.equal(await page.locator(".thumbnail").count(), 2);
    assert.equal(await page.locator(".history-row").first().getAttribute("aria-current"), "true");
    await visit.shoot("result");
    await checkAccessible(page, "result");
  },

  async "results are compared, enlarged and downloaded"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page);
    await make(page);

    await page.getByRole("button", { name: "Compare" }).click();
    const line = page.getByRole("slider", { name: /line between/ });
    const box = await page.locator(".compare").boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width / 4, box.y + box.height / 2);
    await page.mouse.up();
    assert.equal(await line.getAttribute("aria-valuenow"), "25");
    await line.press("End");
    assert.equal(await line.getAttribute("aria-valuenow"), "100");
    await line.press("PageDown");
    assert.equal(await line.getAttribute("aria-valuenow"), "90");
    await visit.shoot("compare");
    await checkAccessible(page, "compare");
    await page.getByRole("button", { name: "Compare" }).click();

    await page.getByRole("button", { name: "Enlarge", exact: true }).click();
    const dialog = page.getByRole("dialog");
    const percent = async () => Number.parseInt(await dialog.locator(".zoom-bar .value").innerText(), 10);
    await page.waitForFunction(() => document.activeElement?.classList.contains("zoom-frame"));
    const before = await percent();
    await page.keyboard.press("+");
    await page.keyboard.press("+");
    assert.ok((await percent()) > before);
    await checkAccessible(page, "enlarged");
    await visit.shoot("enlarged");
    await page.keyboard.press("0");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.equal(
      await page.evaluate(() => document.activeElement?.textContent?.trim()),
      "Enlarge",
      "the focus comes back",
    );

    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("link", { name: "Download" }).click(),
    ]);
    assert.match(download.suggestedFilename(), /^[0-9a-f]{8}-1\.jpeg$/);
    const bytes = await readFile(await download.path());
    assert.deepEqual([...bytes.subarray(0, 3)], [0xff, 0xd8, 0xff]);
  },

  async "a result becomes the input, and settings come back"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page);
    await page.locator("textarea").fill("first prompt");
    await make(page);
    const id = await page.evaluate(() => sessionStorage.getItem("afterimage.view"));
    const { input } = await visit.api(`predictions/${id}`);
    assert.equal(input.prompt, "first prompt");

    await page.locator("textarea").fill("something else");
    await page.getByRole("button", { name: "Vary this one" }).click();
    await page.locator(".picture-name", { hasText: `${id.slice(0, 8)}-1.jpeg` }).waitFor();
    const [upload] = await Promise.all([page.waitForRequest(/media\/upload\/binary/), runButton(page).click()]);
    assert.equal(upload.method(), "POST");
    await page.waitForFunction((before) => sessionStorage.getItem("afterimage.view") !== before, id);
    await finished(page);

    await page.locator(".history-row").nth(1).click();
    await page.getByRole("button", { name: "Use settings" }).click();
    assert.equal(await page.locator("textarea").inputValue(), "first prompt");
    assert.equal(Number(await page.locator('[data-field="seed"] input').inputValue()), input.seed);
    assert.equal(await page.getByRole("button", { name: "Keep the seed" }).getAttribute("aria-pressed"), "true");
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy settings" }).click();
    const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
    assert.deepEqual([copied.prompt, copied.seed, copied.image], [input.prompt, input.seed, input.image]);
    // The same settings make the same picture.
    await runButton(page).click();
    await page.waitForFunction((before) => ![before, null].includes(sessionStorage.getItem("afterimage.view")), id);
    await finished(page);
    const again = await page.evaluate(() => sessionStorage.getItem("afterimage.view"));
    const [one, two] = await Promise.all(
      [id, again].map(async (each) => (await visit.api(`predictions/${each}`)).input),
    );
    assert.deepEqual([two.seed, two.prompt, two.size, two.image], [one.seed, one.prompt, one.size, one.image]);
  },

  async "a prompt alone makes a picture where the model can"(visit) {
    const page = await visit.ready();
    await chooseModel(page, "image-to-image");
    const sent = await mockSubmit(page, visit.options.server);
    await mockTask(page, visit.options.server, { status: "failed", error: "image: there is none" });
    await page.locator("textarea").fill("a lake");
    await runButton(page).click();
    await page.getByText("This task failed.").waitFor();
    assert.ok(await page.getByText("Picture: there is none").isVisible());
    await page.locator('[data-field="image"] .error-text', { hasText: "there is none" }).waitFor();
    assert.equal("image" in sent[0].body, false);
    await visit.shoot("failed task");
    await checkAccessible(page, "failed task");
  },

  async "a task can be cancelled"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await setNumber(page, "num_inference_steps", 50);
    await page.getByText("Large", { exact: true }).click();
    await runButton(page).click();
    await page.locator(".progress-line").waitFor();
    await page.locator(".task-buttons").getByRole("button", { name: "Cancel" }).click();
    await page.getByText("This task was cancelled.").waitFor({ timeout: PATIENCE });
    await page.locator(".history-row").first().getByText("Cancelled").waitFor();
    const id = await page.evaluate(() => sessionStorage.getItem("afterimage.view"));
    assert.equal((await visit.api(`predictions/${id}`)).status, "cancelled");
  },

  async "the place in the queue is shown"(visit) {
    const page = await visit.ready();
    await mockSubmit(page, visit.options.server);
    await mockTask(page, visit.options.server, { status: "created" }, 'data: {"type":"queue","place":3}\n\n');
    await addPhoto(page);
    await runButton(page).click();
    await page.locator(".progress-line", { hasText: "3 tasks before this one" }).waitFor();
    await visit.shoot("queued");
    await checkAccessible(page, "queued");
  },

  async "flagged results are called withheld"(visit) {
    const page = await visit.ready();
    const outputs = [`${visit.options.server}/icon.svg?1`, `${visit.options.server}/icon.svg?2`];
    await mockSubmit(page, visit.options.server);
    await mockTask(page, visit.options.server, { status: "completed", outputs, has_nsfw_contents: [true, false] });
    await addPhoto(page);
    await runButton(page).click();
    await page.locator(".flag", { hasText: "Withheld" }).waitFor();
    await page.locator(".thumbnail").nth(1).click();
    assert.equal(await page.locator(".flag").count(), 0);
    await page.locator(".history-row").first().getByText("Withheld").waitFor();
  },

  async "a grid fills, opens its cells and becomes one picture"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page, { steps: 2 });
    await page.getByRole("button", { name: "Grid" }).click();
    const dialog = page.getByRole("dialog");
    const columns = dialog.getByLabel("Columns", { exact: true });
    // What would make the same picture again and again is not offered: nothing is started from, no second seed is near.
    const offered = await columns.locator("option").evaluateAll((all) => all.map((option) => option.value));
    assert.ok(!offered.includes("strength") && !offered.includes("variation_seed"), offered.join());
    assert.equal(await columns.inputValue(), "balance");
    await columns.selectOption("guidance_scale");
    await dialog.getByLabel("Values of Guidance").fill("2, x");
    await dialog.getByText("“x” cannot be read.").waitFor();
    await dialog.getByLabel("Values of Guidance").fill("2, 4.5");
    await dialog.getByLabel("Rows", { exact: true }).selectOption("seed");
    await dialog.getByLabel("Values of Seed").fill("1..40");
    await dialog.locator(".error-text", { hasText: "too many" }).first().waitFor();
    assert.ok(await dialog.getByRole("button", { name: "Make the grid" }).isDisabled());
    await dialog.getByLabel("Values of Seed").fill("1..2");
    await dialog.getByText("4 tasks").waitFor();
    await checkAccessible(page, "grid dialog");
    await visit.shoot("grid dialog");
    await dialog.getByRole("button", { name: "Make the grid" }).click();
    await page.getByText("4 of 4 done").waitFor({ timeout: PATIENCE });
    await page.waitForFunction(
      () =>
        [...document.querySelectorAll(".cell img")].filter((image) => image.complete && image.naturalWidth === 256)
          .length === 4,
    );
    assert.deepEqual(await page.locator(".grid-table th[scope=col]").allInnerTexts(), ["2", "4.5"]);
    assert.deepEqual(await page.locator(".grid-table th[scope=row]").allInnerTexts(), ["1", "2"]);
    await visit.shoot("grid");
    await checkAccessible(page, "grid");

    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Download as one picture" }).click(),
    ]);
    const png = await readFile(await download.path());
    await visit.leave("contact sheet.png", png);
    assert.equal(png.toString("latin1", 1, 4), "PNG");
    assert.ok(png.readUInt32BE(16) > 512 && png.readUInt32BE(20) > 512, "smaller than its cells");

    await page.reload();
    await page.getByText("4 of 4 done").waitFor();
    await page.locator("button.cell").nth(3).click();
    await finished(page);
    const { input } = await visit.api(
      `predictions/${await page.evaluate(() => sessionStorage.getItem("afterimage.view"))}`,
    );
    assert.deepEqual([input.guidance_scale, input.seed], [4.5, 2]);
    await page.getByRole("button", { name: "Back to the grid" }).click();
    await page.getByText("4 of 4 done").waitFor();
  },

  async "hostile names and prompts are text"(visit) {
    const page = await visit.ready();
    const name = `<img src=x onerror="window.hacked=1">.jpg`;
    const prompt = `</textarea><script>window.hacked=1</script> "'><svg onload=window.hacked=1> {{7*7}} \u202e`;
    const buffer = await readFile(new URL("../../../docs/photos/lake.jpg", import.meta.url));
    await addPhoto(page, { name, mimeType: "image/jpeg", buffer });
    assert.ok((await page.locator(".picture-name").first().innerText()).includes(name));
    await makeSmall(page);
    await page.locator("textarea").fill(prompt);
    await page.locator("details.code summary").click();
    assert.ok((await page.locator(".code pre").innerText()).includes("window.hacked=1"));
    await make(page);
    assert.ok((await page.locator(".facts-prompt").innerText()).includes("<script>window.hacked=1</script>"));
    assert.ok((await page.locator(".history-prompt").first().innerText()).includes("<script>"));
    await visit.shoot("hostile");
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.locator("main script, main svg[onload], main img[src=x]").count(), 0);
  },

  async "a task is deleted after a question"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page);
    await make(page);
    const id = await page.evaluate(() => sessionStorage.getItem("afterimage.view"));
    const rows = await page.locator(".history-row").count();
    await page.getByRole("button", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog");
    await checkAccessible(page, "question");
    await visit.shoot("question");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "detached" });
    assert.equal(await page.locator(".result-picture").count(), 1);
    await page.getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Delete" }).click();
    await page.getByText("Your pictures appear here").waitFor();
    assert.equal((await page.locator(`.history-row >> nth=${rows - 1}`).count()) < rows, true);
    const response = await fetch(`${visit.options.server}/api/v3/predictions/${id}`, {
      headers: { Authorization: `Bearer ${visit.key}` },
    });
    assert.ok([404, 410].includes(response.status), `status ${response.status}`);
  },
};
