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
  const notes: Note[] = [];
  if (pictures.length > 1) notes.push("onePictureOnly");
  if (explicit(input, "enable_safety_checker") === false) notes.push("safetyAlwaysOn");
  const request = { input, picture, isEdit, ...fieldsOf(input, isEdit) };
  return { code: { curl, python: inPython, javascript: inJavascript }[language](request), notes };
}

/** Steps are always there: this dialect's default is another. */
function fieldsOf(input: SnippetInput, isEdit: boolean): Pick<OpenAiRequest, "known" | "more"> {
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
  Object.assign(more, changed(input, ["seed", "redux_strength", "redux_downsample"]));
  // The SDKs would split a list up.
  if (lorasOf(input).length > 0) more["loras"] = JSON.stringify(lorasOf(input));
  return { known, more: Object.fromEntries(Object.entries(more).filter(([, value]) => value !== undefined)) };
}

function curl({ input, picture, isEdit, known, more }: OpenAiRequest): string {
  const image =
    picture.kind === "file"
      ? `-F ${shell(`image=${curlFile(picture.name)}`)}`
      : `--form-string ${shell(`image=${picture.url}`)}`;
  // What curl would read a file for, were it in -F, is taken as it is.
  const fields = Object.entries({ ...known, ...more }).map(
    ([name, value]) => `--form-string ${shell(`${name}=${value}`)}`,
  );
  const address = `${input.base}/v1/images/${isEdit ? "edits" : "variations"}`;
  return [
    `key=${shellAuthorization(input, "Bearer")}`,
    "",
    `curl -sS ${shell(address)} -H "$key" \\`,
    ...[image, ...fields].map((field, index, all) => `  ${field} ${index === all.length - 1 ? "|" : "\\"}`),
    `  grep -o '"url":"[^"]*' | cut -d '"' -f 4 | ${shellSave(endingOf(input))}`,
  ].join("\n");
}

function inPython({ input, picture, isEdit, known, more }: OpenAiRequest): string {
  const named = Object.entries(known).map(([name, value]) => `    ${name}=${python(value, 4)},`);
  const image =
    picture.kind === "file"
      ? `open(${python(picture.name)}, "rb")`
      : `urllib.request.urlopen(${python(picture.url)}).read()`;
  return [
    ...(input.key === null ? ["import os"] : []),
    "import urllib.request",
    "",
    "import openai",
    "",
    `client = openai.OpenAI(api_key=${pythonKey(input)}, base_url=${python(`${input.base}/v1`)})`,
    `answer = client.images.${isEdit ? "edit" : "create_variation"}(`,
    `    image=${image},`,
    ...named,
    `    extra_body=${python(more, 4)},`,
    ")",
    "for number, item in enumerate(answer.data, 1):",
    `    urllib.request.urlretrieve(item.url, f"result-{number}.${endingOf(input)}")`,
  ].join("\n");
}

function inJavascript({ input, picture, isEdit, known, more }: OpenAiRequest): string {
  const fields = Object.entries({ ...known, ...more }).map(([name, value]) => `  ${name}: ${javascript(value, 2)},`);
  const isFile = picture.kind === "file";
  const image = isFile
    ? `createReadStream(${javascript(picture.name)})`
    : `await toFile(await fetch(${javascript(picture.url)}))`;
  return [
    `import { ${isFile ? "createReadStream, " : ""}writeFileSync } from "node:fs";`,
    isFile ? `import OpenAI from "openai";` : `import OpenAI, { toFile } from "openai";`,
    "",
    "const client = new OpenAI({",
    `  apiKey: ${javascriptKey(input)},`,
    `  baseURL: ${javascript(`${input.base}/v1`)},`,
    "});",
    `const answer = await client.images.${isEdit ? "edit" : "createVariation"}({`,
    `  image: ${image},`,
    ...fields,
    "});",
    "for (const [index, item] of answer.data.entries()) {",
    "  const response = await fetch(item.url);",
    `  writeFileSync(\`result-\${index + 1}.${endingOf(input)}\`, Buffer.from(await response.arrayBuffer()));`,
    "}",
  ].join("\n");
}
