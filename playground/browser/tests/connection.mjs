// The server goes away and comes back under an open page.

import assert from "node:assert/strict";
import { addPhoto, checkAccessible, finished, makeSmall, runButton } from "../visit.mjs";

const SERVER = /\/(api\/|loras|healthz|media\/)/;

/** What a browser says in its console when nobody answers. */
const SILENCE = [/ERR_(FAILED|CONNECTION)/, /50[24]/];

async function goAway(page, how = (route) => route.abort("connectionrefused")) {
  await page.route(SERVER, how);
}

const comeBack = (page) => page.unroute(SERVER);

export const tests = {
  async "what was sent while the server is away is sent when it is back, once"(visit) {
    visit.expected = SILENCE;
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page);
    const before = (await visit.api("predictions", { method: "POST", body: {} })).total;
    await goAway(page);
    await runButton(page).click();
    await page.getByText("Connection lost.").waitFor();
    assert.ok(await page.getByText("go on without this page").isVisible());
    await checkAccessible(page, "connection lost");
    await visit.shoot("connection lost");
    await page.waitForTimeout(2500);
    await comeBack(page);
    await page.getByRole("button", { name: "Try now" }).click();
    await page.getByText("Connection lost.").waitFor({ state: "detached" });
    await finished(page);
    assert.equal((await visit.api("predictions", { method: "POST", body: {} })).total, before + 1);
  },

  async "a task that ends while the server is away is there afterwards"(visit) {
    visit.expected = SILENCE;
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page, { steps: 20 });
    await runButton(page).click();
    await page.locator(".progress-line").waitFor();
    const id = await page.evaluate(() => sessionStorage.getItem("afterimage.view"));
    await goAway(page);
    // An open stream is not cut by a route, so the task ends for the page when it asks after it.
    for (let tries = 0; (await visit.api(`predictions/${id}`)).status !== "completed"; tries++) {
      assert.ok(tries < 600, "the task does not end");
      await page.waitForTimeout(200);
    }
    await page.getByText("Connection lost.").waitFor();
    await comeBack(page);
    await finished(page);
    await page.getByText("Connection lost.").waitFor({ state: "detached" });
  },

  async "a proxy whose server is away counts as away"(visit) {
    visit.expected = SILENCE;
    const page = await visit.page();
    await goAway(page, (route) =>
      route.fulfill({ status: 502, contentType: "text/html", body: "<h1>Bad gateway</h1>" }),
    );
    await page.goto(`${visit.address}#key=${visit.key}`);
    await page.getByRole("heading", { name: "The server does not answer" }).waitFor();
    await checkAccessible(page, "unreachable");
    await visit.shoot("unreachable");
    await comeBack(page);
    await page.getByRole("button", { name: "Try now" }).click();
    await page.locator("form.settings").waitFor();
  },
};
