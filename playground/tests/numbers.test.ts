/** Windows of long lists, strength, time left, places of enlarged pictures, contact sheets. */

import { describe, expect, test } from "vitest";
import { StepClock } from "../src/model/eta";
import { cellCorner, sheetLayout } from "../src/model/sheet";
import { kept, stepsRun } from "../src/model/strength";
import { pagesOf, scrollTo, windowOf } from "../src/model/window";
import { fitting, held, keyed, pinched, scaled } from "../src/model/zoom";

describe("the window of a long list", () => {
  test("has the rows in view and some more", () => {
    expect(windowOf(10000, 76, 0, 760, 5)).toEqual({ start: 0, end: 15, height: 760000 });
    expect(windowOf(10000, 76, 7600, 760, 5)).toEqual({ start: 95, end: 115, height: 760000 });
    expect(windowOf(10000, 76, 760000 - 760, 760, 5)).toMatchObject({ start: 9985, end: 10000 });
  });

  test("covers all that is seen, wherever it is", () => {
    for (let scrolled = 0; scrolled < 3000; scrolled += 7) {
      const window = windowOf(100, 30, scrolled, 200, 0);
      expect(window.start * 30).toBeLessThanOrEqual(Math.min(scrolled, 2970));
      expect(window.end * 30).toBeGreaterThanOrEqual(Math.min(3000, scrolled + 200));
      expect(window.end - window.start).toBeLessThanOrEqual(9);
    }
  });

  test("is empty for an empty list, and survives odd numbers", () => {
    expect(windowOf(0, 76, 0, 500, 5)).toEqual({ start: 0, end: 0, height: 0 });
    expect(windowOf(3, 76, -50, 500, 5)).toMatchObject({ start: 0, end: 3 });
    expect(windowOf(3, 76, 99999, 500, 5)).toMatchObject({ start: 2, end: 3 });
    expect(windowOf(3, 76, 0, 0, 0)).toMatchObject({ start: 0, end: 0 });
  });

  test("touches pages", () => {
    const window = (start: number, end: number) => ({ start, end, height: 0 });
    expect(pagesOf(window(0, 15), 100)).toEqual([1]);
    expect(pagesOf(window(95, 115), 100)).toEqual([1, 2]);
    expect(pagesOf(window(100, 200), 100)).toEqual([2]);
    expect(pagesOf(window(0, 0), 100)).toEqual([]);
  });

  test("moves only as far as a row needs", () => {
    expect(scrollTo(0, 50, 120, 200)).toBe(0);
    expect(scrollTo(3, 50, 120, 200)).toBe(120);
    expect(scrollTo(10, 50, 120, 200)).toBe(350);
  });
});

test("strength runs the steps that the server runs", () => {
  // What diffusers does, and the engine's `img2img_start`.
  const run = [
    [28, 0.8, 23],
    [28, 1, 28],
    [28, 0, 0],
    [50, 0.5, 25],
    [10, 0.05, 1],
    [4, 0.2, 1],
  ] as const;
  for (const [steps, strength, expected] of run)
    expect(stepsRun(steps, strength), `${steps} ${strength}`).toBe(expected);
  expect([0, 0.2, 0.5, 0.8, 0.95, 1].map(kept)).toEqual([
    "all",
    "nearlyAll",
    "composition",
    "roughComposition",
    "colours",
    "nothing",
  ]);
});

describe("time left", () => {
  test("is what the steps so far say", () => {
    const clock = new StepClock();
    expect(clock.left(10, 0)).toBeNull();
    clock.note(0, 1000);
    expect(clock.left(10, 1000)).toBeNull();
    clock.note(1, 1500);
    clock.note(2, 2000);
    expect(clock.left(10, 2000)).toBeCloseTo(4);
    expect(clock.left(10, 2400)).toBeCloseTo(3.6);
    expect(clock.left(3, 3000)).toBe(0);
  });

  test("is not known of a task that does not go on", () => {
    const clock = new StepClock();
    clock.note(0, 0);
    clock.note(1, 500);
    expect(clock.left(10, 3000)).not.toBeNull();
    expect(clock.left(10, 5000)).toBeNull();
    clock.note(2, 6000);
    expect(clock.left(10, 6000)).not.toBeNull();
  });

  test("is not fooled by steps that are told again at once, nor by a task that begins anew", () => {
    const clock = new StepClock();
    for (let done = 0; done <= 5; done++) clock.note(done, 1000 + done * 0.1);
    expect(clock.left(10, 1001)).toBeNull();
    clock.note(6, 2000);
    expect(clock.left(10, 2000)).toBeCloseTo(4, 1);
    clock.note(0, 3000);
    expect(clock.left(10, 3000)).toBeNull();
  });

  test("forgets slow steps of long ago", () => {
    const clock = new StepClock();
    clock.note(0, 0);
    clock.note(1, 60_000);
    for (let done = 2; done < 12; done++) clock.note(done, 60_000 + done * 100);
    expect(clock.left(21, 61_100)).toBeCloseTo(1);
  });
});

