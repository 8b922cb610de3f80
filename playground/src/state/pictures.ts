/** The pictures to vary, in their order. */

import { computed, signal } from "@preact/signals";
import { texts } from "../i18n";
import { mostPictures } from "../model/controls";
import { controls } from "./catalogue";
import type { InputPicture } from "./input-picture";
import { announce, notify } from "./notices";
import { clearField } from "./problems";

export const pictures = signal<readonly InputPicture[]>([]);

/** How many the chosen model takes. */
export const most = computed(() => mostPictures(controls.value));

/** Those that the chosen model uses. */
export const usedPictures = computed(() => pictures.value.slice(0, most.value));

/** Adds pictures; where the model takes one, the last of them takes its place. */
export function addPictures(added: readonly InputPicture[]): void {
  const limit = Math.max(1, most.value);
  const { pictures: words } = texts.value;
  if (limit === 1) {
    replacePictures(added.slice(-1));
  } else {
    const all = [...pictures.value, ...added];
    for (const picture of all.slice(limit)) picture.dispose();
    if (all.length > limit) notify(words.full(limit), true);
    pictures.value = all.slice(0, limit);
  }
  clearField("image");
  if (added.length > 0) announce(words.added(added.map((picture) => picture.name).join(", ")));
}

export function replacePictures(others: readonly InputPicture[]): void {
  for (const picture of pictures.value) if (!others.includes(picture)) picture.dispose();
  pictures.value = others;
  clearField("image");
}

export function removePicture(picture: InputPicture): void {
  pictures.value = pictures.value.filter((other) => other !== picture);
  picture.dispose();
  clearField("image");
  announce(texts.value.pictures.removed(picture.name));
}

/** Moves a picture by `distance` places. */
export function movePicture(picture: InputPicture, distance: number): void {
  const others = pictures.value.filter((other) => other !== picture);
  const place = Math.max(0, pictures.value.indexOf(picture) + distance);
  pictures.value = [...others.slice(0, place), picture, ...others.slice(place)];
}
