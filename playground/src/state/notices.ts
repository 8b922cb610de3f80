/** Short messages: shown for a moment, and read out by screen readers. */

import { signal } from "@preact/signals";

export interface Notice {
  /** Tells two notices with the same text apart. */
  number: number;
  text: string;
  isError: boolean;
}

export const notice = signal<Notice | null>(null);
/** Read out, not shown: what the page shows in another way. */
export const announcement = signal("");

const SHOWN_FOR = 5000;
let count = 0;

export function notify(text: string, isError = false): void {
  const made = { number: ++count, text, isError };
  notice.value = made;
  setTimeout(() => {
    if (notice.value === made) notice.value = null;
  }, SHOWN_FOR);
}

export function announce(text: string): void {
  announcement.value = text;
}
