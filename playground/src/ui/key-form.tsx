/** Asks for the key, and says where to find it. */

import { useId, useRef, useState } from "preact/hooks";
import { texts } from "../i18n";
import { catalogueState } from "../state/catalogue";
import { isRemembered, key } from "../state/key";
import { forgetKey, useKey } from "../state/start";
import { Dialog } from "./widgets";
import { Icon } from "./icons";

/** The whole page, for somebody without a key. */
export function KeyPage({ isWrong }: { isWrong: boolean }) {
  const { key: words } = texts.value;
  return (
    <section class="card" aria-labelledby="key-title">
      <Icon name="key" />
      <h2 id="key-title">{isWrong ? words.wrongTitle : words.title}</h2>
      <p>{words.explanation}</p>
      <KeyForm isWrong={isWrong} onDone={() => {}} />
      <div class="card-note">
        <p>{words.where}</p>
        <ul>
          <li>{words.whereStart}</li>
          <li>{words.whereVariable}</li>
          <li>{words.whereCreate}</li>
        </ul>
      </div>
    </section>
  );
}

/** The same for somebody who has one. */
export function KeyDialog({ onClose }: { onClose: () => void }) {
  const { key: words } = texts.value;
  return (
    <Dialog title={words.title2} onClose={onClose}>
      <KeyForm isWrong={false} onDone={onClose} />
      <div class="dialog-buttons">
        <button
          type="button"
          class="button button-danger"
          onClick={() => {
            forgetKey();
            onClose();
          }}
        >
          {words.forget}
        </button>
      </div>
    </Dialog>
  );
}

function KeyForm({ isWrong, onDone }: { isWrong: boolean; onDone: () => void }) {
  const { key: words } = texts.value;
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const remember = useRef<HTMLInputElement>(null);
  const [isShown, setShown] = useState(false);
  // The types of the library know no field that is now one, now the other.
  const type = (isShown ? "text" : "password") as "text";
  const isChecking = catalogueState.value.kind === "loading";
  return (
    <form
      class="key-form"
      onSubmit={(event) => {
        event.preventDefault();
        const given = input.current?.value.trim() ?? "";
        if (given === "") return input.current?.focus();
        useKey(given, remember.current?.checked === true);
        onDone();
      }}
    >
      <label class="label" for={id}>
        {words.label}
      </label>
      <div class="add-row">
        <input
          id={id}
          ref={input}
          class="input"
          type={type}
          defaultValue={key.value}
          required
          autoComplete="off"
          spellcheck={false}
          aria-invalid={isWrong || undefined}
          aria-describedby={`${id}-privacy`}
        />
        <button type="button" class="button" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
          {isShown ? words.hide : words.show}
        </button>
      </div>
      <label class="check-row">
        <input ref={remember} type="checkbox" defaultChecked={isRemembered.value} aria-describedby={`${id}-remember`} />
        {words.remember}
      </label>
      <p class="hint" id={`${id}-remember`}>
        {words.rememberExplanation}
      </p>
      <p class="hint" id={`${id}-privacy`}>
        {words.privacy}
      </p>
      <button type="submit" class="button button-main" disabled={isChecking}>
        {isChecking ? words.checking : words.use}
      </button>
    </form>
  );
}
