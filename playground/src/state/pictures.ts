/** The pictures to vary: files, photographs and addresses. Each file is uploaded once, when it is first needed. */

import { computed, effect, signal, type Signal } from "@preact/signals";
import { pageBase } from "../api/address";
import { upload } from "../api/client";
import { texts } from "../i18n";
import { mostPictures } from "../model/controls";
import { controls } from "./catalogue";
import { persistently } from "./connection";
import { key } from "./key";
import { announce, notify } from "./notices";
import { clearField } from "./problems";
import { readJson, tabStorage } from "./storage";

let count = 0;

export class InputPicture {
  readonly id = ++count;
  /** Where the server finds it; of a file, once it is uploaded. */
  readonly address: Signal<string | null>;
  /** What it counts beside others; null: as much as each other one. */
  readonly weight = signal<number | null>(null);
  readonly isUploading = signal(false);
  #upload: Promise<string> | null = null;

  constructor(
    readonly name: string,
    readonly file: Blob | null,
    address: string | null,
    /** What an `<img>` can show; null when the page may not show it. */
    readonly preview: string | null,
    /** Whether whoever looks at the page has the file under this name. */
    readonly isOnDisk: boolean,
  ) {
    this.address = signal(address);
  }

  /** Its address, after an upload where one is needed. Two who ask at once cause one upload. */
  async send(signal?: AbortSignal): Promise<string> {
    const { file } = this;
    const address = this.address.peek();
    if (address !== null || file === null) return address ?? "";
    this.#upload ??= this.#send(file, signal);
    try {
      return await this.#upload;
    } finally {
      this.#upload = null;
    }
  }

  async #send(file: Blob, signal?: AbortSignal): Promise<string> {
    this.isUploading.value = true;
    try {
      const { download_url } = await persistently(() => upload(file, this.name, signal), signal);
      this.address.value = download_url;
      return download_url;
    } finally {
      this.isUploading.value = false;
    }
  }

  /** Has a file uploaded again, as for another key, or when the server has lost it. */
  forgetAddress(): void {
    if (this.file) this.address.value = null;
  }

  dispose(): void {
    if (this.preview?.startsWith("blob:")) URL.revokeObjectURL(this.preview);
  }
}

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
  announce(texts.value.pictures.removed(picture.name));
}

/** Moves a picture by `distance` places. */
export function movePicture(picture: InputPicture, distance: number): void {
  const others = pictures.value.filter((other) => other !== picture);
  const place = Math.max(0, pictures.value.indexOf(picture) + distance);
  pictures.value = [...others.slice(0, place), picture, ...others.slice(place)];
}

export function fromFile(file: File): InputPicture {
  // A picture from the clipboard may have no name.
  const name = file.name || "picture.png";
  return new InputPicture(name, file, null, URL.createObjectURL(file), true);
}

export function fromBlob(blob: Blob, name: string): InputPicture {
  return new InputPicture(name, blob, null, URL.createObjectURL(blob), false);
}

/** A picture elsewhere; `preview` where the page may show it. */
export function fromAddress(address: string, preview: string | null): InputPicture {
  const path = new URL(address).pathname.split("/").filter((part) => part !== "");
  const name = decodedOr(path.at(-1) ?? new URL(address).hostname);
  return new InputPicture(name, null, address, preview, false);
}

function decodedOr(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What a tab keeps of a picture that the server has, so that a reload does not lose it. */
interface KeptPicture {
  name: string;
  address: string;
  weight: number | null;
  isOnDisk: boolean;
}

const NAME = "pictures";

/** Where this server's uploads are. */
const UPLOADS = "/media/uploads/";

/** Takes the pictures of before a reload, and keeps those that the server has from now on. */
export function startPictures(): void {
  const kept = readJson(tabStorage, NAME);
  if (Array.isArray(kept)) pictures.value = kept.filter(isKept).map(restored);
  effect(() => {
    const known = pictures.value.flatMap(({ name, address, weight, isOnDisk }): KeptPicture[] =>
      address.value === null ? [] : [{ name, address: address.value, weight: weight.value, isOnDisk }],
    );
    tabStorage.write(NAME, known.length > 0 ? JSON.stringify(known) : null);
  });
  // What one key uploaded, another one may not use.
  let lastKey = key.peek();
  effect(() => {
    if (key.value === lastKey) return;
    lastKey = key.value;
    for (const picture of pictures.peek()) picture.forgetAddress();
  });
}

function restored({ name, address, weight, isOnDisk }: KeptPicture): InputPicture {
  const uploads = address.indexOf(UPLOADS);
  const preview = uploads < 0 ? null : pageBase() + address.slice(uploads);
  const picture = new InputPicture(name, null, address, preview, isOnDisk);
  picture.weight.value = weight;
  return picture;
}

function isKept(value: unknown): value is KeptPicture {
  const kept = value as Partial<KeptPicture> | null;
  return typeof kept?.name === "string" && typeof kept.address === "string" && URL.canParse(kept.address);
}
