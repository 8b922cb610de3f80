/** What all fields have: a label, an explanation, and the error that is about them. */

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { parameterExplanation, parameterLabel, texts } from "../../i18n";
import type { Control } from "../../model/controls";
import { fieldErrors, messageOf } from "../../state/problems";
import { Icon } from "../icons";

/** What the control within a field is given, so that it belongs to the label. */
export interface FieldIds {
  id: string;
  "aria-describedby": string;
  "aria-invalid": boolean | undefined;
}

interface FieldProps {
  control: Pick<Control, "name" | "description">;
  /** Beside the label. */
  extra?: ComponentChildren;
  /** Instead of the explanation, where it says more at the moment. */
  hint?: ComponentChildren;
  /** A group of controls has no single one that the label could be for. */
  isGroup?: boolean;
  children: (ids: FieldIds) => ComponentChildren;
}

export function Field({ control, extra, hint, isGroup, children }: FieldProps) {
  const id = useId();
  const error = fieldErrors.value[control.name];
  const label = parameterLabel(control.name);
  const ids: FieldIds = {
    id,
    "aria-describedby": error ? `${id}-error ${id}-hint` : `${id}-hint`,
    "aria-invalid": error ? true : undefined,
  };
  return (
    <div
      class={error ? "field field-wrong" : "field"}
      data-field={control.name}
      role={isGroup ? "group" : undefined}
      aria-labelledby={isGroup ? `${id}-label` : undefined}
    >
      <div class="field-head">
        {isGroup ? (
          <span class="label" id={`${id}-label`}>
            {label}
          </span>
        ) : (
          <label class="label" for={id}>
            {label}
          </label>
        )}
        {extra}
      </div>
      {children(ids)}
      <ErrorText id={`${id}-error`} name={control.name} />
      <Hint id={`${id}-hint`} control={control}>
        {hint}
      </Hint>
    </div>
  );
}

/** The error of field `name`, if there is one. */
export function ErrorText({ id, name }: { id: string; name: string }) {
  const error = fieldErrors.value[name];
  if (!error) return null;
  return (
    <p class="error-text" id={id}>
      <Icon name="alert" />
      <span lang={"missing" in error ? undefined : "en"}>
        {messageOf(error)}
        {"missing" in error && error.detail && <ServersWords text={error.detail} />}
      </span>
    </p>
  );
}

/** What the server says, after what the page says. */
export function ServersWords({ text }: { text: string }) {
  return (
    <span class="problem-detail">
      {texts.value.errors.server} <span lang="en">{text}</span>
    </span>
  );
}

function Hint({
  id,
  control,
  children,
}: {
  id: string;
  control: Pick<Control, "name" | "description">;
  children: ComponentChildren;
}) {
  if (children)
    return (
      <p class="hint" id={id}>
        {children}
      </p>
    );
  const { text, lang } = parameterExplanation(control.name, control.description);
  // Some explanations only say the name again.
  if (text.replace(/[.。]$/, "") === parameterLabel(control.name)) return null;
  return (
    <p class="hint" id={id} lang={lang}>
      <Marked text={text} />
    </p>
  );
}

/** A text of the server, in which words of programs have backticks around. */
export function Marked({ text }: { text: string }) {
  return <>{text.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part))}</>;
}
