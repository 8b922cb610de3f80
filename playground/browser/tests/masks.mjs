// Masks: painted by pointer, by keys and by finger, kept, sent, and what comes of them.

import assert from "node:assert/strict";
import { mockSubmit, mockTask } from "../mocks.mjs";
import {
  addPhoto,
  checkAccessible,
  chooseExample,
  chooseModel,
  finished,
  makeSmall,
  runButton,
  setNumber,
} from "../visit.mjs";

const SMALL = { width: 256, height: 192 };

/** A picture of stripes, drawn by the browser: small, and not all of one colour. */
async function addStripes(page, { width, height } = SMALL) {
  const bytes = await page.evaluate(
    async ([across, down]) => {
      const canvas = document.createElement("canvas");
      canvas.width = across;
      canvas.height = down;
      const context = canvas.getContext("2d");
      for (let x = 0; x < across; x += 16) {
        context.fillStyle = `hsl(${(x * 360) / across} 60% 55%)`;
        context.fillRect(x, 0, 16, down);
      }
      const blob = await new Promise((settle) => canvas.toBlob(settle, "image/png"));
      return [...new Uint8Array(await blob.arrayBuffer())];
    },
    [width, height],
  );
  await addPhoto(page, { name: "stripes.png", mimeType: "image/png", buffer: Buffer.from(bytes) });
}

async function openBrush(page) {
  await page
    .getByRole("button", { name: /^(Paint a mask on|Change mask of)/ })
    .first()
    .click();
  const dialog = page.getByRole("dialog");
  await dialog.locator(".brush-surface").waitFor();
  return dialog;
}

/** Paints a line from one share of the surface to another. */
async function drag(page, dialog, from, to) {
  const box = await dialog.locator(".brush-surface").boundingBox();
  const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at(to), { steps: 5 });
  await page.mouse.up();
}

/** Pixels of pictures at addresses, by the browser's own decoder. */
function pixelsOf(page, addresses) {
  return page.evaluate(async (all) => {
    const read = async (address) => {
      const image = new Image();
      image.src = address;
      await image.decode();
      const canvas = document.createElement("canvas");
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0);
      return {
        width: canvas.width,
        height: canvas.height,
        data: [...context.getImageData(0, 0, canvas.width, canvas.height).data],
      };
    };
    return Promise.all(all.map(read));
  }, addresses);
}

async function mocked(visit, context) {
  const page = await visit.page(context);
  await mockTask(page, visit.options.server, { status: "cancelled" });
  const sent = await mockSubmit(page, visit.options.server);
  await visit.enter(page);
  return { page, sent };
}

async function send(page) {
  await runButton(page).click();
  await page.getByText("This task was cancelled.").waitFor();
}

