/** The request in OpenAI's dialect: variations for Redux, edits for image-to-image. */

import {
  changed,
  endingOf,
  explicit,
  flowOf,
  javascriptKey,
  lorasOf,
  namedPictures,
  promptOf,
  pythonKey,
  shellAuthorization,
  shellSave,
  sizeOf,
  type Language,
  type Note,
  type Snippet,
  type SnippetInput,
  type Source,
} from "./input";
import { curlFile, javascript, python, shell } from "./literal";

interface OpenAiRequest {
  input: SnippetInput;
  picture: Source;
  /** What is changed is transparent in it; edits have one. */
  mask: Source | null;
  isEdit: boolean;
  /** Fields that the SDKs know. */
  known: Record<string, unknown>;
  /** Additions, which they pass on when told to. */
  more: Record<string, unknown>;
}

export function openai(input: SnippetInput, language: Language): Snippet {
  const flow = flowOf(input.model);
  if (!flow) return { code: null, notes: ["unknownModel"] };
  const pictures = namedPictures(input);
  const picture = pictures[0]?.source;
  if (!picture) return { code: null, notes: ["needsPicture"] };
  const isEdit = flow === "image-to-image";
  if (isEdit && !promptOf(input)) return { code: null, notes: ["needsPrompt"] };
  const mask = isEdit ? (pictures[0]?.mask?.source ?? null) : null;
  const notes: Note[] = [];
  if (mask) notes.push("maskTransparent");
  if (Object.keys(changed(input, LEFT_OUT)).length > 0) notes.push("controlsLeftOut");
  if (pictures.length > 1) notes.push("onePictureOnly");
  if (explicit(input, "enable_safety_checker") === false) notes.push("safetyAlwaysOn");
  const request = { input, picture, mask, isEdit, ...fieldsOf(input, isEdit, mask !== null) };
  return { code: { curl, python: inPython, javascript: inJavascript }[language](request), notes };
}

/** What this dialect does not have. */
const LEFT_OUT = ["image_masks", "init_image", "redux_strength_spans", "variation_strength"];

/** Steps are always there: this dialect's default is another. So is that of what a mask leaves out. */
function fieldsOf(input: SnippetInput, isEdit: boolean, hasMask: boolean): Pick<OpenAiRequest, "known" | "more"> {
  const known: Record<string, unknown> = {};
  const more: Record<string, unknown> = {};
  const size = sizeOf(input);
  if (size) known["size"] = `${size.width}x${size.height}`;
  const count = explicit(input, "num_images");
  if (typeof count === "number" && count > 1) known["n"] = count;
  if (isEdit) known["prompt"] = promptOf(input);
  else if (promptOf(input)) more["prompt"] = promptOf(input);
  if (isEdit) more["strength"] = explicit(input, "strength");
  more["num_inference_steps"] = explicit(input, "num_inference_steps");
  more["guidance_scale"] = explicit(input, "guidance_scale");
  more["output_format"] = endingOf(input);
  Object.assign(more, changed(input, ["seed", "balance", "redux_strength", "redux_downsample"]));
  Object.assign(more, changed(input, ["mask_blur", "mask_crop"]));
  if (hasMask) more["keep_outside"] = explicit(input, "keep_outside");
  // The SDKs would split a list up.
  if (lorasOf(input).length > 0) more["loras"] = JSON.stringify(lorasOf(input));
  return { known, more: Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined)) };
}

function curlPicture(field: string, source: Source): string {
  return source.kind === "file"
    ? `-F ${shell(`${field}=${curlFile(source.name)}`)}`
    : `--form-string ${shell(`${field}=${source.url}`)}`;
}

function curl({ input, picture, mask, isEdit, known, more }: OpenAiRequest): string {
  const files = [curlPicture("image", picture), ...(mask ? [curlPicture("mask", mask)] : [])];
  // What curl would read a file for, were it in -F, is taken as it is.
  const fields = Object.entries({ ...known, ...more }).map(
    ([name, value]) => `--form-string ${shell(`${name}=${value}`)}`,
  );
  const address = `${input.base}/v1/images/${isEdit ? "edits" : "variations"}`;
  return [
    `key=${shellAuthorization(input, "Bearer")}`,
    "",
    `curl -sS ${shell(address)} -H "$key" \\`,
    ...[...files, ...fields].map((field, index, all) => `  ${field} ${index === all.length - 1 ? "|" : "\\"}`),
    `  grep -o '"url":"[^"]*' | cut -d '"' -f 4 | ${shellSave(endingOf(input))}`,
  ].join("\n");
}

function pythonPicture(source: Source): string {
  return source.kind === "file"
    ? `open(${python(source.name)}, "rb")`
    : `urllib.request.urlopen(${python(source.url)}).read()`;
}

function inPython({ input, picture, mask, isEdit, known, more }: OpenAiRequest): string {
  const named = Object.entries(known).map(([name, value]) => `    ${name}=${python(value, 4)},`);
  return [
    ...(input.key === null ? ["import os"] : []),
    "import urllib.request",
    "",
    "import openai",
    "",
    `client = openai.OpenAI(api_key=${pythonKey(input)}, base_url=${python(`${input.base}/v1`)})`,
    `answer = client.images.${isEdit ? "edit" : "create_variation"}(`,
    `    image=${pythonPicture(picture)},`,
    ...(mask ? [`    mask=${pythonPicture(mask)},`] : []),
    ...named,
    `    extra_body=${python(more, 4)},`,
    ")",
    "for number, item in enumerate(answer.data, 1):",
    `    urllib.request.urlretrieve(item.url, f"result-{number}.${endingOf(input)}")`,
  ].join("\n");
}

function javascriptPicture(source: Source): string {
  return source.kind === "file"
    ? `createReadStream(${javascript(source.name)})`
    : `await toFile(await fetch(${javascript(source.url)}))`;
}

function inJavascript({ input, picture, mask, isEdit, known, more }: OpenAiRequest): string {
  const fields = Object.entries({ ...known, ...more }).map(([name, value]) => `  ${name}: ${javascript(value, 2)},`);
  const kinds = [picture, ...(mask ? [mask] : [])].map(({ kind }) => kind);
  return [
    `import { ${kinds.includes("file") ? "createReadStream, " : ""}writeFileSync } from "node:fs";`,
    kinds.includes("url") ? `import OpenAI, { toFile } from "openai";` : `import OpenAI from "openai";`,
    "",
    "const client = new OpenAI({",
    `  apiKey: ${javascriptKey(input)},`,
    `  baseURL: ${javascript(`${input.base}/v1`)},`,
    "});",
    `const answer = await client.images.${isEdit ? "edit" : "createVariation"}({`,
    `  image: ${javascriptPicture(picture)},`,
    ...(mask ? [`  mask: ${javascriptPicture(mask)},`] : []),
    ...fields,
    "});",
    "for (const [index, item] of answer.data.entries()) {",
    "  const response = await fetch(item.url);",
    `  writeFileSync(\`result-\${index + 1}.${endingOf(input)}\`, Buffer.from(await response.arrayBuffer()));`,
    "}",
  ].join("\n");
}
