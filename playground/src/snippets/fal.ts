/** The request in fal's dialect: plain HTTP, `fal-client` and `@fal-ai/client`. */

import {
  addressOf,
  changed,
  endingOf,
  explicit,
  flowOf,
  javascriptKey,
  lorasOf,
  mediaType,
  namedFiles,
  namedPictures,
  namedStart,
  promptOf,
  pythonKey,
  shellAuthorization,
  shellSave,
  sizeOf,
  type Language,
  type Note,
  type Snippet,
  type SnippetInput,
} from "./input";
import { javascript, python, shell, shellJsonParts, Variable } from "./literal";

/** fal's ids of the models. */
const MODELS = {
  "redux-dev": "fal-ai/flux-1/dev/redux",
  "redux-pro": "fal-ai/flux-pro/v1.1/redux",
  "image-to-image": "fal-ai/flux-1/srpo/image-to-image",
};

/** What masks and the picture to start from are called there. */
const NAMES = { image_masks: "image_mask_urls", init_image: "init_image_url", mask_image: "mask_url" };

/** What is called the same, and is there when it differs from its default. */
const CONTROLS = [
  "balance",
  "redux_strength",
  "redux_strength_spans",
  "redux_downsample",
  "mask_blur",
  "mask_crop",
  "keep_outside",
  "variation_seed",
  "variation_strength",
];

export function fal(input: SnippetInput, language: Language): Snippet {
  const flow = flowOf(input.model);
  if (!flow) return { code: null, notes: ["unknownModel"] };
  const pictures = namedPictures(input);
  // There image-to-image always starts from a picture.
  if (pictures.length === 0) return { code: null, notes: ["needsPicture"] };
  const notes: Note[] = [];
  if (flow === "redux-dev" && promptOf(input)) notes.push("falPromptLeftOut");
  const isSecure = input.base.startsWith("https:");
  if (language === "python") notes.push(isSecure ? "falCertificate" : "falNeedsHttps");
  const request = { input, model: MODELS[flow], body: bodyOf(input) };
  const inPython = isSecure ? withClient : withoutClient;
  return { code: { curl, python: inPython, javascript: inJavascript }[language](request), notes };
}

interface FalRequest {
  input: SnippetInput;
  model: string;
  body: Record<string, unknown>;
}

/** Steps, guidance and size are always there: fal's defaults are others. */
function bodyOf(input: SnippetInput): Record<string, unknown> {
  const flow = flowOf(input.model);
  const [first, ...others] = namedPictures(input);
  const body: Record<string, unknown> = {};
  if (first) body["image_url"] = addressOf(first);
  if (others.length > 0) body["image_urls"] = others.map(addressOf);
  Object.assign(body, changed(input, ["image_weights"]));
  for (const [name, theirs] of Object.entries(NAMES)) {
    const [value] = Object.values(changed(input, [name]));
    if (value !== undefined) body[theirs] = value;
  }
  if (flow !== "redux-dev" && promptOf(input)) body["prompt"] = promptOf(input);
  const size = sizeOf(input);
  if (size) body["image_size"] = { width: size.width, height: size.height };
  if (flow === "image-to-image") body["strength"] = explicit(input, "strength");
  body["num_inference_steps"] = explicit(input, "num_inference_steps");
  body["guidance_scale"] = explicit(input, "guidance_scale");
  if (namedStart(input)) body["strength"] = explicit(input, "strength");
  Object.assign(body, changed(input, ["seed", "num_images", ...CONTROLS]));
  if (lorasOf(input).length > 0) body["loras"] = lorasOf(input);
  // The pro model has no such switch there: it is always checked.
  if (flow !== "redux-pro") Object.assign(body, changed(input, ["enable_safety_checker"]));
  body["output_format"] = endingOf(input);
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined));
}

