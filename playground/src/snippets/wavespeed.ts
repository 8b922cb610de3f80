/** The request in WaveSpeed's dialect: plain HTTP, and the service's own SDKs. */

import {
  addressOf,
  endingOf,
  javascriptKey,
  namedPictures,
  pythonKey,
  shellAuthorization,
  shellSave,
  wavespeedBody,
  type Language,
  type Snippet,
  type SnippetInput,
} from "./input";
import { curlFile, javascript, python, shell, shellJson, Variable } from "./literal";

export function wavespeed(input: SnippetInput, language: Language): Snippet {
  const write = { curl, python: inPython, javascript: inJavascript }[language];
  return { code: write(input), notes: [] };
}

/** Pictures that have to be uploaded first. */
function files(input: SnippetInput): { variable: string; name: string }[] {
  return namedPictures(input).flatMap((named) =>
    named.source.kind === "file" && addressOf(named) instanceof Variable
      ? [{ variable: named.variable, name: named.source.name }]
      : [],
  );
}

const UPLOAD = [
  "upload() {",
  `  curl -sS "$api/media/upload/binary" -H "$key" -F "$1" |`,
  `    grep -o '"download_url":"[^"]*' | cut -d '"' -f 4`,
  "}",
];

function curl(input: SnippetInput): string {
  const uploads = files(input);
  const body = { ...wavespeedBody(input), enable_sync_mode: true };
  const lines = [`api=${shell(`${input.base}/api/v3`)}`, `key=${shellAuthorization(input, "Bearer")}`, ""];
  if (uploads.length > 0) lines.push(...UPLOAD);
  for (const { variable, name } of uploads) lines.push(`${variable}=$(upload ${shell(`file=${curlFile(name)}`)})`);
  if (uploads.length > 0) lines.push("");
  lines.push(
    `curl -sS "$api/${input.model}" -H "$key" -H 'Content-Type: application/json' \\`,
    `  -d ${shellJson(body)} |`,
    `  grep -o '"outputs":\\[[^]]*' | grep -o 'http[^"]*' | ${shellSave(endingOf(input))}`,
  );
  return lines.join("\n");
}

function inPython(input: SnippetInput): string {
  const uploads = files(input).map(({ variable, name }) => `${variable} = client.upload(${python(name)})`);
  return [
    ...(input.key === null ? ["import os"] : []),
    "import urllib.request",
    "",
    "import wavespeed",
    "",
    `client = wavespeed.Client(api_key=${pythonKey(input)}, base_url=${python(input.base)})`,
    ...uploads,
    `result = client.run(${python(input.model)}, ${python(wavespeedBody(input))})`,
    `for number, address in enumerate(result["outputs"], 1):`,
    `    urllib.request.urlretrieve(address, f"result-{number}.${endingOf(input)}")`,
  ].join("\n");
}

function inJavascript(input: SnippetInput): string {
  const uploads = files(input).map(
    ({ variable, name }) => `const ${variable} = await client.upload(${javascript(name)});`,
  );
  return [
    `import { writeFileSync } from "node:fs";`,
    `import { Client } from "wavespeed";`,
    "",
    `const client = new Client(${javascriptKey(input)}, { baseUrl: ${javascript(input.base)} });`,
    ...uploads,
    `const { outputs } = await client.run(${javascript(input.model)}, ${javascript(wavespeedBody(input))});`,
    "for (const [index, address] of outputs.entries()) {",
    "  const response = await fetch(address);",
    `  writeFileSync(\`result-\${index + 1}.${endingOf(input)}\`, Buffer.from(await response.arrayBuffer()));`,
    "}",
  ].join("\n");
}