describe("an enlarged picture", () => {
  const frame = { width: 800, height: 600 };
  const picture = { width: 1600, height: 600 };

  test("fits, and small ones are not blown up", () => {
    expect(fitting(picture, frame)).toBe(0.5);
    expect(fitting({ width: 100, height: 100 }, frame)).toBe(2);
    expect(fitting({ width: 0, height: 0 }, frame)).toBe(1);
  });

  test("keeps the point below the pointer", () => {
    const before = { scale: 1, x: 30, y: -20 };
    const after = scaled(before, 2, 0.5, 100, 50);
    const point = (place: typeof before) => [(100 - place.x) / place.scale, (50 - place.y) / place.scale];
    expect(point(after)).toEqual(point(before));
    expect(scaled(before, 0.1, 0.5).scale).toBe(0.5);
    expect(scaled(before, 1000, 0.5).scale).toBe(16);
  });

  test("stays between two fingers", () => {
    const before = { scale: 1, x: 0, y: 0 };
    const after = pinched(before, { distance: 100, x: 50, y: 20 }, { distance: 200, x: 80, y: 10 }, 0.5);
    expect(after.scale).toBe(2);
    expect([(80 - after.x) / 2, (10 - after.y) / 2]).toEqual([50, 20]);
    expect(pinched(before, { distance: 0, x: 0, y: 0 }, { distance: 9, x: 0, y: 0 }, 0.5)).toEqual(before);
  });

  test("does not leave the frame", () => {
    expect(held({ scale: 1, x: 9999, y: 50 }, picture, frame)).toEqual({ scale: 1, x: 400, y: 0 });
    expect(held({ scale: 2, x: -9999, y: 9999 }, picture, frame)).toEqual({ scale: 2, x: -1200, y: 300 });
  });

  test("follows keys", () => {
    const place = { scale: 1, x: 0, y: 0 };
    expect(keyed("+", place, 0.5)?.scale).toBe(1.25);
    expect(keyed("-", place, 0.5)?.scale).toBe(0.8);
    expect(keyed("0", place, 0.5)).toEqual({ scale: 0.5, x: 0, y: 0 });
    expect(keyed("1", { scale: 3, x: 0, y: 0 }, 0.5)?.scale).toBe(1);
    expect(keyed("ArrowRight", place, 0.5)?.x).toBeLessThan(0);
    expect(keyed("x", place, 0.5)).toBeNull();
  });
});

describe("a contact sheet", () => {
  test("has room for all cells and labels", () => {
    const layout = sheetLayout(3, 2, { width: 256, height: 512 }, 4);
    expect(layout.cell).toEqual({ width: 256, height: 512 });
    const last = cellCorner(layout, 1, 2);
    expect(last.x + 256).toBeLessThanOrEqual(layout.width);
    expect(last.y + 512).toBeLessThanOrEqual(layout.height);
    const first = cellCorner(layout, 0, 0);
    expect(first.y).toBeGreaterThanOrEqual(layout.letters * 3);
    expect(first.x).toBeGreaterThan(layout.letters * 3);
    expect(cellCorner(sheetLayout(3, 2, { width: 256, height: 512 }, 0), 0, 0).x).toBeLessThan(layout.letters);
  });

  test("is never larger than browsers draw", () => {
    for (const [columns, rows] of [
      [36, 1],
      [1, 36],
      [6, 6],
    ] as const) {
      const layout = sheetLayout(columns, rows, { width: 1536, height: 1536 }, 40);
      expect(Math.max(layout.width, layout.height)).toBeLessThanOrEqual(8192);
      expect(layout.cell.width).toBeGreaterThan(100);
    }
  });
});
