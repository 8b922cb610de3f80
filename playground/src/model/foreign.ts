/** Tasks that programs sent in another dialect. The history shows them, too, with the words of that dialect. */

import type { Settings } from "../api/types";
import { isSize } from "./body";
import { sizeText } from "./sizes";

/** Names of other dialects for parameters of ours. */
const NAMES: Record<string, string> = {
  image_url: "image",
  image_urls: "images",
  image_mask_urls: "image_masks",
  init_image_url: "init_image",
  mask_url: "mask_image",
  mask: "mask_image",
  image_size: "size",
  n: "num_images",
};

/** `input` in the words of this page's dialect, as far as they differ. */
export function asSettings(input: Settings): Settings {
  const settings: Settings = {};
  for (const [name, value] of Object.entries(input)) {
    const own = Object.hasOwn(NAMES, name) ? NAMES[name] : name;
    settings[own ?? name] = name === "image_size" && isSize(value) ? sizeText(value) : value;
  }
  const { width, height } = input;
  if (settings["size"] === undefined && isSize({ width, height })) settings["size"] = `${width}*${height}`;
  return settings;
}

/** `input` without masks, in its own words: of those in a request the server keeps the first letters. */
export function withoutMasks(input: Settings): Settings {
  const isMask = (name: string) => ["image_masks", "mask_image"].includes(NAMES[name] ?? name);
  return Object.fromEntries(Object.entries(input).filter(([name]) => !isMask(name)));
}
