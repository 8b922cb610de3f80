/** The picture that variations start from in place of noise: the first of those to vary, or one of its own. */

import { computed, signal } from "@preact/signals";
import { find } from "../model/controls";
import { controls } from "./catalogue";
import type { InputPicture } from "./input-picture";
import { usedPictures } from "./pictures";
import { clearField } from "./problems";

export const startsFromFirst = signal(false);
export const ownStart = signal<InputPicture | null>(null);

/** The picture that the chosen model starts from. */
export const usedStart = computed<InputPicture | null>(() => {
  if (!find(controls.value, "start")) return null;
  return startsFromFirst.value ? (usedPictures.value[0] ?? null) : ownStart.value;
});

export function startFromFirst(): void {
  startFromNothing();
  startsFromFirst.value = true;
}

export function startFrom(picture: InputPicture): void {
  startFromNothing();
  ownStart.value = picture;
}

export function startFromNothing(): void {
  startsFromFirst.value = false;
  ownStart.value?.dispose();
  ownStart.value = null;
  const control = find(controls.value, "start");
  if (control) clearField(control.name);
}