export const tests = {
  async "only what is painted changes when the rest is kept"(visit) {
    const page = await visit.ready();
    await chooseModel(page, "image-to-image");
    await addStripes(page);
    const dialog = await openBrush(page);
    await drag(page, dialog, [0.25, 0.3], [0.25, 0.7]);
    await dialog.getByRole("button", { name: "Use mask" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.locator(".picture .badge", { hasText: /Mask \d+ %/ }).waitFor();
    await page.locator("textarea").fill("a dark hole");
    await page.locator("details.controls summary").click();
    await page.getByLabel("Keep the rest to the pixel").check();
    await visit.shoot("mask controls");
    await page.locator("details.advanced:not(.controls) summary").click();
    await setNumber(page, "num_inference_steps", 3);
    await page.locator('[data-field="output_format"] .segment', { hasText: "PNG" }).click();
    const [request] = await Promise.all([
      page.waitForRequest((each) => /image-to-image$/.test(each.url()) && each.method() === "POST"),
      runButton(page).click(),
    ]);
    await finished(page);
    const body = request.postDataJSON();
    assert.equal(body.keep_outside, true);
    const shown = await page.locator(".result-picture img").first().getAttribute("src");
    const input = await page.locator(".picture-frame > img").first().getAttribute("src");
    const [before, after, mask] = await pixelsOf(page, [input, shown, body.mask_image]);
    assert.deepEqual([after.width, after.height], [SMALL.width, SMALL.height]);
    assert.deepEqual([mask.width, mask.height], [SMALL.width, SMALL.height]);
    let inside = 0;
    let outside = 0;
    for (let at = 0; at < mask.data.length; at += 4) {
      const differs = [0, 1, 2].some((channel) => before.data[at + channel] !== after.data[at + channel]);
      if (differs && mask.data[at] === 0) outside++;
      if (differs && mask.data[at] === 255) inside++;
    }
    assert.equal(outside, 0, "pixels that nobody painted have changed");
    assert.ok(inside > 100, `${inside} painted pixels have changed`);
    await page.getByRole("button", { name: "Use settings" }).first().click();
    await page.getByText("Masks are not among them").waitFor();
    return `${inside} pixels inside`;
  },

  async "a mask is made and sent by the keyboard alone"(visit) {
    const { page, sent } = await mocked(visit);
    await addStripes(page);
    const open = page.getByRole("button", { name: "Paint a mask on stripes.png" });
    await open.focus();
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    // The picture has the focus.
    await page.waitForFunction(() => document.activeElement?.matches(".brush-surface"));
    await page.keyboard.down("Space");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.up("Space");
    const status = dialog.getByRole("status");
    await page.waitForFunction(() =>
      /\d+ % painted/.test(document.querySelector(".brush-end .hint")?.textContent ?? ""),
    );
    const width = () => dialog.getByRole("slider").inputValue();
    const before = Number(await width());
    await page.keyboard.press("]");
    assert.ok(Number(await width()) > before);
    await page.keyboard.press("[");
    assert.equal(Number(await width()), before);
    await page.keyboard.press("Control+z");
    await page.waitForFunction(() =>
      /Paint something/.test(document.querySelector(".brush-end .hint")?.textContent ?? ""),
    );
    const press = async (name) => {
      for (let presses = 0; presses < 30; presses++) {
        if (
          await dialog.getByRole("button", { name, exact: true }).evaluate((each) => each === document.activeElement)
        ) {
          return page.keyboard.press("Enter");
        }
        await page.keyboard.press("Tab");
        assert.ok(
          await page.evaluate(
            () => document.activeElement === document.body || !!document.activeElement?.closest("dialog"),
          ),
          "the focus left the dialog",
        );
      }
      return assert.fail(`the Tab key does not reach ${name}`);
    };
    await press("Fill");
    assert.equal(await status.innerText(), "100 % painted");
    await press("Invert");
    assert.equal(await status.innerText(), "Paint something first.");
    assert.ok(await dialog.getByRole("button", { name: "Use mask" }).isDisabled());
    await press("Undo");
    await press("Use mask");
    await dialog.waitFor({ state: "detached" });
    assert.match(
      await page.evaluate(() => document.activeElement?.getAttribute("aria-label")),
      /Change mask of stripes/,
    );
    await page.keyboard.press("Control+Enter");
    await page.getByText("This task was cancelled.").waitFor();
    assert.equal(sent[0].body.image_masks.length, 1);
    const [mask] = await pixelsOf(page, sent[0].body.image_masks);
    assert.ok(mask.data.every((value) => value === 255));
  },

  async "an empty mask is none, Escape leaves things as they are, and a mask can be removed"(visit) {
    const { page, sent } = await mocked(visit);
    await addStripes(page);
    let dialog = await openBrush(page);
    await dialog.getByRole("button", { name: "Fill" }).click();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.equal(await page.locator(".picture-mask").count(), 0);
    dialog = await openBrush(page);
    await drag(page, dialog, [0.2, 0.2], [0.8, 0.2]);
    await dialog.getByRole("button", { name: "Clear" }).click();
    for (const name of ["Clear", "Use mask"]) {
      assert.ok(await dialog.getByRole("button", { name }).isDisabled(), `${name} with nothing painted`);
    }
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "detached" });
    assert.equal(await page.locator(".picture-mask").count(), 0);
    await send(page);
    assert.ok(!("image_masks" in sent[0].body));
    dialog = await openBrush(page);
    await drag(page, dialog, [0.2, 0.2], [0.8, 0.2]);
    await dialog.locator(".segment", { hasText: "Eraser" }).click();
    await drag(page, dialog, [0.2, 0.2], [0.4, 0.2]);
    await dialog.getByRole("button", { name: "Use mask" }).click();
    await page.locator(".picture-mask").waitFor();
    // It is there for a model that changes what is painted, too.
    await chooseModel(page, "image-to-image");
    await page.locator(".picture-mask").waitFor();
    await page.locator("textarea").fill("x");
    await send(page);
    assert.match(sent[1].body.mask_image, /^data:image\/png;base64,/);
    // And after a reload.
    await page.reload();
    await page.locator(".picture-mask").waitFor();
    // One that was there can be emptied.
    dialog = await openBrush(page);
    await dialog.getByRole("button", { name: "Clear" }).click();
    await dialog.getByText("the picture will have no mask").waitFor();
    assert.ok(await dialog.getByRole("button", { name: "Use mask" }).isEnabled());
    await dialog.getByRole("button", { name: "Undo" }).click();
    await dialog.getByRole("button", { name: "Use mask" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.locator(".picture-mask").waitFor();
    await page.getByRole("button", { name: "Remove mask of stripes.png" }).click();
    assert.equal(await page.locator(".picture-mask").count(), 0);
    await send(page);
    assert.ok(!("mask_image" in sent[2].body));
  },

  async "a mask comes from a file"(visit) {
    const { page, sent } = await mocked(visit);
    await addStripes(page);
    const dialog = await openBrush(page);
    const file = dialog.getByLabel("From a file");
    await file.setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") });
    await dialog.getByText("no picture that the browser can read").waitFor();
    // White on the left; its size is not the picture's.
    const half = await page.evaluate(async () => {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 64;
      const context = canvas.getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(0, 0, 32, 64);
      const blob = await new Promise((settle) => canvas.toBlob(settle, "image/png"));
      return [...new Uint8Array(await blob.arrayBuffer())];
    });
    await file.setInputFiles({ name: "half.png", mimeType: "image/png", buffer: Buffer.from(half) });
    await dialog.getByText("50 % painted").waitFor();
    await dialog.getByRole("button", { name: "Use mask" }).click();
    await dialog.waitFor({ state: "detached" });
    await send(page);
    const [mask] = await pixelsOf(page, sent[0].body.image_masks);
    assert.deepEqual([mask.width, mask.height, mask.data[0], mask.data.at(-4)], [256, 192, 255, 0]);
  },

  async "the dialog is accessible and fits, also in the dark and on a phone"(visit) {
    const looks = [
      ["mask light", { colorScheme: "light" }],
      ["mask dark", { colorScheme: "dark" }],
      ["mask phone", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }],
      ["mask phone sideways", { viewport: { width: 740, height: 360 }, hasTouch: true, isMobile: true }],
      ["mask narrow", { viewport: { width: 320, height: 640 }, hasTouch: true, colorScheme: "dark" }],
    ];
    for (const [name, context] of looks) {
      const page = await visit.ready(context);
      await addPhoto(page);
      const dialog = await openBrush(page);
      await drag(page, dialog, [0.3, 0.7], [0.6, 0.6]);
      await checkAccessible(page, name);
      await visit.shoot(name);
      const overflow = await page.evaluate(() => {
        const box = document.querySelector("dialog[open]");
        const end = document.querySelector(".brush-end .button-main").getBoundingClientRect();
        const surface = document.querySelector(".brush-surface").getBoundingClientRect();
        return [box.scrollWidth - box.clientWidth, end.bottom > innerHeight, surface.height < 60];
      });
      assert.deepEqual(overflow, [0, false, false], name);
    }
  },

  async "a finger paints, and the page stays"(visit) {
    const page = await visit.ready({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
    await addPhoto(page);
    const dialog = await openBrush(page);
    const box = await dialog.locator(".brush-surface").boundingBox();
    const session = await page.context().newCDPSession(page);
    const touch = (type, points) => session.send("Input.dispatchTouchEvent", { type, touchPoints: points });
    await touch("touchStart", [{ x: box.x + 40, y: box.y + 20 }]);
    for (let step = 1; step <= 5; step++) await touch("touchMove", [{ x: box.x + 40, y: box.y + 20 + 20 * step }]);
    await touch("touchEnd", []);
    await dialog.getByText(/\d+ % painted/).waitFor();
    const now = await dialog.locator(".brush-surface").boundingBox();
    assert.deepEqual([now.x, now.y], [box.x, box.y], "the page was scrolled");
  },

  async "finer controls are grouped, sent, and in the examples"(visit) {
    const { page, sent } = await mocked(visit);
    await chooseModel(page, "flux-redux-pro");
    await addStripes(page);
    await makeSmall(page);
    const dialog = await openBrush(page);
    await drag(page, dialog, [0.2, 0.5], [0.4, 0.5]);
    await dialog.getByRole("button", { name: "Use mask" }).click();
    const section = page.locator("details.controls");
    await section.locator("summary").click();
    for (const name of ["image_masks", "init_image", "mask_image"])
      assert.equal(await page.locator(`[data-field="${name}"] input[type="text"]`).count(), 0, name);
    const weight = section.locator('[data-field="redux_strength"] input[type="number"]');
    assert.ok(await weight.isEnabled());
    await section.getByLabel("Picture against prompt").selectOption("more-prompt");
    assert.ok(await weight.isDisabled());
    assert.match(await section.locator('[data-field="redux_strength"] .hint').innerText(), /level above/);
    assert.equal(await section.locator('[data-field="strength"]').count(), 0, "without a start");
    await section.getByRole("button", { name: "First picture" }).click();
    await setNumber(page, "strength", 0.5);
    assert.equal(await section.locator('[data-field="variation_seed"]').count(), 0, "without a strength");
    await setNumber(page, "variation_strength", 0.1);
    await section.locator('[data-field="variation_seed"]').waitFor();
    await checkAccessible(page, "controls");
    await section.scrollIntoViewIfNeeded();
    await visit.shoot("controls");
    await send(page);
    const { body } = sent[0];
    assert.equal(body.balance, "more-prompt");
    assert.equal(body.init_image, body.image);
    assert.deepEqual([body.strength, body.variation_strength], [0.5, 0.1]);
    assert.ok(Number.isInteger(body.variation_seed), "a second seed that the history knows");
    await page.locator("details.code summary").click();
    assert.match(await chooseExample(page, "wavespeed", "python"), /"image_masks": \[mask\]/);
    assert.match(await chooseExample(page, "fal", "python"), /"image_mask_urls": \[mask\]/);
    assert.match(await chooseExample(page, "openai", "curl"), /balance=more-prompt/);
    await page.getByText("they are left out").waitFor();
    await chooseModel(page, "image-to-image");
    await page.locator("textarea").fill("x");
    assert.match(await chooseExample(page, "openai", "curl"), /mask=@mask-transparent\.png/);
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "mask-transparent.png" }).click(),
    ]);
    assert.equal(download.suggestedFilename(), "mask-transparent.png");
    await checkAccessible(page, "code with masks");
  },
};
