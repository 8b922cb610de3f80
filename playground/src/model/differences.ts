/** What tells a task of a list from those beside it that were asked for the same, as the cells of a grid. */

import type { Settings } from "../api/types";
import { asSettings } from "./foreign";

export interface Asked {
  model: string;
  input: Settings;
}

/** Said elsewhere in the row, or too long for it. */
const UNTOLD = new Set(["prompt", "image", "images", "image_masks", "mask_image", "init_image"]);
/** Drawn anew for each run: told last. */
const DRAWN = ["seed", "variation_seed"];

/** Names of the parameters in which `task` differs from a neighbour with its model and prompt, most telling first. */
export function differences(task: Asked, neighbours: readonly (Asked | undefined)[]): string[] {
  const own = asSettings(task.input);
  const names = new Set<string>();
  for (const other of neighbours) {
    if (!other || other.model !== task.model) continue;
    const theirs = asSettings(other.input);
    if ((own["prompt"] ?? "") !== (theirs["prompt"] ?? "")) continue;
    for (const name of Object.keys({ ...own, ...theirs })) {
      if (!UNTOLD.has(name) && JSON.stringify(own[name]) !== JSON.stringify(theirs[name])) names.add(name);
    }
  }
  return [...[...names].filter((name) => !DRAWN.includes(name)), ...DRAWN.filter((name) => names.has(name))];
}
