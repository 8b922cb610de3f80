// Writes src/api/schema.d.ts from a server's description of its API.
//
// Usage: npm run types -- http://127.0.0.1:8080/openapi.json   (or the path of a file with the same)
//
// The description is long; only the paths that the page calls, their successes, and the schemas that these use, are
// written. All errors have one shape, `ErrorBody`.

import { readFile, writeFile } from "node:fs/promises";
import openapiTS, { astToString } from "openapi-typescript";

const USED = [
  "/api/v3/models",
  "/api/v3/predictions",
  "/api/v3/predictions/delete",
  "/api/v3/predictions/{id}",
  "/api/v3/predictions/{id}/cancel",
  "/api/v3/media/upload/binary",
  "/api/status",
  "/loras",
];
const HEADER = `// Generated from the server's /openapi.json by \`npm run types\`; do not edit.\n\n`;

async function read(source) {
  if (!/^https?:/.test(source)) return JSON.parse(await readFile(source, "utf8"));
  const response = await fetch(source);
  if (!response.ok) throw new Error(`${source}: HTTP ${response.status}`);
  return response.json();
}

/** The names of all schemas that `part` refers to. */
function references(part) {
  return [...JSON.stringify(part).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1]);
}

/** The path's methods with the answer to a success only. */
function successes(methods) {
  const success = ([method, about]) => [method, { ...about, responses: { 200: about.responses[200] } }];
  return Object.fromEntries(Object.entries(methods).map(success));
}

function reduced(api) {
  const missing = USED.filter((path) => !api.paths[path]);
  if (missing.length > 0) throw new Error(`the description lacks ${missing.join(", ")}`);
  const paths = Object.fromEntries(USED.map((path) => [path, successes(api.paths[path])]));
  const all = api.components.schemas;
  const kept = new Set();
  const waiting = [...references(paths), "ErrorBody"];
  while (waiting.length > 0) {
    const name = waiting.pop();
    if (kept.has(name)) continue;
    kept.add(name);
    waiting.push(...references(all[name]));
  }
  const schemas = Object.fromEntries([...kept].sort().map((name) => [name, all[name]]));
  return { openapi: api.openapi, info: { title: api.info.title, version: "" }, paths, components: { schemas } };
}

const source = process.argv[2];
if (!source) {
  console.error("usage: npm run types -- ADDRESS_OR_FILE");
  process.exit(2);
}
const text = astToString(await openapiTS(reduced(await read(source)), { alphabetize: true }));
const target = new URL("../src/api/schema.d.ts", import.meta.url);
await writeFile(target, HEADER + text);
console.log(`${text.split("\n").length} lines`);
