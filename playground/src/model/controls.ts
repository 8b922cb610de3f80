/** From a model's JSON schema to the controls that the page shows. Ranges, defaults and descriptions are the schema's. */

import type { CatalogueItem, PropertySchema, RequestSchema } from "../api/types";
import { parseSize, type Size } from "./sizes";

interface Base {
  name: string;
  /** The server's explanation, in English. */
  description: string;
  required: boolean;
}

interface Range {
  minimum: number;
  maximum: number;
}

export type PictureControl = Base & { kind: "picture" };
export type PicturesControl = Base & { kind: "pictures"; most: number };
export type WeightsControl = Base & Range & { kind: "weights" };
export type PromptControl = Base & { kind: "prompt"; longest: number };
export type TextControl = Base & { kind: "text"; longest: number };
export type SizeControl = Base & Range & { kind: "size"; fallback: Size; separator: string };
export type SeedControl = Base & Range & { kind: "seed" };
/** The second seed, towards which the noise of the first is turned. */
export type NearSeedControl = Base & Range & { kind: "nearSeed" };
export type NumberControl = Base & Range & { kind: "number"; whole: boolean; step: number; fallback: number };
/** A number without a default: what it is about happens only where there is one. */
export type OptionalNumberControl = Base & Range & { kind: "optionalNumber"; whole: boolean; step: number };
/** A mask for each picture: which part of it speaks. */
export type PictureMasksControl = Base & { kind: "pictureMasks" };
/** One mask: which part of the picture changes. */
export type MaskControl = Base & { kind: "mask" };
/** A picture to start from instead of noise. */
export type StartControl = Base & { kind: "start" };
export type SwitchControl = Base & { kind: "switch"; fallback: boolean };
export type ChoiceControl = Base & { kind: "choice"; options: string[]; fallback: string };
export type LorasControl = Base & Range & { kind: "loras"; most: number; fallback: number };

/** What is shown for one parameter. */
export type Control =
  | PictureControl
  | PicturesControl
  | WeightsControl
  | PromptControl
  | TextControl
  | SizeControl
  | SeedControl
  | NearSeedControl
  | NumberControl
  | OptionalNumberControl
  | PictureMasksControl
  | MaskControl
  | StartControl
  | SwitchControl
  | ChoiceControl
  | LorasControl;

/** How answers travel is the page's own affair: it follows tasks and shows pictures by their addresses. */
const DELIVERY = new Set(["enable_base64_output", "enable_sync_mode", "webhook_url"]);

/** Another word for one that is offered anyway. */
const ALIASES = new Set(["jpg"]);

/** What most people leave alone; it goes behind a disclosure. */
const EVERYDAY = new Set([
  "prompt",
  "size",
  "num_images",
  "seed",
  "strength",
  "redux_strength",
  "redux_downsample",
  "loras",
]);

/** The schema of a model's request. */
export function requestSchema(model: CatalogueItem): RequestSchema {
  return model.api_schema.api_schemas[0]?.request_schema ?? { properties: {} };
}

/** The controls of `schema`, in its order. Parameters of a kind that the page does not know have none. */
export function controlsOf(schema: RequestSchema): Control[] {
  const names = schema["x-order-properties"] ?? Object.keys(schema.properties);
  const required = new Set(schema.required ?? []);
  const controls: Control[] = [];
  for (const name of names) {
    const property = schema.properties[name];
    if (!property || DELIVERY.has(name)) continue;
    const base = { name, description: property.description ?? "", required: required.has(name) };
    const control = controlOf(base, property);
    if (control) controls.push(control);
  }
  return controls;
}

/** Whether `control` belongs behind the disclosure. */
export function isAdvanced(control: Control): boolean {
  return !EVERYDAY.has(control.name);
}

/** Kinds that are shown with the pictures, not among the parameters. */
const WITH_PICTURES: ReadonlySet<Control["kind"]> = new Set(["picture", "pictures", "weights", "pictureMasks", "mask"]);

