// fal's SDK 1.10.1, unmodified, against servers, through the proxy that each has.
//
// Usage: check_fal.mjs ADDRESS IDLE_ADDRESS STRICT_ADDRESS KEY PICTURE; nothing is ever started at IDLE_ADDRESS, and
// everything is flagged at STRICT_ADDRESS.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { ApiError, ValidationError, createFalClient, fal } from "@fal-ai/client";

const [address, idleAddress, strictAddress, key, picture] = process.argv.slice(2);
const model = "fal-ai/flux-1/dev/redux";
const content = await readFile(picture);
const dataUri = `data:image/jpeg;base64,${content.toString("base64")}`;
const proxied = (server, credentials) => ({
  proxyUrl: { url: `${server}/api/fal/proxy`, when: "always" },
  credentials,
});
const input = (more) => ({
  image_url: dataUri,
  image_size: { width: 64, height: 48 },
  num_inference_steps: 2,
  seed: 7,
  output_format: "png",
  ...more,
});

async function pictureOf(data) {
  const [image] = data.images;
  assert.deepEqual([image.width, image.height, image.content_type], [64, 48, "image/png"]);
  const file = Buffer.from(await (await fetch(image.url)).arrayBuffer());
  assert.equal(file.length, image.file_size);
  assert.equal(file.subarray(1, 4).toString(), "PNG");
  return file.toString("base64");
}

async function checkRun() {
  const result = await fal.run(model, { input: input(), startTimeout: 60, storageSettings: { expiresIn: "1h" } });
  assert.match(result.requestId, /^[0-9a-f-]{36}$/);
  assert.equal(result.data.seed, 7);
  const expires = Number(new URL(result.data.images[0].url).searchParams.get("expires"));
  const left = expires - Date.now() / 1000;
  assert.ok(left > 3000 && left <= 3600, "an hour was asked for");
  return pictureOf(result.data);
}

async function checkSubscribe(expected) {
  for (const mode of ["polling", "streaming"]) {
    const [ids, updates] = [[], []];
    const result = await fal.subscribe(model, {
      input: input(),
      mode,
      logs: true,
      pollInterval: 20,
      onEnqueue: (id) => ids.push(id),
      onQueueUpdate: (update) => updates.push(structuredClone(update)),
    });
    assert.equal(await pictureOf(result.data), expected, mode);
    assert.deepEqual(ids, [result.requestId]);
    const last = updates.at(-1);
    assert.equal(last.status, "COMPLETED");
    assert.equal(last.request_id, result.requestId);
    const lines = last.logs.map((line) => line.message);
    assert.equal(lines.filter((line) => line === "step 2 of 2").length, 1, `${mode}: each line once`);
    assert.ok(updates.every((update) => ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"].includes(update.status)));
  }
}

async function checkQueue(expected) {
  // Where the end is reported.
  const reports = [];
  const receiver = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      reports.push({ headers: request.headers, body: JSON.parse(Buffer.concat(parts)) });
      response.end();
    });
  });
  await new Promise((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const webhookUrl = `http://127.0.0.1:${receiver.address().port}/hook?a=b&c`;
  const ticket = await fal.queue.submit(model, { input: input(), webhookUrl, priority: "low", hint: "a" });
  const { request_id: requestId } = ticket;
  assert.equal(ticket.status, "IN_QUEUE");
  assert.equal(typeof ticket.queue_position, "number");

  const stream = await fal.queue.streamStatus(model, { requestId, logs: true });
  const statuses = [];
  for await (const status of stream) statuses.push(status);
  const done = await stream.done();
  assert.deepEqual(statuses.at(-1), done);
  assert.equal(stream.requestId, requestId);
  const status = await fal.queue.status(model, { requestId, logs: true });
  assert.equal(status.status, "COMPLETED");
  assert.ok(status.metrics.inference_time > 0);
  assert.equal((await fal.queue.status(model, { requestId })).logs, null);
  const result = await fal.queue.result(model, { requestId });
  assert.equal(result.requestId, requestId);
  assert.equal(await pictureOf(result.data), expected);
  await assert.rejects(fal.queue.cancel(model, { requestId }), (error) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.status, error.body.status], [400, "ALREADY_COMPLETED"]);
    return true;
  });
  for (let tries = 0; reports.length === 0 && tries < 200; tries++) await new Promise((wait) => setTimeout(wait, 50));
  assert.equal(reports[0].headers["x-fal-webhook-request-id"], requestId);
  assert.equal(await pictureOf(reports[0].body.payload), expected);
  receiver.close();
}

