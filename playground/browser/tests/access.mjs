// How somebody comes in: by a link, by typing the key, and how long that takes.

import assert from "node:assert/strict";
import { startProxy } from "../proxy.mjs";
import { addPhoto, builtFile, checkAccessible, make, makeSmall, runButton, shownSize } from "../visit.mjs";

const LIMIT_KB = 60;

const stored = (page, storage) => page.evaluate((name) => window[name].getItem("afterimage.key"), storage);

export const tests = {
  async "a link with the key opens the form, and the key leaves the address bar"(visit) {
    const page = await visit.ready();
    assert.equal(await page.evaluate(() => location.href), visit.address);
    assert.equal(await stored(page, "sessionStorage"), visit.key);
    assert.equal(await stored(page, "localStorage"), null, "kept on the device without being asked");
    assert.ok((await page.locator("#model option").count()) >= 3);
    assert.ok(await runButton(page).isVisible());
    assert.ok(await page.getByText("Your pictures appear here").isVisible());
    await visit.shoot("first visit");
    await page.reload();
    await page.locator("form.settings").waitFor();
    await checkAccessible(page, "first visit");
  },

  async "without a key the page asks for one and says where it is"(visit) {
    visit.expected = [/401/];
    const page = await visit.page();
    await page.goto(visit.address);
    await page.getByRole("heading", { name: "Enter a key" }).waitFor();
    assert.ok(await page.getByText("afterimage keys create").isVisible());
    await checkAccessible(page, "no key");
    await visit.shoot("no key");

    await page.getByLabel("Key", { exact: true }).fill("not-a-key-of-this-server");
    await page.getByRole("button", { name: "Use this key" }).click();
    await page.getByRole("heading", { name: "This key is not known" }).waitFor();
    await checkAccessible(page, "wrong key");
    await visit.shoot("wrong key");

    await page.getByLabel("Key", { exact: true }).fill(visit.key);
    await page.getByLabel("Remember on this device").check();
    await page.getByRole("button", { name: "Use this key" }).click();
    await page.locator("form.settings").waitFor();
    assert.equal(await stored(page, "localStorage"), visit.key);

    const other = await page.context().newPage();
    await other.goto(visit.address);
    await other.locator("form.settings").waitFor();
    await other.getByRole("button", { name: "Key", exact: true }).click();
    await other.getByRole("button", { name: "Forget the key" }).click();
    await other.getByRole("heading", { name: "Enter a key" }).waitFor();
    assert.equal(await stored(other, "localStorage"), null);
    assert.equal(await stored(other, "sessionStorage"), null);
  },

  async "a key in the address of an open page is taken, too"(visit) {
    const page = await visit.page();
    await page.goto(visit.address);
    await page.getByRole("heading", { name: "Enter a key" }).waitFor();
    await page.evaluate((key) => (location.hash = `key=${encodeURIComponent(key)}`), visit.key);
    await page.locator("form.settings").waitFor();
    assert.equal(await page.evaluate(() => location.hash), "");
  },

  async "everything works below a path prefix of a proxy"(visit) {
    const files = visit.options.built ? builtFile : undefined;
    const proxy = await startProxy(visit.options.server, "/studio", { files });
    try {
      visit.address = `${proxy.address}/`;
      const page = await visit.page();
      const outside = [];
      page.on("request", (request) => {
        const url = request.url();
        if (!url.startsWith(proxy.address) && !/^(data|blob):/.test(url)) outside.push(url);
      });
      await visit.enter(page);
      await addPhoto(page);
      await makeSmall(page);
      await make(page);
      assert.deepEqual(await shownSize(page), [256, 256]);
      await page.getByRole("button", { name: "Compare" }).click();
      await page.waitForFunction(() =>
        [...document.querySelectorAll(".compare img")].every((image) => image.naturalWidth > 0),
      );
      assert.deepEqual(outside, []);
      await page.locator("details.code summary").click();
      assert.match(await page.locator(".code code").first().textContent(), /\/studio\/api\/v3/);
    } finally {
      proxy.stop();
    }
  },

  async "the first load is small, quick and asks nobody else"(visit) {
    const page = await visit.page();
    const session = await page.context().newCDPSession(page);
    await session.send("Network.enable");
    const asked = new Map();
    let bytes = 0;
    session.on("Network.requestWillBeSent", ({ requestId, request }) => asked.set(requestId, request.url));
    session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
      const path = new URL(asked.get(requestId) ?? "about:blank").pathname;
      if (/\/(playground\.(js|css))?$/.test(path)) bytes += encodedDataLength;
    });
    await visit.enter(page);
    const ready = await page.evaluate(() => performance.now());
    await page.waitForTimeout(300);
    const server = new URL(visit.address).origin;
    const others = [...asked.values()].filter((url) => !url.startsWith(server) && !/^(data|blob):/.test(url));
    assert.deepEqual(others, []);
    assert.ok(bytes > 1000, "nothing was counted");
    // Files that the tests serve themselves are not packed.
    if (!visit.options.built) assert.ok(bytes <= LIMIT_KB * 1000, `${bytes} bytes; at most ${LIMIT_KB} KB`);
    assert.ok(ready < 3000, `the form was there after ${Math.round(ready)} ms`);
    return `${bytes} bytes, form after ${Math.round(ready)} ms`;
  },
};
