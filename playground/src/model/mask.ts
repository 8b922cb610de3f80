/** Masks: one byte for each pixel, 255 where something is painted. */

import type { Size } from "./sizes";

export interface Mask extends Size {
  data: Uint8Array<ArrayBuffer>;
}

/** Pixels of a mask's longer side. More would tell the model nothing: it sees a picture in far fewer. */
export const LONGEST_SIDE = 1024;

const PAINTED = 255;

/** The size of the mask of a picture of `size`: its own, unless that is larger than is needed. */
export function maskSize({ width, height }: Size): Size {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const scaled = (side: number) => Math.max(1, Math.round(side * scale));
  return { width: scaled(width), height: scaled(height) };
}

/** A mask that is painted everywhere, or nowhere. */
export function evenMask({ width, height }: Size, isPainted: boolean): Mask {
  return { width, height, data: new Uint8Array(width * height).fill(isPainted ? PAINTED : 0) };
}

export function inverted({ width, height, data }: Mask): Mask {
  return { width, height, data: data.map((value) => PAINTED - value) };
}

/** Whether nothing is painted. */
export function isBlank({ data }: Mask): boolean {
  return data.every((value) => value === 0);
}

/** How much of the picture is painted, from 0 to 1. */
export function paintedShare({ data }: Mask): number {
  let sum = 0;
  for (const value of data) sum += value;
  return data.length === 0 ? 0 : sum / (PAINTED * data.length);
}

/** A share as whole percent; something is never nothing, and not all is never all. */
export function percentOf(share: number): number {
  if (share <= 0 || share >= 1) return share <= 0 ? 0 : 100;
  return Math.min(99, Math.max(1, Math.round(100 * share)));
}

/** The mask that a picture of RGBA bytes is: bright is painted; black and transparent are not, as the server has it. */
export function maskFromRgba(size: Size, rgba: ArrayLike<number>): Mask {
  const mask = evenMask(size, false);
  for (let pixel = 0; pixel < mask.data.length; pixel++) {
    const at = 4 * pixel;
    const [red = 0, green = 0, blue = 0, alpha = 0] = [rgba[at], rgba[at + 1], rgba[at + 2], rgba[at + 3]];
    mask.data[pixel] = Math.round(((299 * red + 587 * green + 114 * blue) * alpha) / (1000 * PAINTED));
  }
  return mask;
}

/** RGBA bytes as OpenAI's interface wants a mask: what is painted is transparent. */
export function transparentWherePainted({ data }: Mask): Uint8Array<ArrayBuffer> {
  const rgba = new Uint8Array(4 * data.length).fill(255);
  data.forEach((value, pixel) => (rgba[4 * pixel + 3] = PAINTED - value));
  return rgba;
}

/** What a mask looks like over its picture: stripes of two colours, so that one of them is seen on any picture. */
const TINTS = [
  [255, 64, 48],
  [255, 255, 255],
] as const;
const TINT_ALPHA = 0.6;
/** Stripes of each colour along the longer side. They lie aslant, as hardly anything in a picture does. */
const STRIPES = 24;
/** How much of a pair of stripes has the first colour. */
const FIRST_TINT = 0.75;

/** RGBA bytes of a tint over what is painted in the rectangle of `size` at `left`, `top`. */
export function tinted(mask: Mask, left: number, top: number, size: Size): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray(4 * size.width * size.height);
  const pair = Math.max(4, Math.round(Math.max(mask.width, mask.height) / STRIPES));
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const value = mask.data[(top + y) * mask.width + left + x] ?? 0;
      const tint = (left + x + top + y) % pair < FIRST_TINT * pair ? TINTS[0] : TINTS[1];
      rgba.set([...tint, value * TINT_ALPHA], 4 * (y * size.width + x));
    }
  }
  return rgba;
}
