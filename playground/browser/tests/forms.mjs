// Filling the form: errors, pictures, the keyboard, and what is sent.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { mockCatalogue, mockSubmit, mockTask, REDUX_SETTINGS } from "../mocks.mjs";
import { addPhoto, checkAccessible, chooseModel, finished, makeSmall, PHOTO, runButton, setNumber } from "../visit.mjs";

export const tests = {
  async "an error is beside its field, which gets the focus"(visit) {
    visit.expected = [/400/];
    const page = await visit.ready();
    await addPhoto(page);
    await setNumber(page, "num_inference_steps", 99);
    await runButton(page).click();
    const field = page.locator('[data-field="num_inference_steps"]');
    await field.locator(".error-text").waitFor();
    assert.match(await field.locator(".error-text").innerText(), /50/);
    const input = field.locator('input[type="number"]');
    await page.waitForFunction(() => document.activeElement?.closest('[data-field="num_inference_steps"]'));
    assert.equal(await input.getAttribute("aria-invalid"), "true");
    const described = await input.getAttribute("aria-describedby");
    const ids = described.split(" ").map((id) => `[id="${id}"]`);
    assert.match((await page.locator(ids.join(",")).allInnerTexts()).join(), /50/, "the error describes the field");
    assert.match(await page.locator('[aria-live="assertive"]').innerText(), /Steps: .*50/);
    await checkAccessible(page, "field error");
    await visit.shoot("field error");
    // Put right, it is gone.
    await setNumber(page, "num_inference_steps", 4);
    assert.equal(await field.locator(".error-text").count(), 0);
  },

  async "what is missing is said before anything is sent"(visit) {
    const page = await visit.ready();
    const sent = await mockSubmit(page, visit.options.server);
    await runButton(page).click();
    await page.locator('[data-field="image"] .error-text', { hasText: "Add a picture first" }).waitFor();
    await page.waitForFunction(() => document.activeElement?.closest('[data-field="image"]'));
    await chooseModel(page, "image-to-image");
    await runButton(page).click();
    await page.locator('[data-field="prompt"] .error-text', { hasText: "Say what" }).waitFor();
    await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
    assert.equal(sent.length, 0);
  },

  async "what is no picture is refused at the picture"(visit) {
    visit.expected = [/400/];
    const page = await visit.ready();
    await addPhoto(page, { name: "notes.png", mimeType: "image/png", buffer: Buffer.from("no picture at all") });
    const card = page.locator(".picture");
    await card.getByText("no preview").waitFor();
    assert.equal(await page.getByRole("button", { name: /^Paint a mask/ }).count(), 0, "nobody can paint on it");
    await runButton(page).click();
    await card.getByText("This file cannot be read as a picture.").waitFor();
    assert.match(await card.locator('.problem-detail [lang="en"]').innerText(), /^looks like text/);
    assert.equal(await page.locator('[data-field="image"] .error-text').count(), 1, "it is said once");
    await page.waitForFunction(() => document.activeElement?.matches(".picture button"));
    await checkAccessible(page, "no picture");
    await visit.shoot("no picture");
    await page.getByRole("button", { name: "Remove notes.png" }).click();
    assert.equal(await page.locator('[data-field="image"] .error-text').count(), 0);
  },

  async "the size can go with the first picture"(visit) {
    const page = await visit.ready();
    await mockTask(page, visit.options.server, { status: "cancelled" });
    const sent = await mockSubmit(page, visit.options.server);
    const shape = page.locator('[data-field="size"] .segment', { hasText: "As the picture" });
    assert.equal(await shape.count(), 0, "there is none yet");
    await addPhoto(page);
    await shape.waitFor();
    const isChosen = (name) => page.locator(`[data-field="size"] input[value="${name}"]`).isChecked();
    assert.ok(await isChosen("1:1"), "the default stays the server's");
    await shape.click();
    await page.getByText("Quick", { exact: true }).click();
    assert.ok(await isChosen("picture"));
    await runButton(page).click();
    await page.getByText("This task was cancelled.").waitFor();
    assert.equal(sent[0].body.size, "592*448");
    // After a reload, too, and with another first picture.
    await page.reload();
    await shape.waitFor();
    assert.ok(await isChosen("picture"), "forgotten by the reload");
    const upright = await page.evaluate(async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 30, height: 60 });
      canvas.getContext("2d").fillRect(0, 0, 9, 9);
      const blob = await new Promise((settle) => canvas.toBlob(settle, "image/png"));
      return [...new Uint8Array(await blob.arrayBuffer())];
    });
    await page.getByRole("button", { name: "Remove lake.jpg" }).click();
    await addPhoto(page, { name: "upright.png", mimeType: "image/png", buffer: Buffer.from(upright) });
    await page.locator('[data-field="size"] .value', { hasText: "368 × 720" }).waitFor();
    await checkAccessible(page, "size of the picture");
    await visit.shoot("size of the picture");
    await page.locator('[data-field="size"] .segment', { hasText: "3:2" }).first().click();
    assert.ok(await isChosen("3:2"));
  },

  async "a file is uploaded once, when it is first needed; defaults are not sent"(visit) {
    const page = await visit.ready();
    const uploads = [];
    page.on("request", (request) => {
      if (request.url().endsWith("media/upload/binary")) uploads.push(request.url());
    });
    await mockTask(page, visit.options.server, { status: "cancelled" });
    const sent = await mockSubmit(page, visit.options.server);
    await addPhoto(page);
    assert.equal(uploads.length, 0);
    await page.locator('[data-field="size"] .segment', { hasText: "3:2" }).first().click();
    await page.getByText("Quick", { exact: true }).click();
    await runButton(page).click();
    await page.getByText("This task was cancelled.").waitFor();
    await runButton(page).click();
    while (sent.length < 2) await page.waitForTimeout(50);
    assert.equal(uploads.length, 1);
    assert.deepEqual(Object.keys(sent[0].body).sort(), ["image", "seed", "size"]);
    assert.match(sent[0].body.image, /^http.*\/media\/uploads\//);
    assert.equal(sent[0].body.size, "624*416");
    assert.notEqual(sent[0].body.seed, sent[1].body.seed, "a new seed for each run");
    assert.notEqual(sent[0].headers["idempotency-key"], sent[1].headers["idempotency-key"]);
    // Locked, the seed stays.
    await page.getByRole("button", { name: "Keep the seed" }).click();
    await runButton(page).click();
    while (sent.length < 3) await page.waitForTimeout(50);
    assert.equal(sent[2].body.seed, sent[1].body.seed);
  },

  async "pictures come by drop, paste and address"(visit) {
    const page = await visit.ready();
    const content = [...(await readFile(PHOTO))];
    const give = (type) =>
      page.evaluate(
        ([name, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], `${name}.jpg`, { type: "image/jpeg" }));
          const made =
            name === "drop"
              ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
              : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
          document.body.dispatchEvent(made);
        },
        [type, content],
      );
    for (const type of ["drop", "paste"]) {
      await give(type);
      await page.locator(".picture-name", { hasText: `${type}.jpg` }).waitFor();
    }
    await page.getByRole("button", { name: "Address" }).click();
    await page.getByLabel("Address of a picture").fill("nonsense");
    await page.keyboard.press("Enter");
    await page.getByText("This is no address").waitFor();
    await page.getByLabel("Address of a picture").fill("https://pictures.example/far%20away.jpg");
    await page.keyboard.press("Enter");
    await page.locator(".picture-name", { hasText: "far away.jpg" }).waitFor();
    await page.getByRole("button", { name: "Remove far away.jpg" }).click();
    assert.equal(await page.locator(".picture-name", { hasText: "far away.jpg" }).count(), 0);
  },

  async "a photograph comes from the camera"(visit) {
    const page = await visit.ready();
    await page.getByRole("button", { name: "Camera" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.locator("video").waitFor();
    await checkAccessible(page, "camera");
    await visit.shoot("camera");
    await dialog.getByRole("button", { name: "Take" }).click();
    await dialog.waitFor({ state: "detached" });
    const photograph = page.locator(".picture img");
    await page.waitForFunction(() => document.querySelector(".picture img")?.naturalWidth > 100);
    assert.equal(await photograph.getAttribute("alt"), "photo.jpg");
  },

  async "LoRAs are offered where the server has some"(visit) {
    const page = await visit.page();
    await page.route("**/loras", (route) =>
      route.fulfill({ json: { loras: [{ model: "default", names: ["film", "ink"] }] } }),
    );
    await mockTask(page, visit.options.server, { status: "cancelled" });
    const sent = await mockSubmit(page, visit.options.server);
    await visit.enter(page);
    await addPhoto(page);
    const field = page.locator('[data-field="loras"]');
    await field.getByLabel("Choose a LoRA").selectOption("ink");
    await field.getByRole("button", { name: "Add" }).click();
    await field.getByLabel("Scale of ink").fill("0.5");
    assert.deepEqual(await field.locator("option").allInnerTexts(), ["Choose a LoRA", "film"]);
    await checkAccessible(page, "loras");
    await runButton(page).click();
    await page.getByText("This task was cancelled.").waitFor();
    assert.deepEqual(sent[0].body.loras, [{ path: "ink", scale: 0.5 }]);
  },

  async "several pictures have an order and weights"(visit) {
    const page = await visit.page();
    await mockCatalogue(page, REDUX_SETTINGS);
    const sent = await mockSubmit(page, visit.options.server);
    await mockTask(page, visit.options.server, { status: "cancelled" });
    await visit.enter(page);
    const buffer = await readFile(PHOTO);
    const files = ["a.jpg", "b.jpg", "c.jpg"].map((name) => ({ name, mimeType: "image/jpeg", buffer }));
    await page.locator('.input-panel input[type="file"]').first().setInputFiles(files);
    await page.getByRole("button", { name: "Move c.jpg forward" }).click();
    await page.getByRole("button", { name: "Remove a.jpg" }).click();
    const names = async () => (await page.locator(".picture-name").allInnerTexts()).map((name) => name.trim());
    assert.deepEqual(await names(), ["c.jpg", "b.jpg"]);
    await page.getByLabel("Weight of c.jpg").fill("0.8");
    await page.getByLabel("Weight of c.jpg").blur();
    await setNumber(page, "redux_strength", 0.5);
    await setNumber(page, "redux_downsample", 3);
    await visit.shoot("several pictures");
    await checkAccessible(page, "several pictures");
    await runButton(page).click();
    await page.getByText("This task was cancelled.").waitFor();
    const { body } = sent[0];
    assert.equal(body.images.length, 1);
    assert.notEqual(body.images[0], body.image);
    assert.deepEqual([body.image_weights, body.redux_strength, body.redux_downsample], [[0.8, 0.5], 0.5, 3]);
    // A model for one picture keeps the others for later, and says so.
    await chooseModel(page, "image-to-image");
    assert.equal(await page.getByText("not used by this model").count(), 1);
  },

  async "strength says what it does"(visit) {
    const page = await visit.ready();
    await chooseModel(page, "image-to-image");
    const hint = page.locator('[data-field="strength"] .hint');
    assert.match(await hint.innerText(), /without a picture/);
    await addPhoto(page);
    assert.match(await hint.innerText(), /0\.8: 23 of 28 steps run/);
    await page.locator('[data-field="strength"] input[type="range"]').press("Home");
    assert.match(await hint.innerText(), /0: 0 of 28 steps/);
  },

  async "everything works by the keyboard alone"(visit) {
    const page = await visit.ready();
    // From the beginning: the browser is told to ask here instead of opening a dialog, and that takes a moment.
    page.on("filechooser", (chooser) => chooser.setFiles(PHOTO));
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.className), "skip");
    const reach = async (isThere, what) => {
      for (let presses = 0; presses < 80; presses++) {
        if (await page.evaluate(isThere)) return;
        await page.keyboard.press("Tab");
      }
      assert.fail(`the Tab key does not reach ${what}`);
    };
    await reach(() => document.activeElement?.matches('.drop input[type="file"]'), "the file input");
    await page.keyboard.press("Enter");
    await page.locator(".picture").waitFor();
    await makeSmall(page);
    await page.locator("textarea").focus();
    await page.keyboard.type("by the keyboard");
    await page.keyboard.press("Control+Enter");
    await finished(page);
    await reach(() => document.activeElement?.textContent?.trim() === "Compare", "the button that compares");
    await page.keyboard.press("Enter");
    await reach(
      () =>
        document.activeElement?.getAttribute("role") === "slider" && document.activeElement.matches(".compare-line"),
      "the line",
    ).catch(async () => {
      // It comes before the button.
      await page.keyboard.press("Shift+Tab");
      assert.ok(await page.evaluate(() => document.activeElement?.matches(".compare-line")), "the line is not reached");
    });
    await page.keyboard.press("Home");
    assert.equal(await page.getByRole("slider", { name: /line between/ }).getAttribute("aria-valuenow"), "0");
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.getByRole("slider", { name: /line between/ }).getAttribute("aria-valuenow"), "2");
    await reach(() => document.activeElement?.matches(".history-row"), "the history");
    assert.ok(await page.evaluate(() => document.activeElement?.getAttribute("data-row") === "0"));
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelector('.history-row[aria-current="true"]'));
  },
};
