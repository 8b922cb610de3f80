/** The request in WaveSpeed's dialect: plain HTTP, and the service's own SDKs. */

import {
  endingOf,
  javascriptKey,
  namedFiles,
  pythonKey,
  shellAuthorization,
  shellSave,
  wavespeedBody,
  type Language,
  type Snippet,
  type SnippetInput,
} from "./input";
import { curlFile, javascript, python, shell, shellJson } from "./literal";

export function wavespeed(input: SnippetInput, language: Language): Snippet {
  const write = { curl, python: inPython, javascript: inJavascript }[language];
  return { code: write(input), notes: [] };
}

const UPLOAD = [
  "upload() {",
  `  curl -sS "$api/media/upload/binary" -H "$key" -F "$1" |`,
  `    grep -o '"download_url":"[^"]*' | cut -d '"' -f 4`,
  "}",
];

function curl(input: SnippetInput): string {
  const uploads = namedFiles(input);
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
  const uploads = namedFiles(input).map(({ variable, name }) => `${variable} = client.upload(${python(name)})`);
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
  const uploads = namedFiles(input).map(
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
