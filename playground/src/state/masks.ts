/** Masks of pictures: what the model at hand does with them, and how one comes from a file. */

import { computed } from "@preact/signals";
import { find } from "../model/controls";
import { isBlank, maskFromRgba, maskSize, paintedShare, percentOf, tinted, type Mask } from "../model/mask";
import { dataUri, png } from "../model/png";
import type { Size } from "../model/sizes";
import { controls } from "./catalogue";

/** What a mask means: which part of a picture speaks, or which part of it changes. */
export type MaskPurpose = "speaks" | "changes";

export const maskPurpose = computed<MaskPurpose | null>(() => {
  if (find(controls.value, "mask")) return "changes";
  return find(controls.value, "pictureMasks") ? "speaks" : null;
});

/** A mask that somebody painted on a picture. */
export interface PictureMask {
  mask: Mask;
  /** As a greyscale PNG in a data URI: masks are small, and go with the request. */
  address: string;
  /** A tint, to be laid over the picture. */
  overlay: string;
  /** How much of the picture is painted. */
  percent: number;
}

/** What a picture keeps of `mask`; null where nothing is painted, which is no mask. */
export async function keptMask(mask: Mask): Promise<PictureMask | null> {
  if (isBlank(mask)) return null;
  const [grey, tint] = await Promise.all([png(mask, "grey", mask.data), png(mask, "rgba", tinted(mask, 0, 0, mask))]);
  return { mask, address: dataUri(grey), overlay: dataUri(tint), percent: percentOf(paintedShare(mask)) };
}

/** The picture at `address`, once it is there. */
export async function loadedImage(address: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = address;
  await image.decode();
  return image;
}

/** Pixels of a picture as it is shown. */
export function sizeOf(image: HTMLImageElement): Size {
  return { width: image.naturalWidth, height: image.naturalHeight };
}

/** The mask that the picture at `address` is, stretched to `size`; its own size unless that is given. */
export async function readMask(address: string, size?: Size): Promise<Mask> {
  const image = await loadedImage(address);
  const { width, height } = size ?? maskSize(sizeOf(image));
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("no canvas");
  context.drawImage(image, 0, 0, width, height);
  return maskFromRgba({ width, height }, context.getImageData(0, 0, width, height).data);
}
