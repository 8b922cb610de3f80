/** From the form's values to a request, and from a finished task's settings back to the form. */

import type { Settings } from "../api/types";
import {
  find,
  mostPictures,
  type Control,
  type NearSeedControl,
  type NumberControl,
  type OptionalNumberControl,
  type SeedControl,
} from "./controls";
import { isRelevant } from "./relevance";
import { parseSize, sizeText, type Size } from "./sizes";

/** One LoRA that was chosen. */
export interface LoraChoice {
  path: string;
  scale: number;
}

export type Value = string | number | boolean | Size | LoraChoice[];

/** What the form holds, by parameter. What is not there has the model's default. */
export type Values = Readonly<Record<string, Value>>;

/** What a picture is sent as, what it counts, and its mask. */
export interface SentPicture<Address> {
  address: Address;
  weight: number | null;
  mask?: Address | null;
}

/** Stands for no mask in a list of them. */
const NO_MASK = "none";

/** The value of `control` in `values`, or its default. */
export function valueOf(control: Control, values: Values): Value | undefined {
  const value = values[control.name];
  if (value !== undefined) return value;
  return "fallback" in control && control.kind !== "loras" ? control.fallback : undefined;
}

/** The number that `control` has in `values`. */
export function numberOf(
  control: NumberControl | OptionalNumberControl | SeedControl | NearSeedControl,
  values: Values,
): number | undefined {
  const value = valueOf(control, values);
  return typeof value === "number" ? value : undefined;
}

/**
 * The body of a request. Defaults are left out, apart from the size and the seed, by which somebody else makes the same
 * picture, and what has no effect. `Address` is a text for a request, and a variable's name for an example; `start` is
 * the picture to start from.
 */
export function bodyOf<Address>(
  controls: readonly Control[],
  values: Values,
  pictures: readonly SentPicture<Address>[],
  start: Address | null = null,
): Record<string, unknown> {
  const body: Record<string, unknown> = { ...pictureFields(controls, pictures), ...maskFields(controls, pictures) };
  const startControl = find(controls, "start");
  if (startControl && start !== null) body[startControl.name] = start;
  const mask = find(controls, "mask");
  const company = { hasMask: mask !== undefined && mask.name in body, hasStart: start !== null };
  for (const control of controls) {
    if (!isRelevant(control, controls, values, company)) continue;
    const sent = sentValue(control, values);
    if (sent !== undefined) body[control.name] = sent;
  }
  return body;
}

function pictureFields<Address>(controls: readonly Control[], pictures: readonly SentPicture<Address>[]) {
  const fields: Record<string, unknown> = {};
  const [first, ...others] = pictures;
  if (!first || !find(controls, "picture")) return fields;
  fields["image"] = first.address;
  const further = find(controls, "pictures");
  const used = further ? others.slice(0, further.most) : [];
  if (used.length > 0) fields["images"] = used.map((picture) => picture.address);
  const all = [first, ...used];
  if (find(controls, "weights") && all.some((picture) => picture.weight !== null)) {
    fields["image_weights"] = all.map((picture) => picture.weight ?? equalWeight(all.length));
  }
  return fields;
}

/** The masks of the pictures that are used: one for each, or the only picture's. */
function maskFields<Address>(controls: readonly Control[], pictures: readonly SentPicture<Address>[]) {
  const fields: Record<string, unknown> = {};
  const single = find(controls, "mask");
  const first = pictures[0]?.mask ?? null;
  if (single && first !== null) fields[single.name] = first;
  const several = find(controls, "pictureMasks");
  const masks = pictures.slice(0, mostPictures(controls)).map((picture) => picture.mask ?? null);
  const last = masks.findLastIndex((mask) => mask !== null);
  if (several && last >= 0) fields[several.name] = masks.slice(0, last + 1).map((mask) => mask ?? NO_MASK);
  return fields;
}

/** What each of `count` pictures counts unless told otherwise, to two digits. */
export function equalWeight(count: number): number {
  return Math.round(100 / Math.max(1, count)) / 100;
}

/** What `control` sends; undefined when that is nothing. */
function sentValue(control: Control, values: Values): unknown {
  const value = values[control.name];
  switch (control.kind) {
    case "picture":
    case "pictures":
    case "weights":
    case "pictureMasks":
    case "mask":
    case "start":
      return undefined;
    case "size": {
      const size = isSize(value) ? value : control.fallback;
      return sizeText(size, control.separator);
    }
    case "prompt":
    case "text":
      return typeof value === "string" && value.trim() !== "" ? value : undefined;
    case "loras":
      return Array.isArray(value) && value.length > 0 ? value : undefined;
    case "seed":
    case "nearSeed":
    case "optionalNumber":
      return typeof value === "number" ? value : undefined;
    default:
      return value === undefined || value === control.fallback ? undefined : value;
  }
}

/** The form's values that make the request `settings`; pictures are not among them. */
export function valuesFrom(controls: readonly Control[], settings: Settings): Values {
  const values: Record<string, Value> = {};
  for (const control of controls) {
    const value = settings[control.name];
    const taken = takenValue(control, value);
    if (taken !== undefined) values[control.name] = taken;
  }
  return values;
}

function takenValue(control: Control, value: unknown): Value | undefined {
  switch (control.kind) {
    case "size":
      return typeof value === "string" ? (parseSize(value) ?? undefined) : undefined;
    case "loras":
      return Array.isArray(value) ? value.filter(isRecord).map((item) => loraOf(item, control.fallback)) : undefined;
    case "number":
    case "optionalNumber":
    case "seed":
    case "nearSeed":
      return typeof value === "number" && value !== -1 ? value : undefined;
    case "switch":
      return typeof value === "boolean" ? value : undefined;
    case "prompt":
    case "text":
    case "choice":
      return typeof value === "string" ? value : undefined;
    default:
      return undefined;
  }
}

/** `values` with numbers and sizes moved into the ranges of `controls`, for when another model is chosen. */
export function fitted(controls: readonly Control[], values: Values): Values {
  const fit: Record<string, Value> = { ...values };
  for (const control of controls) {
    const value = fit[control.name];
    if ((control.kind === "number" || control.kind === "optionalNumber") && typeof value === "number") {
      fit[control.name] = Math.min(control.maximum, Math.max(control.minimum, value));
    }
    if (control.kind === "choice" && typeof value === "string" && !control.options.includes(value)) {
      delete fit[control.name];
    }
  }
  return fit;
}

export function isSize(value: unknown): value is Size {
  return isRecord(value) && typeof value["width"] === "number" && typeof value["height"] === "number";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function loraOf(item: Record<string, unknown>, scale: number): LoraChoice {
  return { path: String(item["path"] ?? ""), scale: typeof item["scale"] === "number" ? item["scale"] : scale };
}

/** A seed that nobody chose. Zero is one, too; -1 would leave the choice to the server, which does not tell it. */
export function drawnSeed(control: SeedControl | NearSeedControl, random: () => number = Math.random): number {
  const least = Math.max(0, control.minimum);
  const most = Math.min(control.maximum, 0x7fff_ffff);
  return least + Math.floor(random() * (most - least + 1));
}

/** `values` with a second seed where one is needed, so that the task says by which it can be made again. */
export function withNearSeed(controls: readonly Control[], values: Values, random: () => number = Math.random): Values {
  const control = find(controls, "nearSeed");
  if (!control || values[control.name] !== undefined) return values;
  return { ...values, [control.name]: drawnSeed(control, random) };
}
