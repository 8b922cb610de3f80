/** Which parameters have an effect at the moment. Those that have none are neither shown nor sent. */

import type { Values } from "./body";
import type { Control } from "./controls";

/** What comes along with the values. */
export interface Company {
  hasMask: boolean;
  hasStart: boolean;
}

/** The word for numbers of one's own, in place of a level of picture against prompt. */
const OWN_NUMBERS = "custom";

/** What the levels of picture against prompt stand for, as `afterimage-core` has it in `balance.rs`. */
export const LEVELS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  picture: { redux_strength: 1, redux_downsample: 1 },
  "more-picture": { redux_strength: 0.9, redux_downsample: 2 },
  even: { redux_strength: 0.7, redux_downsample: 3 },
  "more-prompt": { redux_strength: 0.5, redux_downsample: 4 },
  prompt: { redux_strength: 0.25, redux_downsample: 5 },
};

const BALANCED = new Set(["redux_strength", "redux_downsample"]);
/** What says how a mask is used. */
const OF_MASK = new Set(["mask_blur", "mask_crop", "keep_outside"]);

/** Whether `control` is one of the numbers that a level of picture against prompt stands for. */
export function isBalanced(control: Pick<Control, "name">): boolean {
  return BALANCED.has(control.name);
}

/** Whether `values` have a level of picture against prompt, instead of numbers of one's own. */
export function hasLevel(values: Values): boolean {
  const level = values["balance"];
  return level !== undefined && level !== OWN_NUMBERS;
}

/** The number that the level in `values` gives `control`; undefined where none does. */
export function levelNumber(control: Pick<Control, "name">, values: Values): number | undefined {
  return hasLevel(values) ? LEVELS[String(values["balance"])]?.[control.name] : undefined;
}

/** Whether `control` is there for masks only. */
export function isOfMask(control: Pick<Control, "name">): boolean {
  return OF_MASK.has(control.name);
}

/** Whether `control` says how far to move away from the picture that is started from. */
export function isOfStart(control: Pick<Control, "name">, controls: readonly Control[]): boolean {
  return control.name === "strength" && controls.some((other) => other.kind === "start");
}

/** How far `values` turn the noise towards a second seed. */
export function nearness(values: Values): number {
  const strength = values["variation_strength"];
  return typeof strength === "number" ? strength : 0;
}

/** Whether `control` of the model with `controls` changes anything beside `values` and what comes along. */
export function isRelevant(
  control: Control,
  controls: readonly Control[],
  values: Values,
  { hasMask, hasStart }: Company,
): boolean {
  const offersLevels = controls.some((other) => other.name === "balance");
  if (isBalanced(control) && offersLevels) return !hasLevel(values);
  if (isOfMask(control)) return hasMask;
  if (isOfStart(control, controls)) return hasStart;
  return control.kind !== "nearSeed" || nearness(values) > 0;
}
