/** Theme and language. */

import { effect, signal } from "@preact/signals";
import { isLanguage, languageTag, preferredLanguage, texts, useLanguage, type LanguageCode } from "../i18n";
import { notify } from "./notices";
import { deviceStorage } from "./storage";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export const theme = signal<Theme>("auto");

/** Ends when the page can be shown in its language, which is English where the other cannot be loaded. */
export async function startPreferences(): Promise<void> {
  const keptTheme = deviceStorage.read("theme");
  theme.value = THEMES.find((name) => name === keptTheme) ?? "auto";
  effect(() => {
    document.documentElement.lang = languageTag.value;
  });
  effect(() => {
    // The style sheet follows the system where there is no attribute.
    if (theme.value === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme.value;
  });
  const keptLanguage = deviceStorage.read("language");
  await useLanguageOrSay(isLanguage(keptLanguage) ? keptLanguage : preferredLanguage(navigator.languages));
}

export async function setLanguage(code: LanguageCode): Promise<void> {
  if (await useLanguageOrSay(code)) deviceStorage.write("language", code);
}

async function useLanguageOrSay(code: LanguageCode): Promise<boolean> {
  try {
    await useLanguage(code);
    return true;
  } catch {
    notify(texts.peek().errors.partMissing, true);
    return false;
  }
}

export function setTheme(name: Theme): void {
  theme.value = name;
  deviceStorage.write("theme", name === "auto" ? null : name);
}
