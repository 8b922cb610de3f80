/** What a task was asked for and what it took, in a few words. */

import type { Prediction } from "../api/types";
import { duration, moment, parameterLabel, texts } from "../i18n";
import { asSettings } from "../model/foreign";
import { models } from "../state/catalogue";

/** The parameters that are worth a line, in this order. */
const SHOWN = [
  "size",
  "seed",
  "strength",
  "redux_strength",
  "redux_downsample",
  "image_weights",
  "num_inference_steps",
  "guidance_scale",
  "loras",
];

export function Facts({ prediction }: { prediction: Prediction }) {
  const { settings, task: words } = texts.value;
  const { model, timings, status } = prediction;
  const input = asSettings(prediction.input);
  const prompt = input["prompt"];
  const seconds = timings.inference / 1000;
  return (
    <div class="facts">
      {typeof prompt === "string" && prompt !== "" && <p class="facts-prompt">{prompt}</p>}
      <dl>
        <Fact name={settings.model} value={modelName(model)} />
        {SHOWN.map(
          (name) =>
            input[name] !== undefined && (
              <Fact key={name} name={parameterLabel(name)} value={shownValue(input[name])} />
            ),
        )}
        {status === "completed" && <Fact name={words.took} value={duration(seconds)} />}
        <Fact name={words.created} value={moment(prediction.created_at)} />
      </dl>
    </div>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** The name of a model; its id where the server does not offer it any more. */
export function modelName(id: string): string {
  return models.value.find((model) => model.model_id === id)?.name ?? id;
}

/** A value of a setting as people read it. */
export function shownValue(value: unknown): string {
  if (Array.isArray(value)) return value.map(shownValue).join(", ");
  if (typeof value === "object" && value !== null && "path" in value) {
    return "scale" in value ? `${value.path} ${value.scale}` : String(value.path);
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value).replace("*", " × ");
}