async function checkStream(expected) {
  const stream = await fal.stream(model, { input: input() });
  const events = [];
  for await (const event of stream) events.push(event);
  assert.ok(events.some((event) => event.progress?.step === 2));
  assert.equal(await pictureOf(await stream.done()), expected);
  assert.match(stream.requestId, /^[0-9a-f-]{36}$/);
  const refused = await fal.stream(model, { input: input({ num_images: 9 }) });
  await assert.rejects(refused.done(), (error) => error instanceof ValidationError && error.status === 422);
}

/** The way of pages without a key: a token from the proxy, then straight to the service. */
async function checkToken(expected) {
  const direct = [];
  const toServer = (url, options) => {
    const local = String(url).replace("https://fal.run", address);
    if (local !== String(url)) {
      assert.equal(options.headers.authorization ?? options.headers.Authorization, undefined);
      direct.push(local);
    }
    return fetch(local, options);
  };
  const client = createFalClient({ ...proxied(address, key), fetch: toServer });
  const tokenProvider = async (app) => {
    assert.equal(app, `${model}/stream`);
    const response = await fetch(`${address}/tokens/`, {
      method: "POST",
      headers: { Authorization: `Key ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ allowed_apps: [app.split("/")[1]], token_expiration: 60 }),
    });
    return response.json();
  };
  for (const options of [{ tokenProvider }, {}]) {
    const stream = await client.stream(model, { input: input(), connectionMode: "client", ...options });
    assert.equal(await pictureOf(await stream.done()), expected);
  }
  assert.equal(direct.length, 2);
  const other = await client.stream(model, {
    input: input(),
    connectionMode: "client",
    tokenProvider: async () => "made.up",
  });
  await assert.rejects(other.done(), (error) => error instanceof ApiError && error.status === 401);
}

async function checkErrors() {
  for (const call of [fal.run, fal.queue.submit, fal.subscribe]) {
    await assert.rejects(call.call(fal, model, { input: input({ num_images: 9 }) }), (error) => {
      assert.ok(error instanceof ValidationError, error);
      assert.equal(error.status, 422);
      assert.match(error.message, /^num_images: /);
      const [problem] = error.getFieldErrors("num_images");
      assert.equal(problem.type, "less_than_equal");
      assert.equal(error.fieldErrors.length, 1);
      return true;
    });
  }
  const requestId = "6d0b8a0e-7d36-4b83-9d0d-0b7f2a3c9e11";
  const wrong = createFalClient(proxied(address, "a-wrong-key"));
  for (const [status, call] of [
    [404, () => fal.run("fal-ai/flux-1/dev/unknown", { input: input() })],
    [404, () => fal.queue.status(model, { requestId })],
    [404, () => fal.queue.result(model, { requestId })],
    [404, () => fal.queue.cancel(model, { requestId })],
    [401, () => wrong.run(model, { input: input() })],
    [401, () => wrong.storage.upload(new Blob([content]))],
    [404, () => fal.run("other-owner/app", { input: input() })],
  ]) {
    await assert.rejects(call(), (error) => {
      assert.ok(error instanceof ApiError && !(error instanceof ValidationError), error);
      assert.equal(error.status, status);
      assert.ok(error.message === error.body.message && error.message.length > 5, error.message);
      return true;
    });
  }
  // Known to fail only when a worker fetches the picture.
  const missing = { input: input({ image_url: "http://no-such-host.invalid/a.png" }) };
  await assert.rejects(fal.subscribe(model, { ...missing, pollInterval: 20 }), (error) => {
    assert.ok(error instanceof ValidationError, error);
    assert.match(error.requestId, /^[0-9a-f-]{36}$/);
    assert.equal(error.getFieldErrors("image_url")[0].type, "file_download_error");
    return true;
  });
}

async function checkUploads(expected) {
  const file = new File([content], "lake.jpg", { type: "image/jpeg" });
  const url = await fal.storage.upload(file, { lifecycle: { expiresIn: "1h" } });
  const left = Number(new URL(url).searchParams.get("expires")) - Date.now() / 1000;
  assert.ok(left > 3000 && left <= 3600, "an hour was asked for");
  assert.ok(content.equals(Buffer.from(await (await fetch(url)).arrayBuffer())));
  // Files in the input are uploaded on the way.
  for (const image_url of [url, file, new Blob([content], { type: "image/jpeg" })]) {
    assert.equal(await pictureOf((await fal.run(model, { input: input({ image_url }) })).data), expected);
  }
  await assert.rejects(fal.storage.upload(new Blob(["no picture"])), (error) => {
    assert.ok(error instanceof ApiError, error);
    assert.match(error.message, /^file: /);
    return error.status === 400;
  });
  // The SDK cuts larger files into parts; no picture may be that large.
  await assert.rejects(fal.storage.upload(new Blob([Buffer.alloc(90 * 1024 * 1024 + 1)])), /retries exhausted/);
  await checkParts(file, expected);
}

/// The SDK cuts what says that it has more than 90 MB, in parts of 10 MiB; ours are a tenth of the picture each.
async function checkParts(file, expected) {
  const part = 10 * 1024 * 1024;
  const scale = (at) => Math.min(file.size, Math.ceil((at / part) * (file.size / 10)));
  const slice = (start, end) => file.slice(scale(start), scale(end));
  const url = await fal.storage.upload({ name: file.name, type: file.type, size: 10 * part, slice });
  assert.ok(content.equals(Buffer.from(await (await fetch(url)).arrayBuffer())));
  assert.equal(await pictureOf((await fal.run(model, { input: input({ image_url: url }) })).data), expected);
}

async function checkWaiting() {
  const client = createFalClient(proxied(idleAddress, key));
  const start = Date.now();
  await assert.rejects(client.run(model, { input: input(), startTimeout: 1.5 }), (error) => {
    assert.ok(error instanceof ApiError && error.isUserTimeout, error);
    assert.equal(error.body.error_type, "request_timeout");
    assert.match(error.requestId, /^[0-9a-f-]{36}$/);
    return true;
  });
  assert.ok(Date.now() - start < 20_000, "repeated");
  const { request_id: requestId } = await client.queue.submit(model, { input: input() });
  assert.equal((await client.queue.status(model, { requestId })).status, "IN_QUEUE");
  await client.queue.cancel(model, { requestId });
  assert.equal((await client.queue.status(model, { requestId })).error_type, "client_cancelled");
  await assert.rejects(client.queue.result(model, { requestId }), (error) => error.status === 499);
  let timedOut;
  const call = client.subscribe(model, { input: input(), timeout: 500, onEnqueue: (id) => (timedOut = id) });
  await assert.rejects(call, /timed out/);
  for (let tries = 0; ; tries++) {
    const status = await client.queue.status(model, { requestId: timedOut });
    if (status.error_type === "client_cancelled") break;
    assert.ok(tries < 100, "the request that the client gave up is not cancelled");
    await new Promise((wait) => setTimeout(wait, 50));
  }
}

async function checkFlags() {
  for (const [server, flag] of [[address, false], [strictAddress, true]]) {
    const client = createFalClient(proxied(server, key));
    const asked = { input: input({ num_images: 2 }) };
    for (const call of [client.run(model, asked), client.subscribe(model, asked)]) {
      const { data } = await call;
      assert.deepEqual([data.has_nsfw_concepts, data.images.length], [[flag, flag], 2]);
    }
    const unchecked = await client.run(model, { input: input({ enable_safety_checker: false }) });
    assert.deepEqual(unchecked.data.has_nsfw_concepts, [false]);
  }
}

fal.config(proxied(address, key));
const made = await checkRun();
await checkSubscribe(made);
await checkQueue(made);
await checkStream(made);
await checkToken(made);
await checkErrors();
await checkFlags();
await checkUploads(made);
await checkWaiting();
console.log("checks passed");
