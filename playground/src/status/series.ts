/** What the charts show, computed without a page. */

import type { DayUsage, KeyUsage, Usage } from "./types";

/** What of a day is shown. */
export const MEASURES = ["jobs", "pictures", "failures", "cost"] as const;
export type Measure = (typeof MEASURES)[number];

export type Totals = Record<Measure, number>;

const DAY = 24 * 60 * 60 * 1000;

/** Every day from `since` to `until`, such as `2026-11-30`. At most a hundred: a server that says more is not believed. */
export function daysBetween(since: string, until: string): string[] {
  const first = Date.parse(`${since}T00:00:00Z`);
  const last = Date.parse(`${until}T00:00:00Z`);
  if (Number.isNaN(first) || Number.isNaN(last)) return [];
  const count = Math.min(100, Math.max(0, Math.round((last - first) / DAY) + 1));
  return Array.from({ length: count }, (_, index) => new Date(first + index * DAY).toISOString().slice(0, 10));
}

/** The values of `measure` on `days`; 0 where nothing is told. */
export function seriesOf(days: readonly string[], told: readonly DayUsage[], measure: Measure): number[] {
  const values = new Map<string, number>();
  for (const day of told) values.set(day.day, (values.get(day.day) ?? 0) + day[measure]);
  return days.map((day) => values.get(day) ?? 0);
}

export function totalsOf(told: readonly DayUsage[]): Totals {
  const sum = (measure: Measure) => told.reduce((total, day) => total + day[measure], 0);
  return { jobs: sum("jobs"), pictures: sum("pictures"), failures: sum("failures"), cost: sum("cost") };
}

/** All that is told, of all keys. */
export function allDays(usage: Usage): DayUsage[] {
  return [...usage.keys.flatMap((key) => key.days), ...usage.others];
}

/** What a key is called. */
export function nameOf(key: Pick<KeyUsage, "key" | "name">): string {
  return key.name.trim() === "" ? key.key : key.name;
}

/** The end of an axis that begins at 0: 1, 2 or 5 with noughts, and not below `highest`. */
export function niceTop(highest: number): number {
  if (!(highest > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  // What is left of rounding must not make the next step necessary.
  const step = [1, 2, 5, 10].find((factor) => factor * power >= highest * (1 - 1e-9)) ?? 10;
  return step * power;
}

/** A bar of a chart: its left edge, its top and its height. */
export interface Bar {
  x: number;
  y: number;
  height: number;
}

/** Bars of `values` in a box: each has `step` of its width. What is not nothing can be seen. */
export function barsOf(values: readonly number[], step: number, height: number, top: number): Bar[] {
  return values.map((value, index) => {
    const tall = value > 0 ? Math.max(1.5, (value / top) * height) : 0;
    return { x: index * step, y: height - tall, height: tall };
  });
}
