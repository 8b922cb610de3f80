/** The page's head: what it is, where the documentation is, theme, language and key. */

import { useState } from "preact/hooks";
import { addressOf } from "../api/address";
import { texts } from "../i18n";
import { catalogueState } from "../state/catalogue";
import { Icon, Mark } from "./icons";
import { KeyDialog } from "./key-form";
import { LanguageChoice, ThemeButton } from "./preference-controls";

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
