/** A picture of the form: a file, a photograph or an address. A file is uploaded once, when it is first needed. */

import { signal, type Signal } from "@preact/signals";
import { ApiError, upload } from "../api/client";
import { persistently } from "./connection";
import type { PictureMask } from "./masks";

let count = 0;

/** Statuses of uploads whose content is no picture. */
const UNREADABLE = [400, 415];

export class InputPicture {
  readonly id = ++count;
  /** What its card is called among the form's fields. */
  readonly field = `picture-${this.id}`;
  /** Where the server finds it; of a file, once it is uploaded. */
  readonly address: Signal<string | null>;
  /** What it counts beside others; null: as much as each other one. */
  readonly weight = signal<number | null>(null);
  /** Which part of it somebody painted; null: none. */
  readonly mask = signal<PictureMask | null>(null);
  readonly isUploading = signal(false);
  /** Width by height, once the page shows it. */
  readonly ratio = signal<number | null>(null);
  /** Whether the browser cannot show it. Servers read more formats than browsers do. */
  readonly isBroken = signal(false);
  /** Why the server cannot read the file, in its words; null: it can, or was not asked. */
  readonly unreadable = signal<string | null>(null);
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
    this.unreadable.value = null;
    try {
      const { download_url } = await persistently(() => upload(file, this.name, signal), signal);
      this.address.value = download_url;
      return download_url;
    } catch (error) {
      // The message names the field of the upload, which is nothing to who reads it.
      if (error instanceof ApiError && UNREADABLE.includes(error.status)) {
        this.unreadable.value = error.message.replace(/^file: /, "");
      }
      throw error;
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
