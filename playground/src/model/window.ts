/** Which rows of a long list are worth drawing. All rows have one height. */

export interface Window {
  /** The first row to draw. */
  start: number;
  /** One after the last. */
  end: number;
  /** Pixels of all rows. */
  height: number;
}

/** The rows of `total` that `viewport` pixels at `scrolled` show, with `spare` more on either side. */
export function windowOf(total: number, rowHeight: number, scrolled: number, viewport: number, spare: number): Window {
  const first = Math.floor(Math.max(0, scrolled) / rowHeight);
  const last = Math.ceil((Math.max(0, scrolled) + Math.max(0, viewport)) / rowHeight);
  const start = Math.min(Math.max(0, first - spare), Math.max(0, total - 1));
  const end = Math.max(Math.min(total, last + spare), Math.min(total, start));
  return { start, end, height: total * rowHeight };
}

/** The pages of `pageSize` rows that `window` touches, from 1 as the server counts. */
export function pagesOf(window: Window, pageSize: number): number[] {
  if (window.end <= window.start) return [];
  const first = Math.floor(window.start / pageSize) + 1;
  const last = Math.floor((window.end - 1) / pageSize) + 1;
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Where to scroll so that `row` is wholly visible: where it is now, if it is. */
export function scrollTo(row: number, rowHeight: number, scrolled: number, viewport: number): number {
  const top = row * rowHeight;
  if (top < scrolled) return top;
  return Math.max(scrolled, top + rowHeight - viewport);
}
