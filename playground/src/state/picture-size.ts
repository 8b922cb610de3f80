/** A size of results that goes with the first picture: of its shape, with the detail that was chosen. */

import { computed, effect, signal, untracked } from "@preact/signals";
import { isSize } from "../model/body";
import { find, type SizeControl } from "../model/controls";
import { sizeOfRatio, type Scale, type Size } from "../model/sizes";
import { controls } from "./catalogue";
import { usedPictures } from "./pictures";
import { setValue, values } from "./settings";
import { readJson, tabStorage } from "./storage";

interface Followed {
  scale: Scale;
  /** What was set last. When the form has another size, somebody wanted that one. */
  size: Size;
}

const NAME = "picture-size";

const followed = signal<Followed | null>(readJson(tabStorage, NAME) as Followed | null);

/** Width by height of the first picture, once it is known. */
export const pictureRatio = computed<number | null>(() => usedPictures.value[0]?.ratio.value ?? null);

/** The detail at which the size goes with the picture; null: it does not. */
export const followedScale = computed<Scale | null>(() => {
  const size = values.value["size"];
  const last = followed.value;
  const isAsSet =
    last && isSize(size) && isSize(last.size) && size.width === last.size.width && size.height === last.size.height;
  return isAsSet && pictureRatio.value !== null ? last.scale : null;
});

export function followPicture(control: SizeControl, scale: Scale): void {
  const ratio = pictureRatio.value;
  if (ratio === null) return;
  const size = sizeOfRatio(ratio, scale, control.fallback, control);
  followed.value = { scale, size };
  tabStorage.write(NAME, JSON.stringify(followed.value));
  setValue(control.name, size);
}

export function followNoPicture(): void {
  followed.value = null;
  tabStorage.write(NAME, null);
}

/** Another first picture brings another size. */
export function startFollowing(): void {
  effect(() => {
    const control = find(controls.value, "size");
    if (pictureRatio.value === null || !control) return;
    untracked(() => {
      if (followedScale.value !== null) followPicture(control, followedScale.value);
    });
  });
}
