// The page for operators: what it shows, to whom, and what it does while the server is away.

import assert from "node:assert/strict";
import { operatorStatus } from "../mocks.mjs";
import { checkAccessible } from "../visit.mjs";

const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

const isTooWide = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

const address = (visit, key = visit.key) => `${visit.address}status#key=${encodeURIComponent(key)}`;

/** Answers as a busy server does; returns how often it was asked. */
async function mockStatus(page, change = () => ({})) {
  const asked = { times: 0 };
  await page.route("**/api/status", async (route) => {
    asked.times++;
    await route.fulfill({ json: operatorStatus(change(asked.times)) });
  });
  return asked;
}

async function opened(visit, context = {}) {
  const page = await visit.page(context);
  const asked = await mockStatus(page);
  await page.goto(address(visit));
  await page.locator(".status-main").waitFor();
  return { page, asked };
}

const refuse = (page, status, message) =>
  page.route("**/api/status", (route) => route.fulfill({ status, json: { code: status, message } }));

export const tests = {
  async "an operator sees the server that runs"(visit) {
    const page = await visit.page();
    const others = [];
    page.on("request", (request) => {
      if (!request.url().startsWith(visit.address)) others.push(request.url());
    });
    await page.goto(address(visit));
    await page.locator(".status-main").waitFor();
    assert.equal(await page.evaluate(() => location.href), `${visit.address}status`, "the key stays in the address");
    assert.equal(await page.title(), "Status – Afterimage");
    assert.ok(await page.getByRole("heading", { name: "Queue by model" }).isVisible());
    assert.ok((await page.getByRole("row").count()) >= 3);
    await page.locator(".state-open").first().waitFor();
    await page.reload();
    await page.locator(".status-main").waitFor();
    assert.deepEqual(others, []);
    await checkAccessible(page, "status");
    await visit.shoot("status of this server");
    await page.getByRole("link", { name: "Playground" }).click();
    await page.locator("form.settings").waitFor();
  },

  async "figures are charts, and tables for who does not see them"(visit) {
    const { page } = await opened(visit);
    const chart = page.locator(".chart svg");
    assert.match(await chart.getAttribute("aria-label"), /^Pictures by day from .+ to .+: [\d,]+ together, most on/);
    assert.equal(await chart.locator(".chart-bar").count(), 30);
    await page.getByText("Cost", { exact: true }).first().click();
    assert.match(await chart.getAttribute("aria-label"), /^Cost by day .+ \$[\d,.]+ together/);
    assert.ok(await page.getByRole("columnheader", { name: "By day: Cost" }).isVisible());
    assert.deepEqual(await page.locator("tbody th[scope=row]:has(+ td .spark)").allInnerTexts(), [
      "shop\na1b2c3d4e5f6",
      "0a1b2c3d4e5f",
      "All other keys",
    ]);
    await page.getByText("The same as a table").click();
    assert.equal(await page.locator(".by-day tbody tr").count(), 30);
    // What a failure says is text.
    assert.equal(await page.locator(".failure b").count(), 0);
    assert.ok(await page.getByText("<b>internal error</b>").isVisible());
    assert.ok(await page.getByText("of_a_later_version").isVisible());
    assert.ok(await page.getByText("1 h 10 min").first().isVisible());
    assert.ok(await page.getByText("given up").isVisible());
    await checkAccessible(page, "figures");
    await visit.shoot("status");
  },

  async "the page is there on a phone, in the dark and in Chinese"(visit) {
    for (const [name, context] of Object.entries({
      phone: PHONE,
      dark: { colorScheme: "dark" },
      chinese: { ...PHONE, locale: "zh-CN" },
    })) {
      const { page } = await opened(visit, context);
      assert.equal(await isTooWide(page), 0, `${name} scrolls sideways`);
      await visit.shoot(`status ${name}`, page);
      await checkAccessible(page, `status ${name}`);
      if (name !== "chinese") continue;
      const english = await page.evaluate(() =>
        [...document.querySelectorAll("h2, dt, thead th, .hint, summary, .segment")]
          .map((element) => element.textContent.trim())
          .filter((text) => /[a-z]{4,} [a-z]{3,}/i.test(text)),
      );
      assert.deepEqual(english, []);
    }
    const { page } = await opened(visit);
    for (const width of [320, 500, 800, 1000, 1920]) {
      await page.setViewportSize({ width, height: 900 });
      assert.equal(await isTooWide(page), 0, `${width} pixels`);
    }
  },

  async "a server with nothing to tell says so"(visit) {
    const page = await visit.page();
    const { usage } = operatorStatus();
    await mockStatus(page, () => ({
      server: { engines: [], processes: [], safety: { on_flag: "withhold", required: false } },
      queues: [],
      failures: [],
      usage: { ...usage, keys: [], others: [] },
    }));
    await page.goto(address(visit));
    await page.locator(".status-main").waitFor();
    assert.equal(await page.locator(".status-empty").count(), 4);
    await checkAccessible(page, "status with nothing");
    await visit.shoot("status with nothing");
  },

  async "a user's key is told how it becomes an operator's"(visit) {
    visit.expected = [/403/];
    const page = await visit.page();
    const told = "only an operator's key may see this; `afterimage keys role 1f operator` on the server changes that";
    await refuse(page, 403, told);
    await page.goto(address(visit));
    await page.getByRole("heading", { name: "This page is for operators" }).waitFor();
    assert.equal(await page.locator("code.command").innerText(), "afterimage keys role 1f operator");
    await checkAccessible(page, "no operator");
    await visit.shoot("status for users");
    await page.getByRole("button", { name: "Use another key" }).click();
    await page.getByRole("heading", { name: "Enter a key" }).waitFor();
    await page.unroute("**/api/status");
    await mockStatus(page);
    await page.getByLabel("Key", { exact: true }).fill("another-key");
    await page.getByRole("button", { name: "Use this key" }).click();
    await page.locator(".status-main").waitFor();
    await page.getByRole("button", { name: "Forget the key" }).click();
    await page.getByRole("heading", { name: "Enter a key" }).waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.getItem("afterimage.key")), null);
  },

  async "figures stay while the server is away, and are of now when it is back"(visit) {
    visit.expected = [/ERR_|Failed to load/];
    const { page, asked } = await opened(visit);
    await page.unroute("**/api/status");
    await page.route("**/api/status", (route) => route.abort());
    await page.locator(".status-trouble").waitFor();
    assert.ok(await page.locator(".tiles").isVisible());
    await checkAccessible(page, "status of a server that is away");
    await visit.shoot("status away");
    await page.unroute("**/api/status");
    await mockStatus(page);
    await page.locator(".status-trouble").waitFor({ state: "detached" });
    assert.ok(asked.times >= 1);
  },

  async "nobody is asked while nobody looks"(visit) {
    const { page, asked } = await opened(visit);
    const hide = (state) =>
      page.evaluate((value) => {
        Object.defineProperty(document, "visibilityState", { value, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      }, state);
    await hide("hidden");
    const before = asked.times;
    await page.waitForTimeout(6500);
    assert.equal(asked.times, before, "asked while hidden");
    await hide("visible");
    await page.waitForTimeout(1000);
    assert.equal(asked.times, before + 1, "not asked at once");
  },
};
