/** Tasks that programs sent in another dialect. The history shows them, too, with the words of that dialect. */

import type { Settings } from "../api/types";
import { isSize } from "./body";
import { sizeText } from "./sizes";

/** Names of other dialects for parameters of ours. */
const NAMES: Record<string, string> = { image_url: "image", image_urls: "images", image_size: "size", n: "num_images" };

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
