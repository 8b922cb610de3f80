import { readdirSync, readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import {
  language,
  languageTag,
  parameterExplanation,
  parameterLabel,
  preferredLanguage,
  shortMoment,
  TABLES,
  texts,
  useLanguage,
} from "../src/i18n";
import { reduxControls, reshapeControls } from "./models";

type Tree = { [key: string]: unknown };

/** Paths of all texts of a table, with what is there. */
function leaves(tree: Tree, path = ""): [string, unknown][] {
  return Object.entries(tree).flatMap(([key, value]): [string, unknown][] =>
    typeof value === "object" && value !== null ? leaves(value as Tree, `${path}${key}.`) : [[`${path}${key}`, value]],
  );
}

/** Names that a table may have or not: what is there is the server's. */
const isOptional = (path: string) => /^(parameters|models|stages)\./.test(path);

const en = await TABLES.en();
const zh = await TABLES.zh();
const english = leaves(en).filter(([path]) => !isOptional(path));

test("every language has every text, and none is empty", () => {
  for (const [code, table] of Object.entries({ en, zh })) {
    const own = leaves(table).filter(([path]) => !isOptional(path));
    expect(own.map(([path]) => path).sort(), code).toEqual(english.map(([path]) => path).sort());
    for (const [path, text] of own) {
      expect(typeof text === "function" || (typeof text === "string" && text.trim() !== ""), `${code} ${path}`).toBe(
        true,
      );
    }
  }
});

test("texts with numbers take them", () => {
  for (const [code, table] of Object.entries({ en, zh })) {
    expect(table.task.step(3, 28), code).toMatch(/3\D+28/);
    expect(table.grid.tooMany(40, 36), code).toMatch(/40\D+36/);
    expect(table.strength.hint(0.8, 23, 28, "kept"), code).toMatch(/0\.8.*kept/);
    expect(table.task.place(0), code).not.toBe(table.task.place(1));
    expect(table.task.place(5), code).toContain("5");
  }
});

test("Chinese is Chinese", () => {
  const same = leaves(zh).filter(([path, text]) => {
    const fallback = english.find(([other]) => other === path)?.[1];
    return typeof text === "string" && text === fallback && !/[\u4e00-\u9fff]/.test(text);
  });
  // Names, keys, a file name, and values of a grid.
  expect(
    same
      .map(([path]) => path.split(".")[0] ?? "")
      .filter((part) => !["code", "keyboard", "run", "pictures", "grid"].includes(part)),
  ).toEqual([]);
});

test("every parameter has a name in every language, and an explanation where the server's is not of that language", () => {
  const names = new Set([...reduxControls, ...reshapeControls].map((control) => control.name));
  for (const name of names) {
    expect(en.parameters[name]?.label, name).toBeTruthy();
    expect(zh.parameters[name]?.label, name).toBeTruthy();
    expect(zh.parameters[name]?.explanation, name).toMatch(/[\u4e00-\u9fff]/);
  }
});

test("what nobody translated is the server's, and says its language", async () => {
  expect(parameterLabel("brand_new")).toBe("brand new");
  expect(parameterExplanation("brand_new", "An addition: `0` is off.")).toEqual({
    text: "`0` is off.",
    lang: undefined,
  });
  expect(parameterExplanation("brand_new", "An addition: how much.")).toEqual({ text: "How much.", lang: undefined });
  await useLanguage("zh");
  expect(parameterExplanation("brand_new", "New.")).toEqual({ text: "New.", lang: "en" });
  await useLanguage("en");
});

test("of two languages that are wanted, the last one is used", async () => {
  const first = useLanguage("zh");
  const second = useLanguage("en");
  await Promise.all([first, second]);
  expect(language.value).toBe("en");
  expect(texts.value).toBe(en);
  expect(languageTag.value).toBe("en");
  await useLanguage("zh");
  expect(texts.value).toBe(zh);
  expect(languageTag.value).toBe("zh-CN");
  await useLanguage("en");
});

test("the browser's languages are matched in their order", () => {
  expect(preferredLanguage(["zh-TW", "en"])).toBe("zh");
  expect(preferredLanguage(["de-DE", "en-GB", "zh"])).toBe("en");
  expect(preferredLanguage(["de"])).toBe("en");
  expect(preferredLanguage([])).toBe("en");
  expect(preferredLanguage(["constructor", "zh"])).toBe("zh");
});

test("no text is there for nothing", () => {
  const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name) && !name.startsWith("i18n/e") && !name.startsWith("i18n/z"))
    .map((name) => readFileSync(`src/${name}`, "utf8"))
    .join("\n");
  // Texts that are looked up by a word of the program's own.
  const byWord =
    /^(errors\.\d+|run\.\w+Missing|.*\.(notes|dialects|languages|problems|kept|scales|statuses|themes|tools|levels|groups|shortNames)\..*|.*\.\d+(\.\d+)?)$/;
  const unused = english
    .map(([path]) => path)
    .filter((path) => {
      const name = path.split(".").at(-1) ?? "";
      return !byWord.test(path) && !new RegExp(`\\.${name}\\b`).test(sources);
    });
  expect(unused).toEqual([]);
});

test("a moment of today is told by its time, any other by its day", () => {
  vi.stubGlobal("navigator", { languages: ["en-GB"] });
  const now = new Date(2026, 10, 30, 20, 15);
  expect(shortMoment(new Date(2026, 10, 30, 9, 5).toISOString(), now)).toMatch(/\b0?9:05/);
  const before = shortMoment(new Date(2026, 10, 29, 9, 5).toISOString(), now);
  expect(before).toMatch(/29/);
  expect(before).not.toMatch(/:/);
  expect(shortMoment("nonsense", now)).toBe("nonsense");
  vi.unstubAllGlobals();
});
