/** The form's request as programs would send it. */

import { signal } from "@preact/signals";
import { pageBase } from "../api/address";
import { texts } from "../i18n";
import { find } from "../model/controls";
import { snippet } from "../snippets";
import {
  DIALECTS,
  KEY_VARIABLE,
  LANGUAGES,
  type Dialect,
  type Language,
  type SnippetInput,
  type Source,
} from "../snippets/input";
import { controls, model } from "../state/catalogue";
import { key } from "../state/key";
import { usedPictures, type InputPicture } from "../state/pictures";
import { values } from "../state/settings";
import { Icon } from "./icons";
import { CopyButton, Segments } from "./widgets";

const dialect = signal<Dialect>("wavespeed");
const language = signal<Language>("curl");
const isKeyShown = signal(false);
/** What is not seen is not written. */
const isOpen = signal(false);

/** What has to be installed for an example. */
const PACKAGES: Record<Dialect, Record<Language, string | null>> = {
  wavespeed: { curl: null, python: "pip install wavespeed", javascript: "npm install wavespeed" },
  fal: { curl: null, python: "pip install fal-client", javascript: "npm install @fal-ai/client" },
  openai: { curl: null, python: "pip install openai", javascript: "npm install openai" },
};

/** What examples read where no picture was chosen. */
const EXAMPLE: Source = { kind: "file", name: "picture.jpg" };

export function CodePanel() {
  const { code: words } = texts.value;
  const chosen = model.value;
  if (!chosen) return null;
  return (
    <details class="panel code" onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>
        <Icon name="code" />
        <h2 class="panel-title">{words.title}</h2>
        <span class="hint">{words.explanation}</span>
        <span class="code-open">
          <Icon name="down" />
        </span>
      </summary>
      {isOpen.value && <Choices />}
      {isOpen.value && <Example modelId={chosen.model_id} />}
    </details>
  );
}

function Choices() {
  const { code: words } = texts.value;
  return (
    <div class="code-choices">
      <Segments
        name="dialect"
        label={words.dialect}
        words={DIALECTS}
        chosen={dialect.value}
        text={(word) => words.dialects[word]}
        onChoose={(word) => (dialect.value = word)}
      />
      <Segments
        name="language"
        label={words.language}
        words={LANGUAGES}
        chosen={language.value}
        text={(word) => words.languages[word]}
        onChoose={(word) => (language.value = word)}
      />
    </div>
  );
}

function Example({ modelId }: { modelId: string }) {
  const { code: words, common } = texts.value;
  const needsPicture = find(controls.value, "picture")?.required === true;
  const pictures = usedPictures.value.map((picture) => ({ source: sourceOf(picture), weight: picture.weight.value }));
  const isExample = pictures.length === 0 && needsPicture;
  const input: SnippetInput = {
    base: pageBase(),
    model: modelId,
    controls: controls.value,
    values: values.value,
    pictures: isExample ? [{ source: EXAMPLE, weight: null }] : pictures,
    key: isKeyShown.value ? key.value : null,
  };
  const { code, notes } = snippet(dialect.value, language.value, input);
  const hasFiles = input.pictures.some(({ source }) => source.kind === "file");
  const needed = PACKAGES[dialect.value][language.value];
  return (
    <>
      {notes.map((note) => (
        <p key={note} class="note">
          {words.notes[note]}
        </p>
      ))}
      {code !== null && (
        <>
          <div class="code-block">
            <pre tabIndex={0} role="group" aria-label={words.title}>
              <code data-dialect={dialect.value} data-language={language.value}>
                {code}
              </code>
            </pre>
            <CopyButton text={() => code} label={common.copy} />
          </div>
          <p class="hint">
            {!isKeyShown.value && words.keyFrom(KEY_VARIABLE)}{" "}
            {isExample ? words.noPicture : hasFiles && words.fileNote}{" "}
            {needed && !notes.includes("falNeedsHttps") && (
              <>
                {words.install} <code>{needed}</code>
              </>
            )}
          </p>
          <label class="check-row">
            <input
              type="checkbox"
              checked={isKeyShown.value}
              onChange={(event) => (isKeyShown.value = event.currentTarget.checked)}
            />
            {words.showKey}
          </label>
        </>
      )}
    </>
  );
}

/** A file that only the browser has, such as a photograph, is named by its address once it has one. */
function sourceOf(picture: InputPicture): Source {
  const address = picture.address.value;
  if (picture.isOnDisk || address === null) return { kind: "file", name: picture.name };
  return { kind: "url", url: address };
}
