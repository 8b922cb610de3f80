/** Sending what the form holds. */

import { effect, signal, untracked } from "@preact/signals";
import { ApiError, freshId, submit } from "../api/client";
import type { Settings } from "../api/types";
import { texts } from "../i18n";
import { bodyOf, withNearSeed, type SentPicture, type Values } from "../model/body";
import { find } from "../model/controls";
import { fieldError } from "../model/fields";
import { catalogueState, controls, model } from "./catalogue";
import { persistently } from "./connection";
import { ended, follow } from "./follow";
import { addToHistory } from "./history";
import { announce } from "./notices";
import type { InputPicture } from "./input-picture";
import { usedPictures } from "./pictures";
import { clearProblems, fieldErrors, focusWanted, showError, showFieldError } from "./problems";
import { drawSeed, seedLocked, values } from "./settings";
import { usedStart } from "./start-picture";
import { taskOf, type Task } from "./tasks";
import { showTask } from "./view";

export type Sending = "uploading" | "sending";

/** What is being sent; null: nothing. */
export const sending = signal<Sending | null>(null);

let controller = new AbortController();

/** The names by which the server may refer to the form's fields. */
export function fieldNames(): string[] {
  return controls.value.map((control) => control.name);
}

/** What the form sent last. */
let lastRun: Task | null = null;

/** When the task that the form sent last failed for a field, the error is there, too. The focus stays where it is. */
export function startRuns(): void {
  effect(() => {
    if (ended.value === 0 || lastRun?.prediction.peek().status !== "failed") return;
    const error = fieldError(lastRun.prediction.peek().error, untracked(fieldNames));
    lastRun = null;
    if (error) fieldErrors.value = { ...fieldErrors.peek(), [error.field]: error };
  });
}

/** Gives up what is being sent. What the server has already accepted goes on. */
export function stopSending(): void {
  controller.abort();
}

/** Sends the form as one task and shows it. */
export async function run(): Promise<void> {
  await whileSending(async (chosen, signal) => {
    if (!seedLocked.value) drawSeed();
    const sent = await sentPictures(signal);
    const start = await sentStart(signal);
    sending.value = "sending";
    const body = bodyOf(controls.value, withNearSeed(controls.value, values.value), sent, start);
    const task = await send(chosen, body, signal);
    lastRun = task;
    addToHistory(task);
    showTask(task);
    announce(texts.value.run.started);
  });
}

/**
 * Does `work` with the chosen model, once the form is complete; shows what goes wrong. True if nothing did. What `work` itself
 * brings along, by the parameters' names in `supplied`, may be missing in the form.
 */
export async function whileSending(
  work: (model: string, signal: AbortSignal) => Promise<void>,
  supplied: readonly string[] = [],
): Promise<boolean> {
  if (sending.value !== null || catalogueState.value.kind !== "ready" || !model.value) return false;
  clearProblems();
  if (!checkComplete(supplied)) return false;
  controller = new AbortController();
  const { signal } = controller;
  sending.value = "uploading";
  try {
    await work(model.value.model_id, signal);
    return true;
  } catch (error) {
    if (!signal.aborted) showFailure(error);
    return false;
  } finally {
    sending.value = null;
  }
}

/** Sends one task. It is sent again when the connection breaks, and becomes one task all the same. */
export async function send(modelId: string, body: Settings, signal: AbortSignal): Promise<Task> {
  const id = freshId();
  const task = taskOf(await persistently(() => submit(modelId, body, id, signal), signal));
  follow(task);
  return task;
}

/** The addresses of the pictures that the model uses, after their uploads. */
export async function sentPictures(signal: AbortSignal): Promise<SentPicture<string>[]> {
  const sent: SentPicture<string>[] = [];
  for (const picture of usedPictures.value) {
    const address = await picture.send(signal);
    sent.push({ address, weight: picture.weight.value, mask: picture.mask.value?.address ?? null });
  }
  return sent;
}

/** The address of the picture to start from, after its upload. */
export async function sentStart(signal: AbortSignal): Promise<string | null> {
  return (await usedStart.value?.send(signal)) ?? null;
}

/** Whether what the model needs is there; says what is not. */
function checkComplete(supplied: readonly string[]): boolean {
  for (const control of controls.value) {
    if (!control.required || supplied.includes(control.name)) continue;
    const missing = missingOf(control.kind, control.name, values.value);
    if (missing === null) continue;
    showFieldError({ field: control.name, missing });
    return false;
  }
  return true;
}

function missingOf(kind: string, name: string, form: Values): "pictureMissing" | "promptMissing" | null {
  if (kind === "picture") return usedPictures.value.length === 0 ? "pictureMissing" : null;
  const value = form[name];
  const isText = kind === "prompt" || kind === "text";
  return isText && !(typeof value === "string" && value.trim() !== "") ? "promptMissing" : null;
}

function showFailure(error: unknown): void {
  const names = fieldNames();
  if (showUnreadable(usedPictures.value, "picture") || showUnreadable([usedStart.value], "start")) return;
  const about = error instanceof ApiError ? fieldError(error.message, names)?.field : undefined;
  // The server may have lost an upload, as with its data folder; the next attempt uploads again.
  if (about === "image" || about === "images") for (const picture of usedPictures.value) picture.forgetAddress();
  if (about === "init_image") usedStart.value?.forgetAddress();
  showError(error, names);
}

/** Says which of `pictures` the server could not read, in place of the control of `kind`; false: none of them. */
function showUnreadable(pictures: readonly (InputPicture | null)[], kind: "picture" | "start"): boolean {
  const picture = pictures.find((each) => each && each.unreadable.value !== null);
  const control = find(controls.value, kind);
  if (!picture || !control) return false;
  showFieldError({ field: control.name, missing: "unreadable", detail: picture.unreadable.value ?? "" });
  // The card says it, beside what takes the picture away.
  if (kind === "picture") focusWanted.value = picture.field;
  return true;
}
