/** The status page: what its charts show, its texts, and what is left when the server is away. */

import { readdirSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { ApiError, ConnectionError } from "../src/api/client";
import { useLanguage } from "../src/i18n";
import { ago, dollars, measured, waited } from "../src/status/format";
import { allDays, barsOf, daysBetween, nameOf, niceTop, seriesOf, totalsOf } from "../src/status/series";
import { STATUS_TEXTS } from "../src/status/texts";
import type { DayUsage, OperatorStatus } from "../src/status/types";
import { afterError, type Watched } from "../src/status/watch";

const day = (name: string, more: Partial<DayUsage> = {}): DayUsage => ({
  day: name,
  jobs: 0,
  pictures: 0,
  failures: 0,
  cost: 0,
  ...more,
});

const status: OperatorStatus = {
  at: 0,
  server: { engines: [], processes: [], safety: { on_flag: "withhold", required: false } },
  queues: [],
  failures: [],
  usage: { since: "2026-11-01", until: "2026-11-30", keys: [], others: [] },
};

describe("days", () => {
  test("are all there, over the ends of months and summer time", () => {
    expect(daysBetween("2026-02-27", "2026-03-02")).toEqual(["2026-02-27", "2026-02-28", "2026-03-01", "2026-03-02"]);
    expect(daysBetween("2026-11-01", "2026-11-30")).toHaveLength(30);
    expect(daysBetween("2026-03-28", "2026-03-30")).toHaveLength(3);
    expect(daysBetween("2026-11-30", "2026-11-30")).toEqual(["2026-11-30"]);
  });

  test("that make no sense are none, and never too many", () => {
    expect(daysBetween("2026-11-30", "2026-11-01")).toEqual([]);
    expect(daysBetween("", "2026-11-01")).toEqual([]);
    expect(daysBetween("1970-01-01", "2026-11-01")).toHaveLength(100);
  });

  test("have what is told of them, and nothing where nothing is", () => {
    const days = daysBetween("2026-11-01", "2026-11-03");
    const told = [
      day("2026-11-03", { pictures: 4 }),
      day("2026-11-01", { pictures: 1 }),
      day("2026-11-03", { pictures: 2 }),
    ];
    expect(seriesOf(days, told, "pictures")).toEqual([1, 0, 6]);
    expect(seriesOf(days, told, "cost")).toEqual([0, 0, 0]);
    expect(totalsOf(told)).toEqual({ jobs: 0, pictures: 7, failures: 0, cost: 0 });
    const usage = { ...status.usage, keys: [{ key: "a", name: "", days: told }], others: [day("2026-11-02")] };
    expect(allDays(usage)).toHaveLength(4);
  });
});

describe("bars", () => {
  test("end at a round number that is not below the highest", () => {
    const tops = [0, 1, 3, 7, 10, 11, 99, 101, 0.03, Number.NaN].map(niceTop);
    expect(tops).toEqual([1, 1, 5, 10, 10, 20, 100, 200, 0.05, 1]);
    for (let value = 0.001; value < 5000; value *= 1.37) expect(niceTop(value)).toBeGreaterThanOrEqual(value * 0.999);
  });

  test("are as high as their values, and can be seen where there is anything", () => {
    const [none, little, half, all] = barsOf([0, 1, 500, 1000], 10, 100, 1000);
    expect(none).toEqual({ x: 0, y: 100, height: 0 });
    expect(little).toEqual({ x: 10, y: 98.5, height: 1.5 });
    expect(half).toEqual({ x: 20, y: 50, height: 50 });
    expect(all).toEqual({ x: 30, y: 0, height: 100 });
  });
});

describe("words", () => {
  afterEach(() => useLanguage("en"));

  test("of money have the places that they need", () => {
    expect(dollars(0)).toBe("$0.00");
    expect(dollars(0.012)).toBe("$0.012");
    expect(dollars(1234.5)).toBe("$1,234.50");
    expect(measured("cost", 2)).toBe("$2.00");
    expect(measured("pictures", 12345)).toBe("12,345");
  });

  test("of time are short", async () => {
    expect(waited(3.7)).toBe("3 s");
    expect(waited(75)).toBe("1 min 15 s");
    expect(waited(7300)).toBe("2 h 1 min");
    expect(ago(1000, 4000)).toBe("3 s ago");
    expect(ago(4000, 1000)).toBe("0 s ago");
    await useLanguage("zh");
    expect(ago(1000, 4000)).toBe("3 秒前");
    expect(waited(7300)).toBe("2 小时 1 分");
  });

  test("for a key without a name are its id", () => {
    expect(nameOf({ key: "1f", name: " " })).toBe("1f");
    expect(nameOf({ key: "1f", name: "shop" })).toBe("shop");
  });
});

describe("after an error", () => {
  const ready: Watched = { kind: "ready", status, readAt: 7, trouble: null };

  test("a key is asked for, or a role", () => {
    expect(afterError(ready, new ApiError(401, "unknown key"))).toEqual({ kind: "wrongKey" });
    const refused = new ApiError(403, "only an operator's key may see this");
    expect(afterError(ready, refused)).toEqual({ kind: "notOperator", detail: refused.message });
  });

  test("figures stay and say that they are old", () => {
    expect(afterError(ready, new ConnectionError("away"))).toEqual({ ...ready, trouble: "unreachable" });
    expect(afterError(ready, new DOMException("", "TimeoutError"))).toEqual({ ...ready, trouble: "unreachable" });
    expect(afterError(ready, new ApiError(503, "full"))).toEqual({ ...ready, trouble: "refused" });
  });

  test("a page without figures says what is wrong", () => {
    const failed = afterError({ kind: "loading" }, new ApiError(503, "the database is away"));
    expect(failed).toMatchObject({ kind: "failed", problem: { detail: "the database is away" } });
    expect(afterError({ kind: "loading" }, new ConnectionError("away"))).toMatchObject({ kind: "failed" });
  });
});

type Tree = { [key: string]: unknown };

function leaves(tree: Tree, path = ""): [string, unknown][] {
  return Object.entries(tree).flatMap(([key, value]): [string, unknown][] =>
    typeof value === "object" && value !== null ? leaves(value as Tree, `${path}${key}.`) : [[`${path}${key}`, value]],
  );
}

describe("texts", () => {
  const english = leaves(STATUS_TEXTS.en);

  test("are there in every language, and Chinese is Chinese", () => {
    for (const [code, table] of Object.entries(STATUS_TEXTS)) {
      const own = leaves(table);
      expect(own.map(([path]) => path).sort(), code).toEqual(english.map(([path]) => path).sort());
      for (const [path, text] of own)
        expect(typeof text === "function" || (typeof text === "string" && text.trim() !== ""), path).toBe(true);
    }
    for (const [path, text] of leaves(STATUS_TEXTS.zh))
      if (typeof text === "string") expect(text, path).toMatch(/[\u4e00-\u9fff]/);
  });

  test("take what they are given", () => {
    for (const table of Object.values(STATUS_TEXTS)) {
      expect(table.enginesReady(3, 8)).toMatch(/3.*8|8.*3/);
      const said = table.chartOf("pictures", "1 Nov", "30 Nov", "70", "9", "3 Nov");
      for (const part of ["pictures", "1 Nov", "30 Nov", "70", "9", "3 Nov"]) expect(said).toContain(part);
      expect(table.chartOfNothing("cost", "1 Nov", "30 Nov")).toContain("cost");
    }
  });

  test("are all used", () => {
    const sources = readdirSync("src/status", { encoding: "utf8" })
      .filter((name) => !name.startsWith("texts-"))
      .map((name) => readFileSync(`src/status/${name}`, "utf8"))
      .join("\n");
    const names = Object.keys(STATUS_TEXTS.en);
    expect(names.filter((name) => !new RegExp(`\\.${name}\\b|\\{ ${name} \\}`).test(sources))).toEqual([]);
  });

  test("name every kind of failure that the server has", () => {
    const source = readFileSync("../crates/afterimage-jobs/src/failure.rs", "utf8");
    const kinds = /pub enum FailureKind \{([^}]*)\}/.exec(source)?.[1] ?? "";
    const names = [...kinds.matchAll(/^ {4}([A-Z]\w+),$/gm)].map(([, name]) =>
      (name ?? "").replace(/(?!^)[A-Z]/g, "_$&").toLowerCase(),
    );
    expect(names.length).toBeGreaterThan(5);
    expect(Object.keys(STATUS_TEXTS.en.kinds).sort()).toEqual(names.sort());
  });
});
