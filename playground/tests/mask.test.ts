import { inflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { firstWidth, LEAST_WIDTH, mostWidth, stroke, widened } from "../src/model/brush";
import {
  evenMask,
  inverted,
  isBlank,
  maskFromRgba,
  maskSize,
  paintedShare,
  percentOf,
  tinted,
  transparentWherePainted,
} from "../src/model/mask";
import { dataUri, png } from "../src/model/png";

const SIZE = { width: 3, height: 2 };
const some = () => ({ ...SIZE, data: new Uint8Array([0, 255, 100, 0, 0, 7]) });

describe("the size of a mask", () => {
  test("is the picture's, up to 1024 pixels", () => {
    expect(maskSize({ width: 640, height: 480 })).toEqual({ width: 640, height: 480 });
    expect(maskSize({ width: 1024, height: 1 })).toEqual({ width: 1024, height: 1 });
    expect(maskSize({ width: 4000, height: 3000 })).toEqual({ width: 1024, height: 768 });
    expect(maskSize({ width: 300, height: 6000 })).toEqual({ width: 51, height: 1024 });
    expect(maskSize({ width: 9000, height: 1 })).toEqual({ width: 1024, height: 1 });
  });
});

describe("all of a mask", () => {
  test("is filled, emptied, inverted", () => {
    expect([...evenMask(SIZE, true).data]).toEqual([255, 255, 255, 255, 255, 255]);
    expect(isBlank(evenMask(SIZE, false))).toBe(true);
    expect(isBlank(some())).toBe(false);
    expect([...inverted(some()).data]).toEqual([255, 0, 155, 255, 255, 248]);
    expect(inverted(inverted(some()))).toEqual(some());
  });

  test("is measured; something is never nothing, and not all is never all", () => {
    expect(paintedShare(evenMask(SIZE, true))).toBe(1);
    expect(paintedShare({ ...SIZE, data: new Uint8Array([255, 255, 255, 0, 0, 0]) })).toBe(0.5);
    expect([0, 0.0001, 0.324, 0.9999, 1].map(percentOf)).toEqual([0, 1, 32, 99, 100]);
  });
});

describe("a mask from a file", () => {
  test("is how bright it is; what is transparent is not painted", () => {
    const pixels = [
      255, 255, 255, 255, 0, 0, 0, 255, 255, 255, 255, 0, 255, 255, 255, 128, 255, 0, 0, 255, 0, 255, 0, 255,
    ];
    expect([...maskFromRgba(SIZE, pixels).data]).toEqual([255, 0, 0, 128, 76, 150]);
  });
});

describe("a mask as RGBA", () => {
  test("is transparent where it is painted, for OpenAI", () => {
    const rgba = [...transparentWherePainted(some())];
    expect(rgba.filter((_, at) => at % 4 === 3)).toEqual([255, 0, 155, 255, 255, 248]);
    expect(rgba.filter((_, at) => at % 4 !== 3).every((value) => value === 255)).toBe(true);
  });

  test("is a tint over the picture, also of a part", () => {
    const alpha = (pixels: Uint8ClampedArray) => [...pixels].filter((_, at) => at % 4 === 3);
    expect(alpha(tinted(some(), 0, 0, SIZE))).toEqual([0, 153, 60, 0, 0, 4]);
    expect(alpha(tinted(some(), 1, 0, { width: 2, height: 1 }))).toEqual([153, 60]);
  });

  test("has stripes of two colours, which go on where a part is shown anew", () => {
    const mask = evenMask({ width: 64, height: 64 }, true);
    const whole = tinted(mask, 0, 0, mask);
    const reds = new Set([...whole].filter((_, at) => at % 4 === 1));
    expect(reds).toEqual(new Set([64, 255]));
    const part = tinted(mask, 5, 9, { width: 7, height: 1 });
    const from = 4 * (9 * 64 + 5);
    expect([...part]).toEqual([...whole.slice(from, from + part.length)]);
  });
});

/** Rows of a PNG by a decoder of the test's own: filters 0 and 2 only. */
function decoded(bytes: Uint8Array, channels: number): { header: number[]; pixels: number[] } {
  const view = new DataView(bytes.buffer);
  expect([...bytes.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
  const packed: number[] = [];
  let header: number[] = [];
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const data = bytes.subarray(at + 8, at + 8 + length);
    if (name === "IHDR") header = [view.getUint32(at + 8), view.getUint32(at + 12), ...data.subarray(8)];
    if (name === "IDAT") packed.push(...data);
    // Known of the empty chunk at the end.
    if (name === "IEND") expect(view.getUint32(at + 8)).toBe(0xae426082);
    at += length + 12;
  }
  const rows = inflateSync(new Uint8Array(packed));
  const stride = channels * (header[0] ?? 0);
  const pixels: number[] = [];
  for (let y = 0; y < (header[1] ?? 0); y++) {
    expect([0, 2]).toContain(rows[y * (stride + 1)]);
    const isUp = rows[y * (stride + 1)] === 2 && y > 0;
    for (let x = 0; x < stride; x++) {
      const above = isUp ? (pixels[(y - 1) * stride + x] ?? 0) : 0;
      pixels.push(((rows[y * (stride + 1) + 1 + x] ?? 0) + above) & 255);
    }
  }
  return { header, pixels };
}

describe("a PNG", () => {
  test("has one channel of grey, to the bit", async () => {
    const { header, pixels } = decoded(await png(SIZE, "grey", some().data), 1);
    expect(header).toEqual([3, 2, 8, 0, 0, 0, 0]);
    expect(pixels).toEqual([...some().data]);
  });

  test("has alpha, to the bit", async () => {
    const rgba = transparentWherePainted(some());
    const { header, pixels } = decoded(await png(SIZE, "rgba", rgba), 4);
    expect(header).toEqual([3, 2, 8, 6, 0, 0, 0]);
    expect(pixels).toEqual([...rgba]);
  });

  test("is an address of its own", async () => {
    const bytes = await png(
      { width: 200, height: 200 },
      "grey",
      Uint8Array.from({ length: 40_000 }, (_, at) => at * at),
    );
    const address = dataUri(bytes);
    expect(address).toMatch(/^data:image\/png;base64,iVBOR/);
    expect([...Buffer.from(address.split(",")[1] ?? "", "base64")]).toEqual([...bytes]);
  });

  test("of a mask is small", async () => {
    const mask = evenMask({ width: 1024, height: 1024 }, false);
    stroke(mask, { x: 300, y: 300 }, { x: 700, y: 500 }, 120, false);
    expect((await png(mask, "grey", mask.data)).length).toBeLessThan(10_000);
  });
});

describe("a stroke", () => {
  const empty = () => evenMask({ width: 40, height: 30 }, false);
  const at = (mask: { width: number; data: Uint8Array }, x: number, y: number) => mask.data[y * mask.width + x];

  test("is round, and touches nothing else", () => {
    const mask = empty();
    const area = stroke(mask, { x: 20, y: 15 }, { x: 20, y: 15 }, 10, false);
    expect([at(mask, 20, 15), at(mask, 16, 15), at(mask, 23, 12)]).toEqual([255, 255, 255]);
    expect([at(mask, 15, 11), at(mask, 26, 15), at(mask, 0, 0)]).toEqual([0, 0, 0]);
    expect(paintedShare(mask) * 40 * 30).toBeCloseTo(Math.PI * 25, 0);
    expect(area).toEqual({ left: 14, top: 9, width: 12, height: 12 });
  });

  test("is a line with round ends, the same when it is drawn again", () => {
    const mask = empty();
    const draw = () => stroke(mask, { x: 10, y: 10 }, { x: 30, y: 10 }, 6, false);
    draw();
    expect([at(mask, 20, 10), at(mask, 20, 8), at(mask, 20, 14)]).toEqual([255, 255, 0]);
    const once = mask.data.slice();
    draw();
    expect(mask.data).toEqual(once);
  });

  test("ends at the edges", () => {
    const mask = empty();
    expect(stroke(mask, { x: -50, y: -50 }, { x: -40, y: -50 }, 8, false)).toMatchObject({ width: 0 });
    expect(isBlank(mask)).toBe(true);
    stroke(mask, { x: 0, y: 0 }, { x: 100, y: 100 }, 8, false);
    expect([at(mask, 0, 0), at(mask, 29, 29)]).toEqual([255, 255]);
  });

  test("erases", () => {
    const mask = evenMask({ width: 40, height: 30 }, true);
    stroke(mask, { x: 20, y: 15 }, { x: 20, y: 15 }, 10, true);
    expect([at(mask, 20, 15), at(mask, 30, 15)]).toEqual([0, 255]);
    expect((1 - paintedShare(mask)) * 40 * 30).toBeCloseTo(Math.PI * 25, 0);
  });

  test("has a width within bounds, and each key changes it", () => {
    const mask = evenMask({ width: 1024, height: 700 }, false);
    expect([firstWidth(mask), mostWidth(mask)]).toEqual([85, 512]);
    expect(widened(85, 1, mask)).toBe(106);
    expect(widened(106, -1, mask)).toBe(85);
    expect(widened(LEAST_WIDTH, -1, mask)).toBe(LEAST_WIDTH);
    expect(widened(LEAST_WIDTH, 1, mask)).toBe(LEAST_WIDTH + 1);
    expect(widened(512, 1, mask)).toBe(512);
    expect(mostWidth(evenMask({ width: 2, height: 2 }, false))).toBe(LEAST_WIDTH);
  });
});
