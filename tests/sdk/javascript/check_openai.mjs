// OpenAI's SDK 6.49.0, unmodified, against a server: it sends the file first and the body in chunks.
//
// Usage: check_openai.mjs ADDRESS STRICT_ADDRESS KEY PICTURE; the second server runs with --safety-threshold 0.

import assert from "node:assert/strict";
import { createReadStream } from "node:fs";
import OpenAI, { toFile } from "openai";

const [address, strictAddress, key, picture] = process.argv.slice(2);
const model = "black-forest-labs/FLUX-1-Redux-dev";
const options = { model, n: 2, size: "256x256", seed: 7, num_inference_steps: 1 };

async function file(item) {
  if (item.b64_json) return Buffer.from(item.b64_json, "base64");
  return Buffer.from(await (await fetch(item.url)).arrayBuffer());
}

const made = [];
for (const [base, shape] of [["/v1/openai", "b64_json"], ["/v1", "url"]]) {
  const client = new OpenAI({ baseURL: address + base, apiKey: key });
  assert.equal((await client.models.retrieve(model)).id, model);
  const answer = await client.images.createVariation({ image: createReadStream(picture), ...options });
  assert.ok(answer._request_id);
  assert.ok(answer.data.every((item) => item[shape]), shape);
  const files = await Promise.all(answer.data.map(file));
  assert.equal(files.length, 2);
  assert.ok(!files[0].equals(files[1]));
  made.push(files);

  const image = await toFile(files[0], "a.png");
  const edit = await client.images.edit({ image: [image], prompt: "a lake", num_inference_steps: 2 });
  assert.equal((await file(edit.data[0])).subarray(1, 4).toString(), "PNG");

  // All of it is transparent: a mask that changes everything.
  const clear = Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR4nGNgAAIAAAUAAXpeqz8AAAAASUVORK5CYII=",
    "base64",
  );
  const mask = await toFile(clear, "mask.png");
  const masked = await client.images.edit({ image, mask, prompt: "a lake", num_inference_steps: 2 });
  assert.equal((await file(masked.data[0])).subarray(1, 4).toString(), "PNG");
  // A mask without transparency says nothing.
  await assert.rejects(client.images.edit({ image, mask: image, prompt: "a lake" }), { status: 400, param: "mask" });

  const events = [];
  const prompt = "a lake";
  const stream = { image, prompt, stream: true, partial_images: 2, num_inference_steps: 50 };
  for await (const event of await client.images.edit(stream)) events.push(event);
  const last = events.pop();
  assert.equal(last.type, "image_edit.completed");
  assert.ok(events.length >= 1 && events.length <= 2, `${events.length} previews`);
  events.forEach((event, index) => {
    assert.equal(event.type, "image_edit.partial_image");
    assert.equal(event.partial_image_index, index);
  });
  for (const event of [...events, last]) {
    assert.equal((await file(event)).subarray(1, 4).toString(), "PNG");
    assert.equal(event.size, "256x256");
  }
  await assert.rejects(client.images.edit({ image, prompt, n: 2, stream: true }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, error);
    assert.equal(error.param, "n");
    return true;
  });

  await assert.rejects(client.images.createVariation({ image, n: 9 }), (error) => {
    assert.ok(error instanceof OpenAI.BadRequestError, error);
    assert.equal(error.param, "n");
    return true;
  });
  await assert.rejects(client.images.createVariation({ image, model: "dall-e-2" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError, error);
    assert.equal(error.code, "model_not_found");
    return true;
  });
}
// What is flagged is an error.
for (const base of ["/v1/openai", "/v1"]) {
  const client = new OpenAI({ baseURL: strictAddress + base, apiKey: key });
  const isBlocked = (error) => {
    assert.ok(error instanceof OpenAI.APIError, error);
    assert.deepEqual([error.code, error.type, error.param], ["moderation_blocked", "image_generation_user_error", null]);
    return true;
  };
  const image = await toFile(made[0][0], "a.png");
  const edit = { image, prompt: "a lake", num_inference_steps: 1 };
  const variations = client.images.createVariation({ image, n: 2, size: "256x256", num_inference_steps: 1 });
  await assert.rejects(variations, (error) => isBlocked(error) && error instanceof OpenAI.BadRequestError);
  await assert.rejects(client.images.edit(edit), isBlocked);
  const streamed = async () => {
    for await (const event of await client.images.edit({ ...edit, stream: true })) assert.fail(event.type);
  };
  await assert.rejects(streamed(), isBlocked);
}
// The same seed makes the same pictures.
assert.deepEqual(made[0], made[1]);
console.log("checks passed");
