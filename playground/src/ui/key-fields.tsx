/** The fields that a key is typed into, and the card that asks for one. They know nothing of what is done with it. */

import { useId, useRef, useState } from "preact/hooks";
import { texts } from "../i18n";
import { isRemembered, key } from "../state/key";
import { Icon } from "./icons";

export interface KeyFieldsProps {
  /** The key that there is, is not known. */
  isWrong: boolean;
  isChecking: boolean;
  /** A key was given, to be kept for the tab or for the device. */
  onKey: (key: string, remember: boolean) => void;
}

/** The whole page, for somebody without a key. */
export function KeyCard(props: KeyFieldsProps) {
  const { key: words } = texts.value;
  return (
    <section class="card" aria-labelledby="key-title">
      <Icon name="key" />
      <h2 id="key-title">{props.isWrong ? words.wrongTitle : words.title}</h2>
      <p>{words.explanation}</p>
      <KeyFields {...props} />
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

export function KeyFields({ isWrong, isChecking, onKey }: KeyFieldsProps) {
  const { key: words } = texts.value;
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const remember = useRef<HTMLInputElement>(null);
  const [isShown, setShown] = useState(false);
  // The types of the library know no field that is now one, now the other.
  const type = (isShown ? "text" : "password") as "text";
  return (
    <form
      class="key-form"
      onSubmit={(event) => {
        event.preventDefault();
        const given = input.current?.value.trim() ?? "";
        if (given === "") return input.current?.focus();
        onKey(given, remember.current?.checked === true);
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
