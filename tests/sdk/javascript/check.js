// The official SDK, unmodified, against a server.
//
// Usage: node check.js ADDRESS IMPATIENT_ADDRESS STRICT_ADDRESS KEY PHOTO
//
// All servers run with --allow-private-networks, the second with --sync-timeout 1 too, the third with --safety-threshold 0.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import {
  Client,
  WavespeedPredictionException,
  WavespeedSubmissionException,
  WavespeedSyncTimeoutException,
  version,
} from "wavespeed";
import { startNeighbour } from "./neighbour.js";
import { isGenuine } from "./webhook_signature.js";

const [address, impatientAddress, strictAddress, key, photo] = process.argv.slice(2);
const DEV = "wavespeed-ai/flux-redux-dev";
const PRO = "wavespeed-ai/flux-redux-pro";
const SRPO = "wavespeed-ai/flux-srpo/image-to-image";
const SMALL = { size: "256*256", num_inference_steps: 2, seed: 7 };
const QUICKLY = { pollInterval: 0.1 };
const SYNC = { enableSyncMode: true };

const photoBytes = readFileSync(photo);
const client = new Client(key, { baseUrl: address });

// The routes that the SDK has no function for.
async function call(method, path, { base = address, json, form } = {}) {
  const headers = { Authorization: `Bearer ${key}` };
  const body = form ?? (json && JSON.stringify(json));
  const response = await fetch(`${base}/api/v3/${path}`, { method, headers, body });
  const envelope = await response.json();
  assert.equal(response.status, 200, JSON.stringify(envelope));
  assert.deepEqual([envelope.code, envelope.message], [200, "success"]);
  return envelope.data;
}

// The file at `url`, read without a key.
async function read(url) {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  return Buffer.from(await response.arrayBuffer());
}

function isJpeg(bytes) {
  return bytes.subarray(0, 3).equals(Buffer.from([0xff, 0xd8, 0xff])) && bytes.at(-2) === 0xff && bytes.at(-1) === 0xd9;
}

