// fal's SDK 1.10.1, unmodified, as a page's script has it: the page knows no key and names a path of its own host, where
// a reverse proxy adds the key. Then from a page of another host with a key, as browsers restrict that.
//
// Usage: check_fal_page.mjs ADDRESS KEY PICTURE; NODE_EXTRA_CA_CERTS names the server's certificate.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { request as forward } from "node:https";

const [address, key, picture] = process.argv.slice(2);
const model = "fal-ai/flux-1/dev/redux";
const content = await readFile(picture);
const nativeFetch = globalThis.fetch;

// What the SDK takes for a page.
globalThis.window = { document: {} };
const { ValidationError, createFalClient } = await import("@fal-ai/client");

/** A host whose `/api/fal/proxy` and `/media` are the server's, with the key added to the former. */
async function siteWithProxy() {
  const site = createServer((request, response) => {
    const headers = { ...request.headers, "x-forwarded-host": request.headers.host, "x-forwarded-proto": "http" };
    if (request.url === "/api/fal/proxy") headers.authorization = `Key ${key}`;
    const onward = forward(address + request.url, { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    request.pipe(onward);
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  return { site, origin: `http://127.0.0.1:${site.address().port}` };
}

/** `fetch` of a page at `origin`: relative addresses, and the rules for those of other hosts. */
function fetchOfPage(origin) {
  return async (resource, options = {}) => {
    const url = new URL(resource, origin);
    if (url.origin === origin) return nativeFetch(url, options);
    const headers = { ...options.headers, Origin: origin };
    const method = options.method ?? "GET";
    const asked = Object.keys(options.headers ?? {}).map((name) => name.toLowerCase());
    const preflight = await nativeFetch(url, {
      method: "OPTIONS",
      headers: {
        Origin: origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": asked.sort().join(","),
      },
    });
    const listed = (name) => (preflight.headers.get(name) ?? "").split(",").map((word) => word.trim().toLowerCase());
    assert.ok(preflight.ok && ["*", origin].includes(preflight.headers.get("access-control-allow-origin")));
    assert.ok(listed("access-control-allow-methods").includes(method.toLowerCase()), method);
    for (const name of asked) assert.ok(listed("access-control-allow-headers").includes(name), name);
    const response = await nativeFetch(url, { ...options, headers });
    assert.ok(["*", origin].includes(response.headers.get("access-control-allow-origin")));
    // Without this, scripts do not see the id of a request.
    assert.equal(response.headers.get("access-control-expose-headers"), "*");
    return response;
  };
}

async function check(client, fetchPage) {
  const input = {
    image_url: new Blob([content], { type: "image/jpeg" }),
    image_size: { width: 64, height: 48 },
    num_inference_steps: 1,
    seed: 7,
  };
  const updates = [];
  for (const mode of ["polling", "streaming"]) {
    const result = await client.subscribe(model, { input, mode, onQueueUpdate: (update) => updates.push(update) });
    assert.match(result.requestId, /^[0-9a-f-]{36}$/);
    assert.equal(updates.at(-1).status, "COMPLETED");
    const file = await fetchPage(result.data.images[0].url);
    assert.equal(file.headers.get("content-type"), "image/jpeg");
    assert.equal((await file.arrayBuffer()).byteLength, result.data.images[0].file_size);
  }
  const stream = await client.stream(model, { input });
  assert.equal((await stream.done()).seed, 7);
  await assert.rejects(client.run(model, { input: { ...input, num_inference_steps: 99 } }), (error) => {
    assert.ok(error instanceof ValidationError, error);
    return error.getFieldErrors("num_inference_steps").length === 1;
  });
}

const { site, origin } = await siteWithProxy();
const ownHost = fetchOfPage(origin);
await check(createFalClient({ proxyUrl: "/api/fal/proxy", fetch: ownHost }), ownHost);
const otherHost = fetchOfPage("http://page.example:3000");
const withKey = { credentials: key, suppressLocalCredentialsWarning: true };
await check(createFalClient({ proxyUrl: `${address}/api/fal/proxy`, fetch: otherHost, ...withKey }), otherHost);
site.close();
site.closeAllConnections();
console.log("checks passed");