function curl({ input, model, body }: FalRequest): string {
  const files = namedFiles(input);
  const lines = [`key=${shellAuthorization(input, "Key")}`];
  for (const { variable, name } of files) {
    // A name that begins with a dash would be taken for an option.
    lines.push(`${variable}="data:${mediaType(name)};base64,$(base64 < ${shell(name)} | tr -d '\\n')"`);
  }
  // The pictures are longer than an argument may be; `printf` is the shell's own.
  const parts = shellJsonParts(body);
  const words = parts.map(({ word }) => word).join("");
  const call = `curl -sS ${shell(`${input.base}/${model}`)} -H "$key" -H 'Content-Type: application/json'`;
  const save = `  grep -o '"url":"http[^"]*' | cut -d '"' -f 4 | ${shellSave(endingOf(input))}`;
  if (files.length === 0) return [...lines, "", `${call} \\`, `  -d ${words} |`, save].join("\n");
  return [...lines, "", `printf %s ${words} |`, `  ${call} -d @- |`, save].join("\n");
}

/** For a server behind HTTPS, which is all that fal's client speaks. */
function withClient({ input, model, body }: FalRequest): string {
  const host = input.base.replace(/^https:\/\//, "");
  const uploads = namedFiles(input).map(
    ({ variable, name }) => `${variable} = fal_client.encode_file(${python(name)})`,
  );
  return [
    "import os",
    "import urllib.request",
    "",
    "# The client reads its addresses when it is imported.",
    `os.environ["FAL_KEY"] = ${pythonKey(input)}`,
    `os.environ["FAL_RUN_HOST"] = ${python(host)}`,
    `os.environ["FAL_QUEUE_RUN_HOST"] = ${python(`${host}/queue`)}`,
    "import fal_client",
    "",
    ...uploads,
    `result = fal_client.subscribe(${python(model)}, ${python(body)})`,
    `for number, image in enumerate(result["images"], 1):`,
    `    urllib.request.urlretrieve(image["url"], f"result-{number}.${endingOf(input)}")`,
  ].join("\n");
}

/** The same request with the standard library alone. */
function withoutClient({ input, model, body }: FalRequest): string {
  const files = namedFiles(input);
  const reads = files.map(
    ({ variable, name }) => `${variable} = data_uri(${python(name)}, ${python(mediaType(name))})`,
  );
  const encode = [
    "",
    "",
    "def data_uri(name, media_type):",
    `    with open(name, "rb") as file:`,
    `        return f"data:{media_type};base64," + base64.b64encode(file.read()).decode()`,
    "",
  ];
  return [
    ...(files.length > 0 ? ["import base64"] : []),
    "import json",
    ...(input.key === null ? ["import os"] : []),
    "import urllib.request",
    ...(files.length > 0 ? encode : []),
    "",
    ...reads,
    `body = ${python(body)}`,
    "request = urllib.request.Request(",
    `    ${python(`${input.base}/${model}`)},`,
    "    json.dumps(body).encode(),",
    `    {"Authorization": "Key " + ${pythonKey(input)}, "Content-Type": "application/json"},`,
    ")",
    "result = json.load(urllib.request.urlopen(request))",
    `for number, image in enumerate(result["images"], 1):`,
    `    urllib.request.urlretrieve(image["url"], f"result-{number}.${endingOf(input)}")`,
  ].join("\n");
}

function inJavascript({ input, model, body }: FalRequest): string {
  const files = namedFiles(input);
  const reads = files.map(
    ({ variable, name }) =>
      `const ${variable} = new Blob([readFileSync(${javascript(name)})], { type: ${javascript(mediaType(name))} });`,
  );
  const proxy = new Variable(`{ url: ${javascript(`${input.base}/api/fal/proxy`)}, when: "always" }`);
  return [
    `import { ${files.length > 0 ? "readFileSync, " : ""}writeFileSync } from "node:fs";`,
    `import { fal } from "@fal-ai/client";`,
    "",
    "fal.config({",
    `  proxyUrl: ${javascript(proxy)},`,
    `  credentials: ${javascriptKey(input)},`,
    "});",
    ...reads,
    `const { data } = await fal.subscribe(${javascript(model)}, {`,
    `  input: ${javascript(body, 2)},`,
    "});",
    "for (const [index, image] of data.images.entries()) {",
    "  const response = await fetch(image.url);",
    `  writeFileSync(\`result-\${index + 1}.${endingOf(input)}\`, Buffer.from(await response.arrayBuffer()));`,
    "}",
  ].join("\n");
}
