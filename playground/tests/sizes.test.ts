import { describe, expect, test } from "vitest";
import {
  parseSize,
  presetOf,
  presetSize,
  ratioOf,
  rounded,
  SCALES,
  SHAPES,
  sizeOfRatio,
  sizeText,
  within,
} from "../src/model/sizes";

const usual = { width: 1024, height: 1024 };
const bounds = { minimum: 256, maximum: 1536 };

describe("preset sizes", () => {
  test("lie within the bounds, in whole grains, and keep their shape", () => {
    for (const shape of SHAPES) {
      for (const scale of SCALES) {
        const { width, height } = presetSize(shape, scale, usual, bounds);
        const name = `${shape} ${scale} ${width}*${height}`;
        for (const side of [width, height]) {
          expect(side % 16, name).toBe(0);
          expect(side, name).toBeGreaterThanOrEqual(256);
          expect(side, name).toBeLessThanOrEqual(1536);
        }
        const [across, down] = ratioOf(shape);
        // Half a grain on either side.
        expect(Math.abs(width / height / (across / down) - 1), name).toBeLessThan(0.06);
      }
    }
  });

  test("are a quarter of the usual pixels, those, and the most there are", () => {
    expect(presetSize("1:1", "quick", usual, bounds)).toEqual({ width: 512, height: 512 });
    expect(presetSize("1:1", "normal", usual, bounds)).toEqual(usual);
    expect(presetSize("1:1", "large", usual, bounds)).toEqual({ width: 1536, height: 1536 });
    expect(presetSize("16:9", "large", usual, bounds)).toEqual({ width: 1536, height: 864 });
  });

  test("portrait is landscape on its side", () => {
    for (const scale of SCALES) {
      const wide = presetSize("21:9", scale, usual, bounds);
      expect(presetSize("9:21", scale, usual, bounds)).toEqual({ width: wide.height, height: wide.width });
    }
  });

  test("of a picture have its proportions, as far as the bounds and whole grains allow", () => {
    expect(sizeOfRatio(4 / 3, "normal", usual, bounds)).toEqual(presetSize("4:3", "normal", usual, bounds));
    expect(sizeOfRatio(640 / 480, "quick", usual, bounds)).toEqual({ width: 592, height: 448 });
    expect(sizeOfRatio(1.1, "large", usual, bounds)).toEqual({ width: 1536, height: 1392 });
    // A panorama and a strip end at both bounds.
    expect(sizeOfRatio(20, "normal", usual, bounds)).toEqual({ width: 1536, height: 256 });
    expect(sizeOfRatio(1 / 20, "quick", usual, bounds)).toEqual({ width: 256, height: 1536 });
  });

  test("are recognised", () => {
    const seen = new Set<string>();
    for (const scale of SCALES) {
      for (const shape of SHAPES) {
        const size = presetSize(shape, scale, usual, bounds);
        expect(presetOf(size, usual, bounds, scale)).toEqual({ shape, scale });
        expect(presetOf(size, usual, bounds)?.shape).toBe(shape);
        seen.add(sizeText(size));
      }
    }
    // The longest shapes are as large as they get at the usual number of pixels already.
    expect(seen.size).toBe(SHAPES.length * SCALES.length - 2);
    expect(presetOf({ width: 512, height: 528 }, usual, bounds)).toBeNull();
  });

  test("come back into narrow bounds", () => {
    expect(within({ width: 4000, height: 1000 }, bounds)).toEqual({ width: 1536, height: 384 });
    expect(within({ width: 100, height: 100 }, bounds)).toEqual({ width: 256, height: 256 });
    // Too long for both: the longer side ends at the upper bound, the shorter at the lower.
    expect(within({ width: 10000, height: 100 }, bounds)).toEqual({ width: 1536, height: 256 });
    expect(within({ width: 100, height: 100 }, { minimum: 250, maximum: 260 })).toEqual({ width: 256, height: 256 });
  });
});

test("sizes are read and written", () => {
  for (const text of ["512*768", "512x768", " 512 X 768 ", "512×768"])
    expect(parseSize(text)).toEqual({ width: 512, height: 768 });
  for (const text of ["512", "a*b", "512*", "-5*5", ""]) expect(parseSize(text)).toBeNull();
  expect(sizeText({ width: 512, height: 768 }, "x")).toBe("512x768");
  expect(rounded({ width: 530, height: 511 })).toEqual({ width: 528, height: 496 });
});
