/** Strokes of a round brush. */

import type { Mask } from "./mask";

export interface Point {
  x: number;
  y: number;
}

/** Pixels that a stroke may have changed. */
export interface Area {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Narrowest brush, in pixels of the mask. */
export const LEAST_WIDTH = 4;

/** The widest brush for `mask`. */
export function mostWidth(mask: Mask): number {
  return Math.max(LEAST_WIDTH, Math.round(Math.max(mask.width, mask.height) / 2));
}

/** What one begins with: wide enough for things, narrow enough for their edges. */
export function firstWidth(mask: Mask): number {
  return Math.max(LEAST_WIDTH, Math.round(Math.max(mask.width, mask.height) / 12));
}

/** The next wider brush, or with `direction` -1 the next narrower one. */
export function widened(width: number, direction: 1 | -1, mask: Mask): number {
  const next = direction === 1 ? Math.max(width + 1, Math.round(width * 1.25)) : Math.round(width / 1.25);
  return Math.min(mostWidth(mask), Math.max(LEAST_WIDTH, next));
}

/**
 * Paints a line from `from` to `to` into `mask`, `width` pixels wide with round ends, or erases one. Edges are soft by a
 * pixel, and stay so when a line is drawn again: the mask has the larger of both values.
 */
export function stroke(mask: Mask, from: Point, to: Point, width: number, isErasing: boolean): Area {
  const radius = width / 2;
  const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - radius - 1));
  const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - radius - 1));
  const right = Math.min(mask.width, Math.ceil(Math.max(from.x, to.x) + radius + 1));
  const bottom = Math.min(mask.height, Math.ceil(Math.max(from.y, to.y) + radius + 1));
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const covered = radius + 0.5 - distance(x + 0.5, y + 0.5, from, to);
      if (covered <= 0) continue;
      const value = Math.round(255 * Math.min(1, covered));
      const at = y * mask.width + x;
      const before = mask.data[at] ?? 0;
      mask.data[at] = isErasing ? Math.min(before, 255 - value) : Math.max(before, value);
    }
  }
  return { left, top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
}

/** From a point to the nearest one of a line. */
function distance(x: number, y: number, from: Point, to: Point): number {
  const along = { x: to.x - from.x, y: to.y - from.y };
  const length = along.x ** 2 + along.y ** 2;
  const share = length === 0 ? 0 : ((x - from.x) * along.x + (y - from.y) * along.y) / length;
  const nearest = Math.min(1, Math.max(0, share));
  return Math.hypot(x - from.x - nearest * along.x, y - from.y - nearest * along.y);
}
