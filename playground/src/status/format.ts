/** Numbers, times and sums of money as people of the page's language say them. */

import { duration, language, languageTag } from "../i18n";
import type { Measure } from "./series";
import { statusTexts } from "./texts";

function tag(): string {
  return languageTag.value;
}

export function count(value: number): string {
  return new Intl.NumberFormat(tag()).format(value);
}

/** Dollars: cents, and more places where a picture costs less than one. */
export function dollars(value: number): string {
  const places = value !== 0 && Math.abs(value) < 1 ? 4 : 2;
  const format = { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol" } as const;
  return new Intl.NumberFormat(tag(), { ...format, minimumFractionDigits: 2, maximumFractionDigits: places }).format(
    value,
  );
}

export function measured(measure: Measure, value: number): string {
  return measure === "cost" ? dollars(value) : count(value);
}

/** A day of UTC such as `2026-11-30`, whose clock is not asked. */
export function dayName(day: string): string {
  const date = new Date(`${day}T00:00:00Z`);
  return date.toLocaleDateString(own(), { day: "numeric", month: "short", timeZone: "UTC" });
}

/** The browser's own kind of the language, as British English. */
function own(): string {
  return navigator.languages.find((name) => name.toLowerCase().startsWith(language.value)) ?? tag();
}

/** How long something has waited. */
export function waited(seconds: number): string {
  const { hours } = statusTexts.value;
  if (seconds < 3600) return duration(Math.floor(seconds));
  return hours(Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60));
}

/** How long ago `time` was, as of `now`; both in milliseconds. */
export function ago(time: number, now: number): string {
  return statusTexts.value.ago(waited(Math.max(0, Math.round((now - time) / 1000))));
}
