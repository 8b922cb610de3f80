// Phones, themes, languages.

import assert from "node:assert/strict";
import { addPhoto, checkAccessible, make, makeSmall, runButton } from "../visit.mjs";

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** What can be touched and is smaller than 24 pixels, other than in a line of text. */
const smallTargets = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("button, a, select, input, summary, textarea")]
      .map((element) => element.closest("label:has(.hidden-input)") ?? element)
      .filter(
        (element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest(".skip, .off-screen"),
      )
      .map((element) => [element.outerHTML.slice(0, 120), element.getBoundingClientRect()])
      .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24) && box.right > 0)
      // A box to tick lies within its label, which is what is touched.
      .filter(([html]) => !/type="(checkbox|radio)"/.test(html))
      .map(([html, box]) => `${Math.round(box.width)}×${Math.round(box.height)} ${html}`),
  );

const isTooWide = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

const background = (page) => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

export const tests = {
  async "a phone has everything below each other, and the button at hand"(visit) {
    const page = await visit.ready(PHONE);
    assert.equal(await isTooWide(page), 0, "scrolls sideways");
    assert.deepEqual(await smallTargets(page), []);
    await visit.shoot("phone");
    await checkAccessible(page, "phone");
    await addPhoto(page);
    await makeSmall(page);
    const box = await runButton(page).boundingBox();
    assert.ok(box.y >= 0 && box.y + box.height <= 740, "the button is out of sight");
    await make(page);
    const top = await page.locator("#stage").evaluate((element) => element.getBoundingClientRect().top);
    assert.ok(top < 700, "the result is out of sight");
    assert.equal(await isTooWide(page), 0, "scrolls sideways with a result");
    assert.deepEqual(await smallTargets(page), []);
    await visit.shoot("phone result");
    await checkAccessible(page, "phone result");
    await page.locator("details.code summary").click();
    assert.equal(await isTooWide(page), 0, "scrolls sideways with code");
    await page.locator(".history").scrollIntoViewIfNeeded();
    await visit.shoot("phone history");
  },

  async "windows of other widths do not scroll sideways either"(visit) {
    const page = await visit.ready();
    for (const width of [320, 500, 800, 1000, 1240, 1920]) {
      await page.setViewportSize({ width, height: 900 });
      assert.equal(await isTooWide(page), 0, `${width} pixels`);
      await visit.shoot(`width ${width}`);
    }
  },

  async "the theme is the system's, or one's own"(visit) {
    const light = await visit.ready({ colorScheme: "light" });
    const dark = await visit.ready({ colorScheme: "dark" });
    const colours = { light: await background(light), dark: await background(dark) };
    assert.notEqual(colours.light, colours.dark);
    await dark.locator(".history-row").first().click();
    await dark.locator(".facts").waitFor();
    await dark.locator("details.code summary").click();
    await visit.shoot("dark", dark);
    await checkAccessible(dark, "dark");
    await light.locator(".history-row").first().click();
    await light.locator(".facts").waitFor();
    await light.locator("details.code summary").click();
    await visit.shoot("light", light);
    await checkAccessible(light, "light");

    const button = light.getByRole("button", { name: /^Theme/ });
    assert.equal(await button.getAttribute("aria-label"), "Theme: System");
    await button.click();
    await button.click();
    assert.equal(await button.getAttribute("aria-label"), "Theme: Dark");
    assert.equal(await background(light), colours.dark);
    await light.reload();
    await light.locator("form.settings").waitFor();
    assert.equal(await background(light), colours.dark, "forgotten by the reload");
  },

  async "Chinese for who reads it, and a switch"(visit) {
    const page = await visit.ready({ locale: "zh-CN" });
    assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN");
    assert.match(await runButton(page).innerText(), /生成图片/);
    assert.equal(await page.locator('[data-field="size"] .label').innerText(), "尺寸");
    await page.locator("details.advanced:not(.controls) summary").click();
    // What stays English is the server's own.
    const english = await page.evaluate(() =>
      [...document.querySelectorAll(".settings .hint:not([lang=en]), .settings .label")]
        .map((element) => element.textContent.trim())
        .filter((text) => /[a-z]{4,} [a-z]{3,}/i.test(text)),
    );
    assert.deepEqual(english, []);
    await visit.shoot("chinese");
    await checkAccessible(page, "chinese");
    await page.getByLabel("语言", { exact: true }).selectOption("en");
    assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
    assert.match(await runButton(page).innerText(), /Make/);
    await page.reload();
    await page.locator("form.settings").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), "en");
  },

  async "who wants no motion gets none"(visit) {
    const page = await visit.ready({ reducedMotion: "reduce" });
    const durations = await page.evaluate(() =>
      [...document.querySelectorAll("*")]
        .map((element) => getComputedStyle(element).animationDuration)
        .filter((text) => text !== "0s" && text !== "0.001s"),
    );
    assert.deepEqual(durations, []);
  },

  async "forced colours leave everything to be seen"(visit) {
    const page = await visit.ready({ forcedColors: "active" });
    await page.locator("details.advanced:not(.controls) summary").click();
    assert.equal(
      await page
        .locator(".switch")
        .first()
        .evaluate((element) => getComputedStyle(element).appearance),
      "auto",
    );
    await visit.shoot("forced colours");
  },
};
