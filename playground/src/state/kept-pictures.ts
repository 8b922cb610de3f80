/** What a tab keeps of pictures that the server has, so that a reload does not lose them. */

import { effect } from "@preact/signals";
import { pageBase } from "../api/address";
import { InputPicture } from "./input-picture";
import { key } from "./key";
import { keptMask, readMask } from "./masks";
import { pictures } from "./pictures";
import { ownStart, startsFromFirst } from "./start-picture";
import { readJson, tabStorage } from "./storage";

interface KeptPicture {
  name: string;
  address: string;
  weight: number | null;
  isOnDisk: boolean;
  /** The mask's data URI. */
  mask?: string;
}

const NAME = "pictures";
const START_NAME = "start";
/** In place of a picture to start from. */
const FIRST = "first";

/** Where this server's uploads are. */
const UPLOADS = "/media/uploads/";

/** Masks of more letters are not kept: a tab has little room. They are small, unless they come from a file. */
const LONGEST_MASK = 200_000;

/** Takes the pictures of before a reload, and keeps those that the server has from now on. */
export function startPictures(): void {
  const kept = readJson(tabStorage, NAME);
  if (Array.isArray(kept)) pictures.value = kept.filter(isKept).map(restored);
  const start = readJson(tabStorage, START_NAME);
  startsFromFirst.value = start === FIRST;
  if (isKept(start)) ownStart.value = restored(start);
  effect(() => {
    const known = pictures.value.map(keptOf).filter((picture) => picture !== null);
    tabStorage.write(NAME, known.length > 0 ? JSON.stringify(known) : null);
  });
  effect(() => {
    const own = ownStart.value && keptOf(ownStart.value);
    const shown = startsFromFirst.value ? FIRST : own;
    tabStorage.write(START_NAME, shown ? JSON.stringify(shown) : null);
  });
  // What one key uploaded, another one may not use.
  let lastKey = key.peek();
  effect(() => {
    if (key.value === lastKey) return;
    lastKey = key.value;
    for (const picture of pictures.peek()) picture.forgetAddress();
    ownStart.peek()?.forgetAddress();
  });
}

function keptOf({ name, address, weight, isOnDisk, mask }: InputPicture): KeptPicture | null {
  if (address.value === null) return null;
  const kept: KeptPicture = { name, address: address.value, weight: weight.value, isOnDisk };
  const painted = mask.value?.address;
  return painted !== undefined && painted.length <= LONGEST_MASK ? { ...kept, mask: painted } : kept;
}

function restored({ name, address, weight, isOnDisk, mask }: KeptPicture): InputPicture {
  const uploads = address.indexOf(UPLOADS);
  const preview = uploads < 0 ? null : pageBase() + address.slice(uploads);
  const picture = new InputPicture(name, null, address, preview, isOnDisk);
  picture.weight.value = weight;
  if (typeof mask === "string") void restoreMask(picture, mask);
  return picture;
}

async function restoreMask(picture: InputPicture, address: string): Promise<void> {
  try {
    picture.mask.value = await keptMask(await readMask(address));
  } catch {
    // Somebody else wrote into the tab's storage.
  }
}

function isKept(value: unknown): value is KeptPicture {
  const kept = value as Partial<KeptPicture> | null;
  return typeof kept?.name === "string" && typeof kept.address === "string" && URL.canParse(kept.address);
}
