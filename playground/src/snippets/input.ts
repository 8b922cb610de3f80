/** What an example is made from, and what all dialects need of it. */

import { bodyOf, valueOf, isSize, type LoraChoice, type Values } from "../model/body";
import { find, mostPictures, type Control } from "../model/controls";
import type { Size } from "../model/sizes";
import { javascript, python, shell, Variable } from "./literal";

export const DIALECTS = ["wavespeed", "fal", "openai"] as const;
export type Dialect = (typeof DIALECTS)[number];

export const LANGUAGES = ["curl", "python", "javascript"] as const;
export type Language = (typeof LANGUAGES)[number];

/** A picture: a file of the working directory, or an address. */
export type Source = { kind: "file"; name: string } | { kind: "url"; url: string };

export interface SnippetInput {
  /** Address of the server, without a slash at its end. */
  base: string;
  /** WaveSpeed's id of the model. */
  model: string;
  controls: readonly Control[];
  values: Values;
  pictures: readonly { source: Source; weight: number | null; mask?: Source | null }[];
  /** What variations start from: one of its own, or the first of the pictures. */
  start?: Source | "first" | null;
  /** The key to write into the example; null: it reads the environment. */
  key: string | null;
}

/** What a reader should know about an example; each has a text. */
export type Note =
  | "falNeedsHttps"
  | "falPromptLeftOut"
  | "onePictureOnly"
  | "needsPicture"
  | "needsPrompt"
  | "unknownModel"
  | "safetyAlwaysOn"
  | "maskTransparent"
  | "controlsLeftOut"
  | "falCertificate";

/** An example, or why there is none. */
export interface Snippet {
  code: string | null;
  notes: Note[];
}

/** The variable of the environment that examples read the key from. */
export const KEY_VARIABLE = "AFTERIMAGE_API_KEY";

/** The kinds of models, by what the other dialects call them. */
export type Flow = "redux-dev" | "redux-pro" | "image-to-image";

export function flowOf(model: string): Flow | null {
  if (model.endsWith("flux-redux-dev")) return "redux-dev";
  if (model.endsWith("flux-redux-pro")) return "redux-pro";
  return model.endsWith("image-to-image") ? "image-to-image" : null;
}

/** A picture, a mask or a start of an example, with the variable that stands for it. */
export interface Named {
  source: Source;
  /** Its variable, where it is a file. */
  variable: string;
}

export interface NamedPicture extends Named {
  weight: number | null;
  mask: Named | null;
}

/** As many pictures as the model takes, with names. */
export function namedPictures(input: SnippetInput): NamedPicture[] {
  const used = input.pictures.slice(0, mostPictures(input.controls));
  return used.map(({ source, weight, mask }, index) => {
    const number = used.length > 1 ? index + 1 : "";
    const named = mask ? { source: mask, variable: `mask${number}` } : null;
    return { source, weight, variable: `picture${number}`, mask: takesMasks(input) ? named : null };
  });
}

function takesMasks({ controls }: SnippetInput): boolean {
  return find(controls, "mask") !== undefined || find(controls, "pictureMasks") !== undefined;
}

/** What the model starts from. */
export function namedStart(input: SnippetInput): Named | null {
  if (!find(input.controls, "start") || !input.start) return null;
  if (input.start === "first") return namedPictures(input)[0] ?? null;
  return { source: input.start, variable: "start" };
}

/** Everything of an example that is a file, each once. */
export function namedFiles(input: SnippetInput): { variable: string; name: string }[] {
  const start = input.start === "first" ? null : namedStart(input);
  const pictures = namedPictures(input);
  const all = [...pictures, ...pictures.map(({ mask }) => mask), start];
  return all.flatMap((named) =>
    named?.source.kind === "file" ? [{ variable: named.variable, name: named.source.name }] : [],
  );
}

/** What stands for a picture in a request: its address, or the variable that holds what was made of the file. */
export function addressOf(picture: Named): string | Variable {
  return picture.source.kind === "url" ? picture.source.url : new Variable(picture.variable);
}

/** The request as WaveSpeed's dialect has it, with variables for pictures. */
export function wavespeedBody(input: SnippetInput): Record<string, unknown> {
  const pictures = namedPictures(input).map((named) => ({
    address: addressOf(named),
    weight: named.weight,
    mask: named.mask && addressOf(named.mask),
  }));
  const start = namedStart(input);
  return bodyOf(input.controls, input.values, pictures, start && addressOf(start));
}

/** The value of parameter `name`, its default included. */
export function explicit(input: SnippetInput, name: string): unknown {
  const control = input.controls.find((candidate) => candidate.name === name);
  return control && valueOf(control, input.values);
}

export function sizeOf(input: SnippetInput): Size | null {
  const control = find(input.controls, "size");
  const value = control && valueOf(control, input.values);
  return isSize(value) ? value : null;
}

export function promptOf(input: SnippetInput): string | null {
  const prompt = input.values["prompt"];
  return typeof prompt === "string" && prompt.trim() !== "" ? prompt : null;
}

export function lorasOf(input: SnippetInput): LoraChoice[] {
  const loras = input.values["loras"];
  return Array.isArray(loras) ? loras : [];
}

/** What the model does not do unless asked, and what was asked for: the parameters that differ from their defaults. */
export function changed(input: SnippetInput, names: readonly string[]): Record<string, unknown> {
  const body = wavespeedBody(input);
  return Object.fromEntries(names.filter((name) => body[name] !== undefined).map((name) => [name, body[name]]));
}

/** How files of results end. */
export function endingOf(input: SnippetInput): string {
  return explicit(input, "output_format") === "png" ? "png" : "jpeg";
}

/** The media type that a file's name promises. */
export function mediaType(name: string): string {
  const ending = /\.([A-Za-z0-9]+)$/.exec(name)?.[1]?.toLowerCase() ?? "";
  const types: Record<string, string> = { png: "png", webp: "webp", gif: "gif", bmp: "bmp", tif: "tiff", tiff: "tiff" };
  return `image/${types[ending] ?? "jpeg"}`;
}

/** `Bearer KEY` in a shell's word; `scheme` as the dialect has it. */
export function shellAuthorization(input: SnippetInput, scheme: string): string {
  if (input.key === null) return `"Authorization: ${scheme} $${KEY_VARIABLE}"`;
  return shell(`Authorization: ${scheme} ${input.key}`);
}

export function pythonKey(input: SnippetInput): string {
  return input.key === null ? `os.environ["${KEY_VARIABLE}"]` : python(input.key);
}

export function javascriptKey(input: SnippetInput): string {
  return input.key === null ? `process.env.${KEY_VARIABLE}` : javascript(input.key);
}

/** A pipe that saves the addresses it reads, one in a line, as numbered files. */
export function shellSave(ending: string): string {
  return ["while read -r address; do", `    curl -sS "$address" -o "result-$((number += 1)).${ending}"`, "  done"].join(
    "\n",
  );
}
