/** Icons: strokes on a square of 20. They say nothing to screen readers; whatever has one has a name, too. */

const PATHS = {
  alert: "M10 3 2.5 16.5h15L10 3Zm0 5.5v3.5m0 2.2v.1",
  back: "M12 4 6 10l6 6",
  brush:
    "M16.5 3.5 9 11m-1 1.2a2.4 2.4 0 0 0-3 2.3c0 1-.6 1.7-1.5 2h3.6a2.6 2.6 0 0 0 2.2-3.2L8 12.2ZM9 11l1.6 1.6 6.4-8-.5-1.1-7.5 7.5Z",
  camera: "M3 6.5h3l1.3-2h5.4l1.3 2h3v9H3v-9Zm7 7a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6Z",
  check: "m4 10.5 4 4 8-9",
  clock: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm0-11v4.2l2.8 1.8",
  close: "m5 5 10 10M15 5 5 15",
  code: "m7 6-4 4 4 4m6-8 4 4-4 4",
  compare: "M10 2.5v15M8 5H3.5v10H8m4-10h4.5v10H12",
  copy: "M7 7V3.5h9.5V13H13M3.5 7H13v9.5H3.5V7Z",
  delete: "M4 5.5h12M8 5.5V3.5h4v2m-6.5 0 .7 11h7.6l.7-11M8.5 8.5v5m3-5v5",
  dice: "M4 4h12v12H4V4Zm3.5 3.5v.1m5-.1v.1M10 10v.1m-2.5 2.4v.1m5-.1v.1",
  down: "m5 8 5 5 5-5",
  download: "M10 3v9m-4-3.5 4 4 4-4M4 16.5h12",
  eraser: "m8 16.5-4.5-4.6 8-8 5.5 5.5-7 7.1H8Zm-1.2-8L12.4 14M8 16.5h8.5",
  eye: "M2.5 10S5.3 5 10 5s7.5 5 7.5 5-2.8 5-7.5 5-7.5-5-7.5-5Zm7.5 2.2a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4Z",
  forward: "m8 4 6 6-6 6",
  grid: "M3.5 3.5h5v5h-5v-5Zm8 0h5v5h-5v-5Zm-8 8h5v5h-5v-5Zm8 0h5v5h-5v-5Z",
  image: "M3 4h14v12H3V4Zm0 9.5 4-4 3.5 3.5 2-2 4.5 4.5M13 8v.1",
  key: "M12.5 11.5a4 4 0 1 0-3.7-2.5L3 14.8V17h2.8l.7-2h2l.5-2 1.6-1.7a4 4 0 0 0 1.9.2Zm.8-4.8v.1",
  link: "M8.5 11.5a3 3 0 0 0 4.3 0l2.7-2.7a3 3 0 0 0-4.3-4.3L10 5.7m1.5 2.8a3 3 0 0 0-4.3 0l-2.7 2.7a3 3 0 0 0 4.3 4.3L10 14.3",
  lock: "M5 9h10v7.5H5V9Zm2 0V6.5a3 3 0 0 1 6 0V9",
  minus: "M4 10h12",
  moon: "M16 12.3A6.8 6.8 0 0 1 7.7 4 6.5 6.5 0 1 0 16 12.3Z",
  play: "M6 4.5v11l9-5.5-9-5.5Z",
  plus: "M10 4v12M4 10h12",
  reload: "M16 5v4h-4m3.7 0a6 6 0 1 0 .1 3",
  settings: "M3 6h7m4 0h3M3 14h3m4 0h7M12 4v4m-4 4v4",
  stop: "M5.5 5.5h9v9h-9v-9Z",
  sun: "M10 13.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4ZM10 2.5v1.7m0 11.6v1.7M2.5 10h1.7m11.6 0h1.7M4.7 4.7l1.2 1.2m8.2 8.2 1.2 1.2m0-10.6-1.2 1.2m-8.2 8.2-1.2 1.2",
  system: "M3 4h14v9.5H3V4Zm4.5 12.5h5M10 13.5v3",
  undo: "M7 4 3.5 7.5 7 11M4 7.5h8a4.5 4.5 0 0 1 0 9H7.5",
  unlock: "M5 9h10v7.5H5V9Zm2 0V6a3 3 0 0 1 5.7-1.3",
  vary: "M3 6h2.5l7 8H17m-2.5-2.5L17 14l-2.5 2.5M3 14h2.5L7.6 11.6m2.8-3.2L12.5 6H17m-2.5-2.5L17 6l-2.5 2.5",
  zoom: "M8.7 14.4a5.7 5.7 0 1 0 0-11.4 5.7 5.7 0 0 0 0 11.4Zm4.2-1.5L17 17M8.7 6.5v4.4M6.5 8.7h4.4",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark: a picture and what stays of it. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <circle class="mark-ghost" cx="20" cy="16" r="9" />
      <circle cx="12.5" cy="16" r="9" />
    </svg>
  );
}
