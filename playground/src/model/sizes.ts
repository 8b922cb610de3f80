/** Sizes of results: presets by shape and amount of detail, within the bounds of a model. */

export interface Size {
  width: number;
  height: number;
}

export interface Bounds {
  minimum: number;
  maximum: number;
}

/** The server rounds sides down to multiples of this. */
export const GRAIN = 16;

/** Shapes to choose from, wide ones with their upright twins. */
export const SHAPES = ["1:1", "4:3", "3:2", "16:9", "21:9", "3:4", "2:3", "9:16", "9:21"] as const;
export type Shape = (typeof SHAPES)[number];

/** How many pixels: a quarter of the model's usual number, that number, as many as the model takes. */
export const SCALES = ["quick", "normal", "large"] as const;
export type Scale = (typeof SCALES)[number];

/** `text` such as `1024*768` as a size, or null. */
export function parseSize(text: string): Size | null {
  const match = /^\s*(\d+)\s*[*xX×]\s*(\d+)\s*$/.exec(text);
  return match ? { width: Number(match[1]), height: Number(match[2]) } : null;
}

export function sizeText(size: Size, separator = "*"): string {
  return `${size.width}${separator}${size.height}`;
}

/** Width and height of `shape` as numbers. */
export function ratioOf(shape: Shape): [number, number] {
  const [width = 1, height = 1] = shape.split(":").map(Number);
  return [width, height];
}

/** The size of `shape` at `scale`; `usual` is the size that the model makes unless asked. */
export function presetSize(shape: Shape, scale: Scale, usual: Size, bounds: Bounds): Size {
  const [across, down] = ratioOf(shape);
  return sizeOfRatio(across / down, scale, usual, bounds);
}

/** The size at `scale` that is `ratio` times as wide as it is high. */
export function sizeOfRatio(ratio: number, scale: Scale, usual: Size, bounds: Bounds): Size {
  const pixels = usual.width * usual.height;
  // A quarter of the pixels is half of each side.
  const wanted = scale === "quick" ? pixels / 4 : scale === "normal" ? pixels : bounds.maximum ** 2;
  const height = Math.sqrt(wanted / ratio);
  return within({ width: ratio * height, height }, bounds);
}

/** `size` with its shape, enlarged or shrunk until its sides are within `bounds`, in whole grains. */
export function within(size: Size, bounds: Bounds): Size {
  const least = Math.ceil(bounds.minimum / GRAIN) * GRAIN;
  const most = Math.floor(bounds.maximum / GRAIN) * GRAIN;
  const grow = Math.max(1, least / Math.min(size.width, size.height));
  // A shape may be too long for both bounds; then the longer side ends at the upper one.
  const shrink = Math.min(1, most / (Math.max(size.width, size.height) * grow));
  const side = (pixels: number) =>
    Math.min(most, Math.max(least, Math.round((pixels * grow * shrink) / GRAIN) * GRAIN));
  return { width: side(size.width), height: side(size.height) };
}

/** The size that the server makes of `size`. */
export function rounded(size: Size): Size {
  const side = (pixels: number) => Math.floor(pixels / GRAIN) * GRAIN;
  return { width: side(size.width), height: side(size.height) };
}

/** The preset that `size` is, if it is one. At the bounds two scales may be the same; then it is `preferred`. */
export function presetOf(
  size: Size,
  usual: Size,
  bounds: Bounds,
  preferred?: Scale,
): { shape: Shape; scale: Scale } | null {
  const scales = preferred ? [preferred, ...SCALES] : SCALES;
  for (const scale of scales) {
    for (const shape of SHAPES) {
      const preset = presetSize(shape, scale, usual, bounds);
      if (preset.width === size.width && preset.height === size.height) return { shape, scale };
    }
  }
  return null;
}