export function isWithPictures(control: Control): boolean {
  return WITH_PICTURES.has(control.kind);
}

function controlOf(base: Base, property: PropertySchema): Control | null {
  switch (typeOf(property)) {
    case "boolean":
      return { ...base, kind: "switch", fallback: property.default === true };
    case "integer":
    case "number":
      return numeric(base, property);
    case "string":
      return textual(base, property);
    case "array":
      return list(base, property);
    default:
      return null;
  }
}

/** The type apart from null, which stands for absence. */
function typeOf(property: PropertySchema): string | undefined {
  const types = Array.isArray(property.type) ? property.type : [property.type];
  return types.find((type) => type !== "null");
}

function range(property: PropertySchema): Range {
  return { minimum: property.minimum ?? 0, maximum: property.maximum ?? Number.MAX_SAFE_INTEGER };
}

function numeric(base: Base, property: PropertySchema): Control {
  const bounds = range(property);
  if (base.name === "seed") return { ...base, ...bounds, kind: "seed" };
  if (base.name === "variation_seed") return { ...base, ...bounds, kind: "nearSeed" };
  const whole = typeOf(property) === "integer";
  const shape = { ...base, ...bounds, whole, step: whole ? 1 : stepOf(bounds) };
  if (typeof property.default !== "number" && !base.required) return { ...shape, kind: "optionalNumber" };
  const fallback = typeof property.default === "number" ? property.default : bounds.minimum;
  return { ...shape, kind: "number", fallback };
}

/** A step that divides the range finely enough for a slider: a hundredth up to 1, a tenth up to 100, 1 beyond. */
function stepOf({ minimum, maximum }: Range): number {
  const range = maximum - minimum;
  if (range > 100) return 1;
  return range <= 1 ? 0.01 : 0.1;
}

function textual(base: Base, property: PropertySchema): Control {
  const least = property["x-minimum-side"];
  const most = property["x-maximum-side"];
  if (least !== undefined && most !== undefined) {
    const text = typeof property.default === "string" ? property.default : "";
    const fallback = parseSize(text) ?? { width: least, height: least };
    const separator = text.replace(/[\d\s]/g, "") || "*";
    return { ...base, kind: "size", minimum: least, maximum: most, fallback, separator };
  }
  if (property.enum) {
    const words = property.enum.filter((word) => typeof word === "string" && !ALIASES.has(word)) as string[];
    const fallback = typeof property.default === "string" ? property.default : (words[0] ?? "");
    return { ...base, kind: "choice", options: words, fallback };
  }
  const longest = property.maxLength ?? Number.MAX_SAFE_INTEGER;
  if (base.name === "image") return { ...base, kind: "picture" };
  if (base.name === "mask_image") return { ...base, kind: "mask" };
  if (base.name === "init_image") return { ...base, kind: "start" };
  return { ...base, kind: base.name === "prompt" ? "prompt" : "text", longest };
}

function list(base: Base, property: PropertySchema): Control | null {
  const items = property.items ?? {};
  const most = property.maxItems ?? 1;
  const scale = items.properties?.["scale"];
  if (scale && items.properties?.["path"]) {
    const fallback = typeof scale.default === "number" ? scale.default : 1;
    return { ...base, ...range(scale), kind: "loras", most, fallback };
  }
  if (base.name === "images") return { ...base, kind: "pictures", most };
  if (base.name === "image_masks") return { ...base, kind: "pictureMasks" };
  if (base.name === "image_weights") return { ...base, ...range(items), kind: "weights" };
  return null;
}

/** The control called `name`, if there is one of that kind. */
export function find<Kind extends Control["kind"]>(
  controls: readonly Control[],
  kind: Kind,
): Extract<Control, { kind: Kind }> | undefined {
  return controls.find((control): control is Extract<Control, { kind: Kind }> => control.kind === kind);
}

/** How many pictures a model takes. */
export function mostPictures(controls: readonly Control[]): number {
  if (!find(controls, "picture")) return 0;
  return 1 + (find(controls, "pictures")?.most ?? 0);
}
