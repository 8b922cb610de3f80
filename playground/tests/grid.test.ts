import { describe, expect, test } from "vitest";
import { canVary, cellsOf, label, MOST_CELLS, parseAxis, type AxisResult } from "../src/model/grid";
import { reduxControls, reshapeControls } from "./models";

function read(name: string, text: string): AxisResult {
  const control = [...reshapeControls, ...reduxControls].find((candidate) => candidate.name === name);
  if (!control) throw new Error(`no ${name}`);
  return parseAxis(control, text);
}

const valuesOf = (name: string, text: string) => {
  const result = read(name, text);
  return "axis" in result ? result.axis.values : result;
};

describe("values of an axis", () => {
  test("are lists and ranges", () => {
    expect(valuesOf("strength", "0.3,0.6 , 0.9")).toEqual([0.3, 0.6, 0.9]);
    expect(valuesOf("seed", "1..4")).toEqual([1, 2, 3, 4]);
    expect(valuesOf("seed", "4..1")).toEqual([4, 3, 2, 1]);
    expect(valuesOf("strength", "0..1:0.25")).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(valuesOf("strength", "0.1..0.3:0.1")).toEqual([0.1, 0.2, 0.3]);
    expect(valuesOf("seed", "7, 1..2,")).toEqual([7, 1, 2]);
    expect(valuesOf("seed", "5..5")).toEqual([5]);
    expect(valuesOf("strength", ".5")).toEqual([0.5]);
  });

  test("are words, sizes and prompts", () => {
    expect(valuesOf("output_format", "png, jpeg")).toEqual(["png", "jpeg"]);
    expect(valuesOf("size", "512*512, 768x512")).toEqual([
      { width: 512, height: 512 },
      { width: 768, height: 512 },
    ]);
    expect(valuesOf("prompt", "at dusk, in rain | in winter")).toEqual(["at dusk, in rain", "in winter"]);
  });

  test("are there once", () => {
    expect(valuesOf("seed", "1, 1..2, 2")).toEqual([1, 2]);
  });

  test("that cannot be read are named", () => {
    expect(valuesOf("seed", "")).toEqual({ problem: "empty", part: "" });
    expect(valuesOf("seed", " , ")).toEqual({ problem: "empty", part: "" });
    expect(valuesOf("seed", "1, x")).toEqual({ problem: "unreadable", part: "x" });
    expect(valuesOf("seed", "1.5")).toEqual({ problem: "unreadable", part: "1.5" });
    expect(valuesOf("seed", "1..2:0")).toEqual({ problem: "unreadable", part: "1..2:0" });
    expect(valuesOf("strength", "0x1")).toEqual({ problem: "unreadable", part: "0x1" });
    expect(valuesOf("strength", "0.5, 1.1")).toEqual({ problem: "outOfRange", part: "1.1" });
    expect(valuesOf("seed", "-1")).toEqual({ problem: "outOfRange", part: "-1" });
    expect(valuesOf("output_format", "gif")).toEqual({ problem: "outOfRange", part: "gif" });
    expect(valuesOf("size", "512*99999")).toEqual({ problem: "outOfRange", part: "512*99999" });
    expect(valuesOf("size", "512")).toEqual({ problem: "unreadable", part: "512" });
  });

  test("are not more than a grid has cells, and a huge range takes no time", () => {
    expect(valuesOf("seed", `1..${MOST_CELLS}`)).toHaveLength(MOST_CELLS);
    expect(valuesOf("seed", `1..${MOST_CELLS + 1}`)).toMatchObject({ problem: "tooMany" });
    expect(valuesOf("seed", "0..2147483647")).toMatchObject({ problem: "tooMany" });
    expect(valuesOf("seed", "1..30, 100..130")).toMatchObject({ problem: "tooMany", part: "100..130" });
  });
});

describe("cells", () => {
  const columns = { name: "strength", values: [0.3, 0.6] };
  const rows = { name: "seed", values: [1, 2, 3] };

  test("are all combinations, row by row, over the form's values", () => {
    const cells = cellsOf({ prompt: "x", strength: 0.1 }, columns, rows);
    expect(cells).toHaveLength(6);
    expect(cells[1]).toEqual({ row: 0, column: 1, values: { prompt: "x", strength: 0.6, seed: 1 } });
    expect(cells[5]).toEqual({ row: 2, column: 1, values: { prompt: "x", strength: 0.6, seed: 3 } });
  });

  test("are one row without a second axis", () => {
    expect(cellsOf({}, columns, null).map(({ row, column }) => [row, column])).toEqual([
      [0, 0],
      [0, 1],
    ]);
  });

  test("have labels", () => {
    expect(label(0.3)).toBe("0.3");
    expect(label({ width: 512, height: 768 })).toBe("512×768");
    expect(label("at dusk")).toBe("at dusk");
  });
});

test("what has one value at a time can vary", () => {
  expect(reduxControls.filter(canVary).map(({ name }) => name)).toEqual([
    "prompt",
    "size",
    "seed",
    "num_inference_steps",
    "guidance_scale",
    "num_images",
    "balance",
    "redux_strength",
    "redux_downsample",
    "strength",
    "variation_seed",
    "variation_strength",
    "output_format",
  ]);
});
