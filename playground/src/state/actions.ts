/** What can be done with a task. */

import { ApiError, cancelTask, deleteTasks } from "../api/client";
import { isShowable, localAddress, pageBase, serverBaseOf } from "../api/address";
import type { Prediction } from "../api/types";
import { texts } from "../i18n";
import { valuesFrom } from "../model/body";
import { asSettings, withoutMasks } from "../model/foreign";
import { chooseModel, controls, isOffered } from "./catalogue";
import { refresh } from "./follow";
import { removeFromHistory } from "./history";
import { notify } from "./notices";
import { fromAddress, fromBlob, type InputPicture } from "./input-picture";
import { maskPurpose } from "./masks";
import { replacePictures, usedPictures } from "./pictures";
import { clearProblems, problemOf } from "./problems";
import { drawSeed, seedLocked, values } from "./settings";
import { startFrom, startFromFirst, startFromNothing } from "./start-picture";
import { outputsOf, type Task } from "./tasks";

export async function cancel(task: Task): Promise<void> {
  task.isCancelling.value = true;
  try {
    await cancelTask(task.id);
  } catch (error) {
    tell(error);
  }
  await refresh(task);
  task.isCancelling.value = false;
}

/** Deletes a task with its pictures; false if it is still there. */
export async function remove(task: Task): Promise<boolean> {
  try {
    await deleteTasks([task.id]);
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) {
      tell(error);
      return false;
    }
  }
  removeFromHistory(task);
  notify(texts.value.actions.deleted);
  return true;
}

function tell(error: unknown): void {
  const { text, detail } = problemOf(error);
  notify(detail ? `${text} ${detail}` : text, true);
}

/** A name for the file of result `index`. */
export function fileName(prediction: Prediction, index: number): string {
  const ending = prediction.input["output_format"] === "png" ? "png" : "jpeg";
  return `${prediction.id.slice(0, 8)}-${index + 1}.${ending}`;
}

/** Makes result `index` of a task the form's picture. */
export async function vary(task: Task, index: number): Promise<void> {
  const prediction = task.prediction.value;
  const address = outputsOf(prediction)[index];
  if (address === undefined) return;
  try {
    const response = await fetch(address);
    if (!response.ok) throw new ApiError(response.status, "");
    const result = fromBlob(await response.blob(), fileName(prediction, index));
    const { actions } = texts.value;
    const hadMask = maskPurpose.value !== null && usedPictures.value.some((picture) => picture.mask.value !== null);
    replacePictures([result]);
    notify(hadMask ? `${actions.varied} ${actions.maskGone}` : actions.varied);
  } catch (error) {
    tell(error);
  }
}

/** Fills the form with what a task was sent. */
export function takeSettings(prediction: Prediction): void {
  clearProblems();
  if (isOffered(prediction.model)) chooseModel(prediction.model);
  const taken = valuesFrom(controls.value, asSettings(prediction.input));
  values.value = taken;
  seedLocked.value = taken["seed"] !== undefined;
  if (taken["seed"] === undefined) drawSeed();
  const pictures = sentBefore(prediction);
  if (pictures.length > 0) replacePictures(pictures);
  takeStart(prediction);
  const { actions } = texts.value;
  notify(hadMasks(prediction) ? `${actions.settingsUsed} ${actions.masksNotKept}` : actions.settingsUsed);
}

/** Whether a task was sent masks. The server keeps no more of them than that they were there. */
export function hadMasks(prediction: Prediction): boolean {
  const { image_masks: several, mask_image: single } = asSettings(prediction.input);
  return single !== undefined || Array.isArray(several);
}

/** Starts from what a task started from, as far as it has an address. */
function takeStart(prediction: Prediction): void {
  const { image, init_image: start } = asSettings(prediction.input);
  startFromNothing();
  if (typeof start !== "string" || !/^https?:/.test(start)) return;
  if (start === image) startFromFirst();
  else startFrom(atAddress(prediction, start));
}

function sentBefore(prediction: Prediction): InputPicture[] {
  const { image, images, image_weights: weights } = asSettings(prediction.input);
  const all: unknown[] = [image, ...(Array.isArray(images) ? images : [])];
  const made: InputPicture[] = [];
  all.forEach((address, index) => {
    // Pictures that were inlined are not kept by the server.
    if (typeof address !== "string" || !/^https?:/.test(address)) return;
    const picture = atAddress(prediction, address);
    const weight: unknown = Array.isArray(weights) ? weights[index] : null;
    picture.weight.value = typeof weight === "number" ? weight : null;
    made.push(picture);
  });
  return made;
}

function atAddress(prediction: Prediction, address: string): InputPicture {
  const local = localAddress(address, serverBaseOf(prediction.urls.get), pageBase());
  return fromAddress(address, isShowable(local, pageBase()) ? local : null);
}

/** The settings of a task as JSON that can be sent again; says so where that is without masks. */
export function copiedSettings(prediction: Prediction): string {
  if (hadMasks(prediction)) notify(texts.value.actions.masksNotKept);
  return JSON.stringify({ model: prediction.model, ...withoutMasks(prediction.input) }, null, 2);
}
