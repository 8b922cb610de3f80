/** Language and theme, for the head of every page. */

import { language, LANGUAGES, texts, type LanguageCode } from "../i18n";
import { setLanguage, setTheme, theme, THEMES, type Theme } from "../state/preferences";
import { Icon, type IconName } from "./icons";

const THEME_ICONS: Record<Theme, IconName> = { auto: "system", light: "sun", dark: "moon" };

export function LanguageChoice() {
  return (
    <select
      class="header-select"
      aria-label={texts.value.header.language}
      value={language.value}
      onChange={({ currentTarget }) => void choose(currentTarget)}
    >
      {Object.entries(LANGUAGES).map(([code, { name, tag }]) => (
        <option key={code} value={code} lang={tag}>
          {name}
        </option>
      ))}
    </select>
  );
}

async function choose(select: HTMLSelectElement): Promise<void> {
  await setLanguage(select.value as LanguageCode);
  // One that could not be had is not shown as chosen.
  select.value = language.peek();
}

/** Each press is the next theme. */
export function ThemeButton() {
  const { header } = texts.value;
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  const label = `${header.theme}: ${header.themes[theme.value]}`;
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={() => setTheme(next)}>
      <Icon name={THEME_ICONS[theme.value]} />
    </button>
  );
}
