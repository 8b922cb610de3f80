// The Model Context Protocol's SDK 1.32.2, unmodified, against a server.
//
// Usage: check_mcp.mjs ADDRESS IDLE_ADDRESS KEY PICTURE; on the second server every task waits for ever.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { McpError } from "@modelcontextprotocol/sdk/types.js";

const [address, idleAddress, key, picture] = process.argv.slice(2);
const image = `data:image/jpeg;base64,${readFileSync(picture).toString("base64")}`;

async function connect(base, secret) {
  const client = new Client({ name: "checks", version: "1.0.0" });
  const requestInit = { headers: { Authorization: `Bearer ${secret}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${base}/mcp`), { requestInit }));
  return client;
}

function text(result, isError = false) {
  assert.equal(Boolean(result.isError), isError, JSON.stringify(result).slice(0, 500));
  assert.equal(result.content[0].type, "text");
  return result.content[0].text;
}

function pictures(result) {
  const images = result.content.filter((item) => item.type === "image");
  return images.map((item) => {
    assert.equal(item.mimeType, "image/png");
    const bytes = Buffer.from(item.data, "base64");
    assert.equal(bytes.subarray(1, 4).toString(), "PNG");
    return bytes;
  });
}

const client = await connect(address, key);
assert.equal(client.getServerVersion().name, "afterimage");
assert.match(client.getInstructions(), /watch_task/);
const { tools } = await client.listTools();
const names = ["vary_picture", "reshape_picture", "watch_task", "cancel_task", "list_tasks"];
assert.deepEqual(tools.map((tool) => tool.name), names);
assert.deepEqual(tools[0].inputSchema.required, ["image"]);

// Made while the client hears how far it is, and found again.
const settings = { image, size: "256*256", num_inference_steps: 4, seed: 7, num_images: 2, output_format: "png" };
const progress = [];
const onprogress = (step) => progress.push(step);
const made = await client.callTool({ name: "vary_picture", arguments: settings }, undefined, { onprogress });
const [, id] = text(made).match(/^Task (\S+) is completed: 2 pictures of 256x256, seed 7, /);
assert.equal(pictures(made).length, 2);
assert.ok(progress.length > 0 && progress.every((step) => step.message), JSON.stringify(progress));
const links = [...text(made).matchAll(/\nPicture \d: (\S+)/g)].map(([, link]) => link);
const linked = await Promise.all(links.map(async (link) => Buffer.from(await (await fetch(link)).arrayBuffer())));
assert.deepEqual(linked, pictures(made));
const watched = await client.callTool({ name: "watch_task", arguments: { task_id: id } });
assert.deepEqual(pictures(watched), pictures(made));
const reshaped = await client.callTool({
  name: "reshape_picture",
  arguments: { image: links[0], prompt: "a lake", num_inference_steps: 2, output_format: "png", pictures: "content" },
});
assert.equal(pictures(reshaped).length, 1);
assert.ok(!text(reshaped).includes("://"));

// What is wrong is for the model to read; a tool that is not there is not.
const refused = await client.callTool({ name: "vary_picture", arguments: { image, size: "1*1" } });
assert.match(text(refused, true), /^size: 1x1 is out of range; expected /);
await assert.rejects(client.callTool({ name: "inpaint", arguments: {} }), (error) => {
  assert.ok(error instanceof McpError, error);
  assert.equal(error.code, -32602);
  return true;
});
await assert.rejects(connect(address, "wrong-key"), (error) => {
  assert.equal(error.code, 401, error);
  assert.match(error.message, /unknown key/);
  return true;
});

// A task that waits is told its place, listed and cancelled.
const idle = await connect(idleAddress, key);
const begun = await idle.callTool({ name: "vary_picture", arguments: { ...settings, wait_seconds: 0 } });
const [, waiting] = text(begun).match(/^Task (\S+) waits: it is the next\./);
assert.match(text(await idle.callTool({ name: "list_tasks", arguments: {} })), new RegExp(`${waiting}: created`));
const stopped = await idle.callTool({ name: "cancel_task", arguments: { task_id: waiting } });
assert.equal(text(stopped), `Task ${waiting} was cancelled.`);
await Promise.all([client.close(), idle.close()]);
console.log("checks passed");
