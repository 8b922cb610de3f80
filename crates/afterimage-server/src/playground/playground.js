"use strict";

const element = (id) => document.getElementById(id);
const api = (path) => new URL("api/v3/" + path, document.baseURI).href;

let picture = null; // the chosen File
let uploadedAs = null; // its address once it has been uploaded
let running = null; // id of the job that runs

// The key comes in the fragment, which browsers do not send, and goes from there into this tab's memory.
const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.get("key")) {
  sessionStorage.setItem("key", fragment.get("key"));
  history.replaceState(null, "", location.pathname);
}
element("key").value = sessionStorage.getItem("key") || "";
element("key").addEventListener("input", () => sessionStorage.setItem("key", element("key").value));

async function call(path, options = {}) {
  const headers = { Authorization: "Bearer " + element("key").value, ...(options.headers || {}) };
  const response = await fetch(api(path), { ...options, headers });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.message || response.statusText);
  return body.data;
}

const send = (path, body) =>
  call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function show(text, isError = false) {
  element("status").textContent = text;
  element("status").classList.toggle("error", isError);
}

function choose(file) {
  if (!file) return;
  [picture, uploadedAs] = [file, null];
  element("input").src = URL.createObjectURL(file);
  element("input").hidden = false;
  element("hint").hidden = true;
}

async function upload() {
  if (!picture) return null;
  if (!uploadedAs) {
    const form = new FormData();
    form.append("file", picture);
    uploadedAs = (await call("media/upload/binary", { method: "POST", body: form })).download_url;
  }
  return uploadedAs;
}

function settings(image) {
  const body = {};
  if (image) body.image = image;
  if (element("prompt").value) body.prompt = element("prompt").value;
  body.num_images = Number(element("num_images").value);
  body.num_inference_steps = Number(element("num_inference_steps").value);
  body.guidance_scale = Number(element("guidance_scale").value);
  body.seed = Number(element("seed").value);
  body.output_format = "png";
  if (element("model").value.includes("image-to-image")) body.strength = Number(element("strength").value);
  else body.size = element("size").value;
  return body;
}

// Server-sent events, read by fetch since EventSource cannot send the key.
async function watch(id) {
  const headers = { Authorization: "Bearer " + element("key").value, Accept: "text/event-stream" };
  const response = await fetch(api(`predictions/${id}/events`), { headers });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const text of events) {
      const data = text.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data) progress(JSON.parse(data));
    }
  }
}

function progress(event) {
  if (event.type === "stage") show(event.stage.replace("_", " ") + " …");
  if (event.type === "step") {
    element("progress").hidden = false;
    element("progress").max = event.total;
    element("progress").value = event.done;
    show(`step ${event.done} of ${event.total}`);
  }
  if (event.type === "preview") showPictures([event.url]);
}

function showPictures(addresses) {
  const pictures = addresses.map((address) => {
    const link = document.createElement("a");
    const image = document.createElement("img");
    image.src = address;
    image.alt = "result";
    if (!address.startsWith("data:")) link.href = address;
    link.append(image);
    return link;
  });
  element("results").replaceChildren(...pictures);
}

async function run() {
  element("run").disabled = true;
  element("progress").hidden = true;
  element("results").replaceChildren();
  try {
    show("sending …");
    const model = element("model").value;
    const body = settings(await upload());
    element("curl").textContent =
      `curl -X POST ${api(model)} \\\n  -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\\n  -d '${JSON.stringify(body)}'`;
    const job = await send(model, body);
    running = job.id;
    element("cancel").disabled = false;
    await watch(job.id).catch(() => {});
    let result = await call(`predictions/${job.id}/result`);
    while (result.status === "created" || result.status === "processing") {
      await new Promise((resolve) => setTimeout(resolve, 500));
      result = await call(`predictions/${job.id}/result`);
    }
    if (result.status !== "completed") throw new Error(result.error || result.status);
    showPictures(result.outputs);
    const flagged = result.has_nsfw_contents.filter(Boolean).length;
    const note = flagged ? `; ${flagged} flagged by the safety checker` : "";
    show(`done in ${(result.timings.inference / 1000).toFixed(1)} s${note}`);
  } catch (error) {
    show(error.message, true);
  } finally {
    running = null;
    element("run").disabled = false;
    element("cancel").disabled = true;
    element("progress").hidden = true;
  }
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
element("cancel").addEventListener("click", () => {
  if (running) call(`predictions/${running}/cancel`, { method: "POST" }).catch((error) => show(error.message, true));
});
element("file").addEventListener("change", () => choose(element("file").files[0]));
document.addEventListener("paste", (event) => choose(event.clipboardData.files[0]));
for (const name of ["dragover", "dragleave", "drop"]) {
  element("drop").addEventListener(name, (event) => {
    event.preventDefault();
    element("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") choose(event.dataTransfer.files[0]);
  });
}

async function listModels() {
  try {
    const models = await call("models");
    element("model").replaceChildren(...models.map((model) => new Option(model.name, model.model_id)));
    show("");
  } catch (error) {
    show(error.message, true);
  }
}
element("key").addEventListener("change", listModels);
listModels();
