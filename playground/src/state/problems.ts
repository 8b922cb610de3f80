/** What went wrong, as the page tells it: beside a field, or beside the button. */

import { signal } from "@preact/signals";
import { ApiError, ConnectionError } from "../api/client";
import { parameterLabel, texts } from "../i18n";
import { fieldError, type FieldError } from "../model/fields";
import { announce } from "./notices";

/** A problem of no field. `detail` is the server's own text, in English. */
export interface Problem {
  text: string;
  detail: string;
}

export const fieldErrors = signal<Readonly<Record<string, FieldError>>>({});
export const formProblem = signal<Problem | null>(null);
/** The field that has to get the focus; the form obeys and empties it. */
export const focusWanted = signal<string | null>(null);

export function clearProblems(): void {
  fieldErrors.value = {};
  formProblem.value = null;
}

export function clearField(name: string): void {
  if (!fieldErrors.value[name]) return;
  const { [name]: _, ...others } = fieldErrors.value;
  fieldErrors.value = others;
}

/** Shows `error` beside its field and moves the focus there. */
export function showFieldError(error: FieldError): void {
  fieldErrors.value = { ...fieldErrors.value, [error.field]: error };
  focusWanted.value = error.field;
  announce(texts.value.run.fieldError(parameterLabel(error.field), wholeMessageOf(error)));
}

/** What is wrong, in the language that the page has now where the page says so. */
export function messageOf(error: FieldError): string {
  return "missing" in error ? texts.value.run[error.missing] : error.message;
}

/** `error` with what the server says of it, for reading out. */
function wholeMessageOf(error: FieldError): string {
  const detail = "missing" in error ? error.detail : undefined;
  return detail ? `${messageOf(error)} ${detail}` : messageOf(error);
}

/** Shows `error` where it belongs; `names` are the form's fields. */
export function showError(error: unknown, names: readonly string[]): void {
  if (error instanceof ApiError) {
    const field = fieldError(error.message, names);
    if (field) return showFieldError(field);
  }
  const problem = problemOf(error);
  formProblem.value = problem;
  announce(`${problem.text} ${problem.detail}`);
}

/** `error` in plain words. */
export function problemOf(error: unknown): Problem {
  const { errors } = texts.value;
  if (error instanceof ConnectionError) return { text: errors.unreachable, detail: "" };
  if (!(error instanceof ApiError)) return { text: errors.unexpected, detail: String(error) };
  const status = error.status as keyof typeof errors;
  const known = errors[status];
  const text = typeof known === "string" ? known : errors.other(error.status);
  return { text, detail: error.message };
}
