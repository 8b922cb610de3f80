/** The example of the form's request, and the choice of it: loaded when somebody looks. */

import { signal } from "@preact/signals";
import { pageBase } from "../../api/address";
import { texts } from "../../i18n";
import { find } from "../../model/controls";
import { snippet } from "../../snippets";
import {
  DIALECTS,
  KEY_VARIABLE,
  LANGUAGES,
  type Dialect,
  type Language,
  type SnippetInput,
  type Source,
} from "../../snippets/input";
import { controls } from "../../state/catalogue";
import { key } from "../../state/key";
import type { InputPicture } from "../../state/input-picture";
import { maskPurpose } from "../../state/masks";
import { usedPictures } from "../../state/pictures";
import { values } from "../../state/settings";
import { startsFromFirst, usedStart } from "../../state/start-picture";
import { exampleMask, MaskFiles } from "./mask-files";
import { CopyButton, Segments } from "../widgets";

const dialect = signal<Dialect>("wavespeed");
const language = signal<Language>("curl");
const isKeyShown = signal(false);

/** What has to be installed for an example. */
const PACKAGES: Record<Dialect, Record<Language, string | null>> = {
  wavespeed: { curl: null, python: "pip install wavespeed", javascript: "npm install wavespeed" },
  fal: { curl: null, python: "pip install fal-client", javascript: "npm install @fal-ai/client" },
  openai: { curl: null, python: "pip install openai", javascript: "npm install openai" },
};

/** What examples read where no picture was chosen. */
const EXAMPLE: Source = { kind: "file", name: "picture.jpg" };

export function CodeExample({ modelId }: { modelId: string }) {
  return (
    <>
      <Choices />
      <Example modelId={modelId} />
    </>
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
  const pictures = usedPictures.value.map((picture, index) => ({
    source: sourceOf(picture),
    weight: picture.weight.value,
    mask: exampleMask(picture, index, dialect.value),
  }));
  const start = usedStart.value;
  const isExample = pictures.length === 0 && needsPicture;
  const input: SnippetInput = {
    base: pageBase(),
    model: modelId,
    controls: controls.value,
    values: values.value,
    pictures: isExample ? [{ source: EXAMPLE, weight: null }] : pictures,
    start: startsFromFirst.value ? "first" : start && sourceOf(start),
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
          {!(dialect.value === "openai" && maskPurpose.value === "speaks") && <MaskFiles dialect={dialect.value} />}
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
