/** How parameters are grouped in the form. */

import { isAdvanced, isWithPictures, type Control } from "./controls";
import { isOfMask, isOfStart } from "./relevance";

/** The groups of the section with controls, in their order; each has a text. */
export const CONTROL_GROUPS = ["pictureAndPrompt", "mask", "start", "near"] as const;
export type ControlGroup = (typeof CONTROL_GROUPS)[number];

const OF_BALANCE = ["balance", "redux_strength", "redux_downsample", "redux_strength_spans"];
const OF_SEED = ["variation_strength", "variation_seed"];

/** Where `control` is shown. */
export type Place = "everyday" | "advanced" | "withPictures" | ControlGroup;

export function placeOf(control: Control, controls: readonly Control[]): Place {
  if (isWithPictures(control)) return "withPictures";
  // Servers without levels have the two numbers where they always were.
  const hasLevels = controls.some(({ name }) => name === "balance");
  if (hasLevels && OF_BALANCE.includes(control.name)) return "pictureAndPrompt";
  if (isOfMask(control)) return "mask";
  if (control.kind === "start" || isOfStart(control, controls)) return "start";
  if (OF_SEED.includes(control.name)) return "near";
  return isAdvanced(control) ? "advanced" : "everyday";
}

/** The controls of `controls` at `place`; in groups of a fixed order by that. */
export function controlsAt(place: Place, controls: readonly Control[]): Control[] {
  const order = [...OF_BALANCE, "init_image", "strength", ...OF_SEED];
  const there = controls.filter((control) => placeOf(control, controls) === place);
  if (place === "everyday" || place === "advanced") return there;
  return there.sort((one, other) => order.indexOf(one.name) - order.indexOf(other.name));
}
