/** The languages of the page, and the one that is used. */

import { computed, signal } from "@preact/signals";
import { en, type Texts } from "./en";

/** All languages, by the code that is stored and matched against the browser's: what they call themselves, and their tags. */
export const LANGUAGES = {
  en: { name: "English", tag: "en" },
  zh: { name: "简体中文", tag: "zh-CN" },
};
export type LanguageCode = keyof typeof LANGUAGES;

/** What each language says. One that is not English is loaded when somebody wants it. */
export const TABLES: Record<LanguageCode, () => Promise<Texts>> = {
  en: () => Promise.resolve(en),
  zh: async () => (await import("./zh")).zh,
};

export function isLanguage(code: string | null): code is LanguageCode {
  return code !== null && Object.hasOwn(LANGUAGES, code);
}

/** The first of the browser's languages that there is; English otherwise. */
export function preferredLanguage(wanted: readonly string[]): LanguageCode {
  for (const tag of wanted) {
    const code = tag.toLowerCase().split("-")[0] ?? "";
    if (isLanguage(code)) return code;
  }
  return "en";
}

const used = signal<{ code: LanguageCode; table: Texts }>({ code: "en", table: en });

/** The language that is used. */
export const language = computed(() => used.value.code);

/** The texts of the language that is used. */
export const texts = computed(() => used.value.table);

/** The tag of the language that is used, as HTML and `Intl` take it. */
export const languageTag = computed(() => LANGUAGES[used.value.code].tag);

let wanted: LanguageCode = "en";

/** Uses another language once its texts are there; fails when they cannot be had. */
export async function useLanguage(code: LanguageCode): Promise<void> {
  wanted = code;
  const table = await TABLES[code]();
  // Whoever chose another one in the meantime wants that.
  if (wanted === code) used.value = { code, table };
}

/** What is shown as the name of parameter `name`. */
export function parameterLabel(name: string): string {
  return texts.value.parameters[name]?.label ?? name.replaceAll("_", " ");
}

/** An explanation, and the language it is in where that is not the page's. */
export interface Explanation {
  text: string;
  lang: string | undefined;
}

/** The explanation of a parameter; `fallback` is the server's, in English. */
export function parameterExplanation(name: string, fallback: string): Explanation {
  return explanation(texts.value.parameters[name]?.explanation, fallback);
}

/** The description of a model; `fallback` is the server's, in English. */
export function modelDescription(id: string, fallback: string): Explanation {
  return explanation(texts.value.models[id]?.description, fallback);
}

function explanation(own: string | undefined, fallback: string): Explanation {
  if (own !== undefined) return { text: own, lang: undefined };
  // What matters to programs that move here from another service does not to people.
  const text = fallback.replace(/^An addition: (.)/, (_, letter: string) => letter.toUpperCase());
  return { text, lang: language.value === "en" ? undefined : "en" };
}

/** Seconds as people say them. */
export function duration(seconds: number): string {
  const { common } = texts.value;
  if (seconds < 60) return common.seconds(seconds);
  const whole = Math.round(seconds);
  return common.minutes(Math.floor(whole / 60), whole % 60);
}

/** A moment as people say it. */
export function moment(rfc3339: string): string {
  const date = new Date(rfc3339);
  return Number.isNaN(date.getTime()) ? rfc3339 : momentFormat.value.format(date);
}

/** A moment in few letters: the time of a moment of today, the day of any other. */
export function shortMoment(rfc3339: string, now = new Date()): string {
  const date = new Date(rfc3339);
  if (Number.isNaN(date.getTime())) return rfc3339;
  const isToday = date.toDateString() === now.toDateString();
  return (isToday ? timeFormat : dayFormat).value.format(date);
}

/** Made once: each costs a browser more than all rows of the history together. */
const momentFormat = computed(() => format({ dateStyle: "medium", timeStyle: "short" }));
const timeFormat = computed(() => format({ timeStyle: "short" }));
const dayFormat = computed(() => format({ dateStyle: "medium" }));

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  // The browser's own kind of the language, as British English.
  const own = navigator.languages.find((tag) => tag.toLowerCase().startsWith(language.value));
  return new Intl.DateTimeFormat(own ?? languageTag.value, options);
}

/** Makes those of the history in a task of their own, as while it is read. */
export function prepareMoments(): void {
  setTimeout(() => [timeFormat.value, dayFormat.value]);
}
