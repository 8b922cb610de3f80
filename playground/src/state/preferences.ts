/** Theme and language. */

import { effect, signal } from "@preact/signals";
import { isLanguage, language, preferredLanguage, texts, type LanguageCode } from "../i18n";
import { deviceStorage } from "./storage";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export const theme = signal<Theme>("auto");

export function startPreferences(): void {
  const keptLanguage = deviceStorage.read("language");
  language.value = isLanguage(keptLanguage) ? keptLanguage : preferredLanguage(navigator.languages);
  const keptTheme = deviceStorage.read("theme");
  theme.value = THEMES.find((name) => name === keptTheme) ?? "auto";
  effect(() => {
    document.documentElement.lang = texts.value.tag;
  });
  effect(() => {
    // The style sheet follows the system where there is no attribute.
    if (theme.value === "auto") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme.value;
  });
}

export function setLanguage(code: LanguageCode): void {
  language.value = code;
  deviceStorage.write("language", code);
}

export function setTheme(name: Theme): void {
  theme.value = name;
  deviceStorage.write("theme", name === "auto" ? null : name);
}
