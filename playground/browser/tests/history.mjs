// The history: after a reload, filtered, and with more tasks than fit anywhere.

import assert from "node:assert/strict";
import { mockHistory } from "../mocks.mjs";
import { addPhoto, checkAccessible, make, makeSmall, PATIENCE, runButton, setNumber, shownSize } from "../visit.mjs";

const MANY = 10_000;

/** Scrolls through the whole list and measures each frame. */
async function scrollThrough(page) {
  return page.evaluate(async () => {
    const frame = document.querySelector(".history-rows");
    const frames = [];
    let mostRows = 0;
    const steps = 180;
    const end = frame.scrollHeight - frame.clientHeight;
    let last = await new Promise(requestAnimationFrame);
    for (let step = 1; step <= steps; step++) {
      frame.scrollTop = (end * step) / steps;
      const now = await new Promise(requestAnimationFrame);
      frames.push(now - last);
      last = now;
      mostRows = Math.max(mostRows, document.querySelectorAll(".history-item").length);
    }
    frames.sort((one, other) => one - other);
    const at = (share) => frames[Math.floor(share * (frames.length - 1))];
    return { median: at(0.5), nearlyAll: at(0.95), longest: at(1), mostRows };
  });
}

export const tests = {
  async "a reload comes back to the task and the history"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page);
    await page.locator("textarea").fill("before the reload");
    await make(page);
    await page.reload();
    await page.locator(".history-row", { hasText: "before the reload" }).first().waitFor();
    assert.deepEqual(await shownSize(page), [256, 256]);
    assert.equal(await page.locator("textarea").inputValue(), "before the reload");
    await page.locator(".picture-name", { hasText: "lake.jpg" }).waitFor();
    await page.waitForFunction(() => document.querySelector(".picture img")?.naturalWidth > 0);
    // Without anything kept, the history is still there: it is the server's.
    const other = await visit.ready();
    await other.locator(".history-row", { hasText: "before the reload" }).first().click();
    assert.deepEqual(await shownSize(other), [256, 256]);
  },

  async "a task that runs is picked up again after a reload"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await setNumber(page, "num_inference_steps", 50);
    await page.getByText("Large", { exact: true }).click();
    await runButton(page).click();
    await page.locator(".progress-line", { hasText: /Step/ }).waitFor({ timeout: PATIENCE });
    await page.reload();
    await page.locator(".progress-line", { hasText: /Step \d+ of \d+/ }).waitFor({ timeout: PATIENCE });
    await page.locator(".history-row").first().getByText(/Step/).waitFor();
    await page.locator(".task-buttons").getByRole("button", { name: "Cancel" }).click();
    await page.getByText("This task was cancelled.").waitFor({ timeout: PATIENCE });
  },

  async "the history is filtered by the server"(visit) {
    const page = await visit.ready();
    await page.locator(".history-row").first().waitFor();
    const [request] = await Promise.all([
      page.waitForRequest((each) => each.url().endsWith("/predictions") && each.postDataJSON().status === "cancelled"),
      page.locator(".filters").getByLabel("Status").selectOption("cancelled"),
    ]);
    assert.equal(request.postDataJSON().page_size, 100);
    await page.locator(".history-row .state").first().waitFor();
    for (const text of await page.locator(".history-row .state").allInnerTexts()) assert.equal(text, "Cancelled");
    const [both] = await Promise.all([
      page.waitForRequest((each) => each.url().endsWith("/predictions") && each.postDataJSON().model !== undefined),
      // Nothing of it was cancelled: the other tests use the model that is chosen at first.
      page.locator(".filters").getByLabel("Model").selectOption("wavespeed-ai/flux-redux-pro"),
    ]);
    assert.equal(both.postDataJSON().status, "cancelled");
    await page.getByText("Nothing matches.").waitFor();
  },

  async "ten thousand tasks scroll without long frames"(visit) {
    const page = await visit.page();
    const asked = await mockHistory(page, visit.options.server, MANY);
    await visit.enter(page);
    await page.getByText("10,000 tasks").waitFor();
    await page.getByText("task number 0", { exact: true }).waitFor();
    assert.deepEqual([...new Set(asked)], [1], "read before they are seen");
    const frames = await scrollThrough(page);
    const told = Object.entries(frames)
      .map(([name, value]) => `${name} ${Math.round(value)}`)
      .join(", ");
    assert.ok(frames.mostRows < 60, `rows in the document: ${told}`);
    assert.ok(frames.nearlyAll < 100, `19 of 20 frames: ${told} ms`);
    assert.ok(frames.longest < 500, `longest frame: ${told} ms`);
    await page.getByText(`task number ${MANY - 1}`, { exact: true }).waitFor();
    assert.ok(new Set(asked).size < MANY / 100, "pages that nobody stopped at were read, too");
    await page.locator(".history-row").last().focus();
    await page.keyboard.press("Home");
    await page.waitForFunction(() => document.activeElement?.getAttribute("data-row") === "0");
    await page.keyboard.press("ArrowDown");
    await page.waitForFunction(() => document.activeElement?.getAttribute("data-row") === "1");
    await checkAccessible(page, "long history");
    await visit.shoot("long history");
    return told;
  },

  async "an empty history says what will be there"(visit) {
    const page = await visit.page();
    await mockHistory(page, visit.options.server, 0);
    await visit.enter(page);
    await page.getByText("Nothing yet.").waitFor();
  },

  async "a history that cannot be read can be tried again"(visit) {
    visit.expected = [/500/];
    const page = await visit.page();
    let isBroken = true;
    await page.route("**/api/v3/predictions", (route) =>
      isBroken ? route.fulfill({ status: 500, json: { code: 500, message: "broken" } }) : route.fallback(),
    );
    await visit.enter(page);
    await page.getByText("The history could not be read.").waitFor();
    isBroken = false;
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator(".history-row").first().waitFor();
  },
};
