// The examples that the page shows. With --snippets they are left in a folder, for somebody who runs them.

import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { addPhoto, AWKWARD_PROMPT, checkAccessible, chooseExample, makeSmall } from "../visit.mjs";

const ENDINGS = { curl: "sh", python: "py", javascript: "mjs" };
const DIALECTS = ["wavespeed", "fal", "openai"];

/** The example, as soon as it has what was set, or as it is after two seconds. */
async function exampleWith(page, dialect, language, wanted) {
  let code = "";
  for (const end = Date.now() + 2000; Date.now() < end;) {
    code = await chooseExample(page, dialect, language);
    if (wanted.test(code)) break;
  }
  return code;
}

export const tests = {
  async "there is one for each interface and language, up to date, without the key"(visit) {
    const page = await visit.ready();
    await addPhoto(page);
    await makeSmall(page, { steps: 2 });
    await page.locator("textarea").fill(AWKWARD_PROMPT);
    await page.locator("details.code summary").click();
    const folder = visit.options.snippets;
    if (folder) mkdirSync(folder, { recursive: true });
    for (const dialect of DIALECTS) {
      for (const [language, ending] of Object.entries(ENDINGS)) {
        const settings = /num_inference_steps["']?[:=] ?2/;
        const code = await exampleWith(page, dialect, language, settings);
        assert.ok(code.includes(new URL(visit.address).host), `${dialect} ${language}`);
        assert.ok(code.includes("lake.jpg"), `${dialect} ${language}: the picture's name`);
        assert.ok(code.includes("AFTERIMAGE_API_KEY") && !code.includes(visit.key), `${dialect} ${language}: the key`);
        assert.match(code, settings, `${dialect} ${language}: the settings, in\n${code}`);
        if (folder) writeFileSync(join(folder, `${dialect}.${language}.${ending}`), `${code}\n`);
      }
    }
    await visit.shoot("code");
    await checkAccessible(page, "code");
    await page.locator("textarea").fill("another prompt");
    assert.match(await chooseExample(page, "wavespeed", "python"), /another prompt/);
    await page.getByLabel("Show my key").check();
    assert.ok((await chooseExample(page, "wavespeed", "python")).includes(visit.key));
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.locator(".code").getByRole("button", { name: "Copy" }).click();
    assert.equal(
      await page.evaluate(() => navigator.clipboard.readText()),
      await chooseExample(page, "wavespeed", "python"),
    );
  },
};
