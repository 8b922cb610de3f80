/** The page's head: what it is, where the documentation is, theme, language and key. */

import { useState } from "preact/hooks";
import { addressOf } from "../api/address";
import { language, LANGUAGES, texts, type LanguageCode } from "../i18n";
import { catalogueState } from "../state/catalogue";
import { setLanguage, setTheme, theme, THEMES, type Theme } from "../state/preferences";
import { Icon, Mark, type IconName } from "./icons";
import { KeyDialog } from "./key-form";

const THEME_ICONS: Record<Theme, IconName> = { auto: "system", light: "sun", dark: "moon" };

export function Header() {
  const { header } = texts.value;
  return (
    <header class="header">
      <h1 class="brand">
        <Mark />
        Afterimage
      </h1>
      <p class="tagline">{header.tagline}</p>
      <nav class="header-tools" aria-label={header.documentation}>
        <a class="header-link" href={addressOf("docs")}>
          {header.documentation}
        </a>
      </nav>
      <div class="header-tools">
        <LanguageChoice />
        <ThemeButton />
        <KeyButton />
      </div>
    </header>
  );
}

function LanguageChoice() {
  return (
    <select
      class="header-select"
      aria-label={texts.value.header.language}
      value={language.value}
      onChange={(event) => setLanguage(event.currentTarget.value as LanguageCode)}
    >
      {Object.entries(LANGUAGES).map(([code, { name, tag }]) => (
        <option key={code} value={code} lang={tag}>
          {name}
        </option>
      ))}
    </select>
  );
}

/** Each press is the next theme. */
function ThemeButton() {
  const { header } = texts.value;
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  const label = `${header.theme}: ${header.themes[theme.value]}`;
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={() => setTheme(next)}>
      <Icon name={THEME_ICONS[theme.value]} />
    </button>
  );
}

function KeyButton() {
  const { header } = texts.value;
  const [isOpen, setOpen] = useState(false);
  const state = catalogueState.value.kind;
  if (state === "noKey" || state === "wrongKey") return null;
  return (
    <>
      <button
        type="button"
        class="icon-button"
        aria-label={header.key}
        title={header.key}
        onClick={() => setOpen(true)}
      >
        <Icon name="key" />
      </button>
      {isOpen && <KeyDialog onClose={() => setOpen(false)} />}
    </>
  );
}
