/** What can be done with a task. */

import { ApiError, cancelTask, deleteTasks } from "../api/client";
import { isShowable, localAddress, pageBase, serverBaseOf } from "../api/address";
import type { Prediction } from "../api/types";
import { texts } from "../i18n";
import { valuesFrom } from "../model/body";
import { asSettings } from "../model/foreign";
import { chooseModel, controls, isOffered } from "./catalogue";
import { refresh } from "./follow";
import { removeFromHistory } from "./history";
import { notify } from "./notices";
import { fromAddress, fromBlob, replacePictures, type InputPicture } from "./pictures";
import { clearProblems, problemOf } from "./problems";
import { drawSeed, seedLocked, values } from "./settings";
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
    replacePictures([fromBlob(await response.blob(), fileName(prediction, index))]);
    notify(texts.value.actions.varied);
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
  notify(texts.value.actions.settingsUsed);
}

function sentBefore(prediction: Prediction): InputPicture[] {
  const { image, images, image_weights: weights } = asSettings(prediction.input);
  const all: unknown[] = [image, ...(Array.isArray(images) ? images : [])];
  const made: InputPicture[] = [];
  all.forEach((address, index) => {
    // Pictures that were inlined are not kept by the server.
    if (typeof address !== "string" || !/^https?:/.test(address)) return;
    const local = localAddress(address, serverBaseOf(prediction.urls.get), pageBase());
    const picture = fromAddress(address, isShowable(local, pageBase()) ? local : null);
    const weight: unknown = Array.isArray(weights) ? weights[index] : null;
    picture.weight.value = typeof weight === "number" ? weight : null;
    made.push(picture);
  });
  return made;
}

/** The settings of a task as JSON that can be sent again. */
export function settingsText(prediction: Prediction): string {
  return JSON.stringify({ model: prediction.model, ...prediction.input }, null, 2);
}
