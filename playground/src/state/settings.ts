/** What the form holds. It outlives a reload of the tab; pictures do not. */

import { effect, signal, untracked } from "@preact/signals";
import { drawnSeed, fitted, type Value, type Values } from "../model/body";
import { find } from "../model/controls";
import { controls } from "./catalogue";
import { clearField } from "./problems";
import { readJson, tabStorage } from "./storage";

interface Kept {
  values: Values;
  seedLocked: boolean;
}

const NAME = "settings";

const kept = readKept();

export const values = signal<Values>(kept.values);
/** Whether the seed stays from run to run. */
export const seedLocked = signal(kept.seedLocked);

function readKept(): Kept {
  const read = readJson(tabStorage, NAME) as Partial<Kept> | null;
  const isThere = typeof read === "object" && read !== null && typeof read.values === "object" && read.values !== null;
  return isThere
    ? { values: read.values ?? {}, seedLocked: read.seedLocked === true }
    : { values: {}, seedLocked: false };
}

effect(() => {
  tabStorage.write(NAME, JSON.stringify({ values: values.value, seedLocked: seedLocked.value }));
});

// Another model may have narrower ranges. Numbers that somebody types are not touched: the server says what is wrong.
effect(() => {
  const chosen = controls.value;
  untracked(() => {
    const fit = fitted(chosen, values.value);
    if (JSON.stringify(fit) !== JSON.stringify(values.value)) values.value = fit;
    if (fit["seed"] === undefined) drawSeed();
  });
});

/** Sets a parameter; undefined means its default. */
export function setValue(name: string, value: Value | undefined): void {
  const { [name]: _, ...others } = values.value;
  values.value = value === undefined ? others : { ...others, [name]: value };
  clearField(name);
}

/** Draws another seed, which the form shows, so that the picture can be made again. */
export function drawSeed(): void {
  const control = find(controls.value, "seed");
  if (control) setValue("seed", drawnSeed(control));
}

/** All defaults, apart from the prompt, which is a text that somebody wrote. */
export function resetValues(): void {
  const prompt = values.value["prompt"];
  values.value = prompt === undefined ? {} : { prompt };
  seedLocked.value = false;
  drawSeed();
}