function pngSize(bytes) {
  assert.equal(bytes.toString("latin1", 1, 4), "PNG");
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

const checks = {
  async "upload, then run and poll"() {
    const picture = await client.upload(photo);
    assert.ok((await read(picture)).equals(photoBytes));
    const { outputs } = await client.run(DEV, { image: picture, ...SMALL }, QUICKLY);
    assert.equal(outputs.length, 1);
    assert.ok(isJpeg(await read(outputs[0])));
  },

  async "upload in a form"() {
    const form = new FormData();
    form.append("file", new Blob([photoBytes]), "lake.jpg");
    const data = await call("POST", "media/upload/binary", { form });
    assert.deepEqual([data.type, data.filename, data.size], ["image", "lake.jpg", photoBytes.length]);
    const { outputs } = await client.run(DEV, { image: data.download_url, ...SMALL }, QUICKLY);
    assert.ok(isJpeg(await read(outputs[0])));
  },

  async "sync mode with several PNG"(neighbour) {
    const request = { image: `${neighbour.address}/photo.jpg`, prompt: "at dusk", ...SMALL };
    Object.assign(request, { size: "320*256", num_images: 2, output_format: "png" });
    const { outputs } = await client.run(PRO, request, SYNC);
    const sizes = await Promise.all(outputs.map(async (url) => pngSize(await read(url))));
    assert.deepEqual(sizes, [[320, 256], [320, 256]]);
  },

  async "image-to-image keeps the size"() {
    const made = await client.run(DEV, { image: await client.upload(photo), ...SMALL, size: "256*320" }, SYNC);
    const request = { prompt: "in autumn", image: made.outputs[0], strength: 0.9, num_inference_steps: 2 };
    const { outputs } = await client.run(SRPO, { ...request, output_format: "png" }, SYNC);
    assert.deepEqual(pngSize(await read(outputs[0])), [256, 320]);
  },

  async "base64 output"() {
    const image = `data:image/jpeg;base64,${photoBytes.toString("base64")}`;
    const request = { image, ...SMALL, enable_base64_output: true };
    for (const options of [SYNC, QUICKLY]) {
      const { outputs } = await client.run(DEV, request, options);
      assert.match(outputs[0], /^[A-Za-z0-9+/]+=*$/);
      assert.ok(isJpeg(Buffer.from(outputs[0], "base64")));
    }
  },

  async "flags are booleans"() {
    for (const [base, flag] of [[address, false], [strictAddress, true]]) {
      const server = new Client(key, { baseUrl: base });
      const request = { image: await server.upload(photo), ...SMALL, num_images: 2 };
      const flags = async (more) => {
        const { outputs, detail } = await server.runNoThrow(DEV, { ...request, ...more }, QUICKLY);
        assert.equal(outputs.length, 2);
        return (await call("GET", `predictions/${detail.taskId}`, { base })).has_nsfw_contents;
      };
      assert.deepEqual(await flags({}), [flag, flag]);
      assert.deepEqual(await flags({ enable_safety_checker: false }), [false, false]);
    }
  },

  async "webhook is signed"(neighbour) {
    const { secret } = await call("GET", "webhook/secret");
    const request = { image: await client.upload(photo), ...SMALL, webhook_url: neighbour.address };
    const { detail } = await client.runNoThrow(DEV, request, QUICKLY);
    assert.equal(detail.status, "completed");
    const { headers, body } = await neighbour.nextWebhook();
    assert.ok(isGenuine(headers, body, secret));
    assert.ok(!isGenuine(headers, Buffer.concat([body, Buffer.from(" ")]), secret));
    const prediction = JSON.parse(body.toString());
    assert.deepEqual([prediction.id, prediction.status], [detail.taskId, "completed"]);
    assert.ok(isJpeg(await read(prediction.outputs[0])));
  },

  async "a failed task raises"(neighbour) {
    const request = { image: `${neighbour.address}/text.jpg`, ...SMALL };
    await assert.rejects(client.run(DEV, request, QUICKLY), /^Error: Prediction failed \(task_id: .*\): .*image/);
    for (const options of [SYNC, QUICKLY]) {
      const { outputs, detail } = await client.runNoThrow(DEV, request, options);
      assert.equal(outputs, null);
      assert.equal(detail.status, "failed");
      assert.notEqual(detail.taskId, "unknown");
      assert.ok(detail.error instanceof WavespeedPredictionException, detail.error);
    }
  },

  async "a refused request raises"() {
    const image = await client.upload(photo);
    const isRefusal = (status, field) => (error) =>
      error instanceof WavespeedSubmissionException &&
      error.message.includes(`HTTP ${status}`) &&
      error.message.includes(field);
    await assert.rejects(client.run(DEV, { image, size: "99*99" }), isRefusal(400, "size"));
    await assert.rejects(client.run(PRO, { prompt: "without a picture" }), isRefusal(400, "image"));
    await assert.rejects(client.run("wavespeed-ai/no-such-model", {}), isRefusal(404, "no-such-model"));
  },

  async "a wrong key is refused"() {
    const stranger = new Client("some-other-key", { baseUrl: address });
    await assert.rejects(stranger.run(DEV, { image: "x" }), /HTTP 401/);
    await assert.rejects(stranger.upload(photo), /HTTP 401/);
  },

  async "list and delete"() {
    const request = { image: await client.upload(photo), ...SMALL };
    const { outputs, detail } = await client.runNoThrow(DEV, request, QUICKLY);
    const page = await call("POST", "predictions", { json: { page: 1, page_size: 5, status: "completed" } });
    assert.equal(page.items[0].id, detail.taskId);
    const deleted = await call("POST", "predictions/delete", { json: { ids: [detail.taskId] } });
    assert.equal(deleted.deleted_count, 1);
    assert.ok([404, 410].includes((await fetch(outputs[0])).status));
  },

  // Last: the long task is deleted, which stops it.
  async "sync mode that times out"() {
    const impatient = new Client(key, { baseUrl: impatientAddress });
    const image = await impatient.upload(photo);
    const request = { image, size: "1536*1536", num_inference_steps: 50, num_images: 4 };
    const { outputs, detail } = await impatient.runNoThrow(DEV, request, SYNC);
    assert.equal(outputs, null);
    assert.equal(detail.status, "processing");
    assert.ok(detail.error instanceof WavespeedSyncTimeoutException, detail.error);
    assert.equal(detail.resultUrl, `${impatientAddress}/api/v3/predictions/${detail.taskId}/result`);
    const { status } = await call("GET", `predictions/${detail.taskId}/result`, { base: impatientAddress });
    assert.ok(["created", "processing"].includes(status), status);
    const ids = { ids: [detail.taskId] };
    const deleted = await call("POST", "predictions/delete", { base: impatientAddress, json: ids });
    assert.equal(deleted.deleted_count, 1);
  },
};

assert.equal(version, "0.3.2");
const neighbour = await startNeighbour(photoBytes);
for (const [name, check] of Object.entries(checks)) {
  console.log(name);
  await check(neighbour);
}
neighbour.stop();
console.log(`${Object.keys(checks).length} checks passed`);
