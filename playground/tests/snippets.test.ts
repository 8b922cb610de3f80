import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { snippet } from "../src/snippets";
import { DIALECTS, flowOf, LANGUAGES, mediaType, type SnippetInput, type Source } from "../src/snippets/input";
import { reduxControls, reshapeControls } from "./models";
import { after, callsOf, UPLOADED } from "./shell";

const PROMPT = 'it\'s a "lake"\nat $HOME; `dusk` \\ 雪';
const file = (name: string): Source => ({ kind: "file", name });

const redux: SnippetInput = {
  base: "http://127.0.0.1:8080",
  model: "wavespeed-ai/flux-redux-pro",
  controls: reduxControls,
  values: { prompt: PROMPT, seed: 7, size: { width: 512, height: 768 }, num_images: 2, redux_strength: 0.5 },
  pictures: [{ source: file("lake.jpg"), weight: null }],
  key: null,
};
const dev: SnippetInput = { ...redux, model: "wavespeed-ai/flux-redux-dev" };
const reshape: SnippetInput = {
  ...redux,
  model: "wavespeed-ai/flux-srpo/image-to-image",
  controls: reshapeControls,
  values: { prompt: PROMPT, seed: 7, strength: 0.6, loras: [{ path: "film", scale: 0.5 }] },
};
const mixed: SnippetInput = {
  ...redux,
  pictures: [
    { source: file("lake.jpg"), weight: 0.7 },
    { source: { kind: "url", url: "https://example.org/a'b.jpg?x=1&y=2" }, weight: null },
  ],
};
const byAddress: SnippetInput = { ...redux, pictures: mixed.pictures.slice(1) };
const maskOf = (name: string) => ({ mask: file(name) });
/** All that is finer: masks, a start, a level, and a second seed. */
const finer: SnippetInput = {
  ...redux,
  values: { ...redux.values, balance: "even", strength: 0.6, variation_strength: 0.1, variation_seed: 4 },
  pictures: [
    { source: file("lake.jpg"), weight: null },
    { source: file("boat.jpg"), weight: null, ...maskOf("mask-2.png") },
  ],
  start: file("start.jpg"),
};
const painted: SnippetInput = {
  ...reshape,
  values: { ...reshape.values, mask_blur: 4, mask_crop: 32, variation_strength: 0.1, variation_seed: 4 },
  pictures: [{ source: file("lake.jpg"), weight: null, ...maskOf("mask.png") }],
};
const FILES = {
  "lake.jpg": "JPEG bytes",
  "boat.jpg": "boat",
  "mask.png": "mask",
  "mask-2.png": "mask 2",
  "start.jpg": "start",
};

function code(dialect: (typeof DIALECTS)[number], language: (typeof LANGUAGES)[number], input: SnippetInput): string {
  const { code: text } = snippet(dialect, language, input);
  if (text === null) throw new Error(`no ${dialect} in ${language}`);
  return text;
}

describe("curl", () => {
  test("WaveSpeed: uploads, sends, saves all results", () => {
    const [upload, send, ...saves] = callsOf(code("wavespeed", "curl", mixed), FILES);
    expect(upload).toContain("http://127.0.0.1:8080/api/v3/media/upload/binary");
    expect(after(upload, "-F")).toBe("file=@lake.jpg");
    expect(after(upload, "-H")).toBe("Authorization: Bearer the key");
    expect(send).toContain("http://127.0.0.1:8080/api/v3/wavespeed-ai/flux-redux-pro");
    expect(JSON.parse(after(send, "-d") ?? "")).toEqual({
      image: UPLOADED,
      images: ["https://example.org/a'b.jpg?x=1&y=2"],
      image_weights: [0.7, 0.5],
      prompt: PROMPT,
      size: "512*768",
      seed: 7,
      num_images: 2,
      redux_strength: 0.5,
      enable_sync_mode: true,
    });
    expect(saves.map((call) => after(call, "-o"))).toEqual(["result-1.jpeg", "result-2.jpeg"]);
    expect(saves[1]?.some((word) => word.endsWith("signature=y"))).toBe(true);
  });

  test("WaveSpeed: nothing is uploaded that has an address, or that is not there", () => {
    expect(callsOf(code("wavespeed", "curl", byAddress))).toHaveLength(3);
    const [send] = callsOf(code("wavespeed", "curl", { ...reshape, pictures: [] }));
    expect(JSON.parse(after(send, "-d") ?? "")).not.toHaveProperty("image");
  });

  test("fal: pictures are inlined, what differs in its defaults is there", () => {
    const [send, ...saves] = callsOf(code("fal", "curl", mixed), FILES);
    expect(send).toContain("http://127.0.0.1:8080/fal-ai/flux-pro/v1.1/redux");
    expect(after(send, "-H")).toBe("Authorization: Key the key");
    expect(JSON.parse(after(send, "STDIN") ?? "")).toEqual({
      image_url: `data:image/jpeg;base64,${btoa("JPEG bytes")}`,
      image_urls: ["https://example.org/a'b.jpg?x=1&y=2"],
      image_weights: [0.7, 0.5],
      prompt: PROMPT,
      image_size: { width: 512, height: 768 },
      num_inference_steps: 28,
      guidance_scale: 3.5,
      seed: 7,
      num_images: 2,
      redux_strength: 0.5,
      output_format: "jpeg",
    });
    expect(saves).toHaveLength(2);
    const [direct] = callsOf(code("fal", "curl", byAddress));
    expect(JSON.parse(after(direct, "-d") ?? "")).toMatchObject({ image_url: "https://example.org/a'b.jpg?x=1&y=2" });
  });

  test("OpenAI: fields of a form, taken as they are", () => {
    const [vary] = callsOf(code("openai", "curl", redux), FILES);
    expect(vary).toContain("http://127.0.0.1:8080/v1/images/variations");
    expect(after(vary, "-F")).toBe("image=@lake.jpg");
    for (const field of [
      "size=512x768",
      "n=2",
      `prompt=${PROMPT}`,
      "seed=7",
      "num_inference_steps=28",
      "redux_strength=0.5",
    ]) {
      expect(vary).toContain(field);
      expect(vary?.[vary.indexOf(field) - 1]).toBe("--form-string");
    }
    const [edit] = callsOf(code("openai", "curl", reshape), FILES);
    expect(edit).toContain("http://127.0.0.1:8080/v1/images/edits");
    expect(edit).toContain("strength=0.6");
    expect(edit).toContain('loras=[{"path":"film","scale":0.5}]');
  });

  test("files with odd names are found", () => {
    const odd = { ...redux, pictures: [{ source: file("a;b 'c\".png"), weight: null }] };
    expect(after(callsOf(code("wavespeed", "curl", odd))[0], "-F")).toBe('file=@"a;b \'c\\".png"');
    const [send] = callsOf(code("fal", "curl", odd), { "a;b 'c\".png": "x" });
    expect(JSON.parse(after(send, "STDIN") ?? "")).toMatchObject({ image_url: `data:image/png;base64,${btoa("x")}` });
  });
});

describe("finer control", () => {
  test("WaveSpeed: masks and start are uploaded, too", () => {
    const calls = callsOf(code("wavespeed", "curl", finer), FILES);
    const uploads = calls.filter((call) => call.some((word) => word.endsWith("upload/binary")));
    expect(uploads.map((call) => after(call, "-F"))).toEqual([
      "file=@lake.jpg",
      "file=@boat.jpg",
      "file=@mask-2.png",
      "file=@start.jpg",
    ]);
    const body = JSON.parse(after(calls[4], "-d") ?? "");
    expect(body).toMatchObject({
      image_masks: ["none", UPLOADED],
      init_image: UPLOADED,
      strength: 0.6,
      balance: "even",
      variation_seed: 4,
      variation_strength: 0.1,
    });
    expect(body).not.toHaveProperty("redux_strength");
  });

  test("WaveSpeed: reshaping under a mask", () => {
    const [, , send] = callsOf(code("wavespeed", "curl", painted), FILES);
    expect(JSON.parse(after(send, "-d") ?? "")).toMatchObject({ mask_image: UPLOADED, mask_blur: 4, mask_crop: 32 });
  });

  test("the first picture is one file, also when it is started from", () => {
    const calls = callsOf(code("wavespeed", "curl", { ...redux, start: "first" }), FILES);
    expect(calls.filter((call) => call.some((word) => word.endsWith("upload/binary")))).toHaveLength(1);
    expect(JSON.parse(after(calls[1], "-d") ?? "")).toMatchObject({ image: UPLOADED, init_image: UPLOADED });
  });

  test("fal: its own names", () => {
    const inline = (type: string, text: string) => `data:image/${type};base64,${btoa(text)}`;
    const [vary] = callsOf(code("fal", "curl", finer), FILES);
    const body = JSON.parse(after(vary, "STDIN") ?? "");
    expect(body).toMatchObject({
      image_mask_urls: ["none", inline("png", "mask 2")],
      init_image_url: inline("jpeg", "start"),
      strength: 0.6,
      balance: "even",
      variation_seed: 4,
      variation_strength: 0.1,
    });
    for (const name of ["image_masks", "init_image", "redux_strength"]) expect(body).not.toHaveProperty(name);
    const [edit] = callsOf(code("fal", "curl", painted), FILES);
    const edited = JSON.parse(after(edit, "STDIN") ?? "");
    expect(edited).toMatchObject({ mask_url: inline("png", "mask"), mask_blur: 4, mask_crop: 32, strength: 0.6 });
    expect(edited).not.toHaveProperty("mask_image");
    expect(edited).not.toHaveProperty("keep_outside");
  });

  test("OpenAI: the mask of an edit is a file, and what it leaves out is said", () => {
    const [edit] = callsOf(code("openai", "curl", painted), FILES);
    expect(edit).toContain("mask=@mask.png");
    for (const field of ["mask_blur=4", "mask_crop=32", "keep_outside=false"]) expect(edit).toContain(field);
    expect(edit?.some((word) => word.startsWith("variation"))).toBe(false);
    expect(code("openai", "python", painted)).toContain('mask=open("mask.png", "rb"),');
    expect(code("openai", "javascript", painted)).toContain('mask: createReadStream("mask.png"),');
    expect(snippet("openai", "curl", painted).notes).toEqual(["maskTransparent", "controlsLeftOut"]);
    const kept = { ...painted, values: { ...painted.values, keep_outside: true } };
    expect(callsOf(code("openai", "curl", kept), FILES)[0]).toContain("keep_outside=true");
  });

  test("OpenAI: variations have levels, and nothing else of it", () => {
    const [vary] = callsOf(code("openai", "curl", finer), FILES);
    expect(vary).toContain("balance=even");
    expect(vary?.some((word) => /mask|init|variation_|strength=/.test(word))).toBe(false);
    expect(snippet("openai", "curl", finer).notes).toEqual(["controlsLeftOut", "onePictureOnly"]);
    expect(snippet("openai", "curl", redux).notes).toEqual([]);
  });
});

describe("all examples", () => {
  const inputs = {
    redux,
    dev,
    reshape,
    mixed,
    byAddress,
    finer,
    painted,
    secure: { ...redux, base: "https://host/prefix" },
  };
  const hasPython = spawnSync("python3", ["--version"]).status === 0;

  for (const [name, input] of Object.entries(inputs)) {
    for (const dialect of DIALECTS) {
      test(`${name} ${dialect} can be parsed`, () => {
        const module = spawnSync("node", ["--input-type=module", "--check"], {
          input: code(dialect, "javascript", input),
          encoding: "utf8",
        });
        expect(module.stderr).toBe("");
        if (!hasPython) return;
        const parse = "import ast, sys; ast.parse(sys.stdin.buffer.read())";
        expect(
          spawnSync("python3", ["-c", parse], { input: code(dialect, "python", input), encoding: "utf8" }).stderr,
        ).toBe("");
      });
    }
  }

  test("never hold the key unless it is shown", () => {
    for (const dialect of DIALECTS) {
      for (const language of LANGUAGES) {
        expect(code(dialect, language, redux)).toContain("AFTERIMAGE_API_KEY");
        const shown = code(dialect, language, { ...redux, key: "it's a key" });
        expect(shown).not.toContain("AFTERIMAGE_API_KEY");
        expect(shown).toMatch(/it('|'\\'')s a key/);
      }
    }
    const [send] = callsOf(code("openai", "curl", { ...redux, key: "it's a key" }), FILES);
    expect(after(send, "-H")).toBe("Authorization: Bearer it's a key");
  });

  test("know the server's address, also below a prefix", () => {
    for (const dialect of DIALECTS) {
      for (const language of LANGUAGES) {
        const text = code(dialect, language, inputs.secure);
        expect(text).toContain("host/prefix");
        expect(text).not.toContain("prefix//");
      }
    }
    expect(code("fal", "python", inputs.secure)).toContain('"host/prefix/queue"');
  });

  test("save PNG as PNG", () => {
    const png = { ...redux, values: { ...redux.values, output_format: "png" } };
    for (const dialect of DIALECTS)
      for (const language of LANGUAGES) expect(code(dialect, language, png)).toMatch(/result-.*\.png/);
  });
});

describe("what a dialect cannot do is said", () => {
  test("fal", () => {
    expect(snippet("fal", "curl", dev).notes).toEqual(["falPromptLeftOut"]);
    expect(code("fal", "curl", dev)).not.toContain("lake\\");
    expect(code("fal", "curl", dev)).toContain("fal-ai/flux-1/dev/redux");
    expect(snippet("fal", "curl", { ...reshape, pictures: [] })).toEqual({ code: null, notes: ["needsPicture"] });
    expect(snippet("fal", "python", redux).notes).toEqual(["falNeedsHttps"]);
    expect(code("fal", "python", redux)).not.toContain("fal_client");
    const secure = { ...redux, base: "https://host" };
    expect(snippet("fal", "python", secure).notes).toEqual(["falCertificate"]);
    expect(code("fal", "python", secure)).toContain("import fal_client");
  });

  test("OpenAI", () => {
    expect(snippet("openai", "curl", mixed).notes).toEqual(["onePictureOnly"]);
    expect(snippet("openai", "curl", { ...reshape, pictures: [] })).toEqual({ code: null, notes: ["needsPicture"] });
    expect(snippet("openai", "curl", { ...reshape, values: {} })).toEqual({ code: null, notes: ["needsPrompt"] });
    const unchecked = { ...redux, values: { enable_safety_checker: false } };
    expect(snippet("openai", "curl", unchecked).notes).toEqual(["safetyAlwaysOn"]);
  });

  test("other models", () => {
    const other = { ...redux, model: "somebody/else" };
    expect(snippet("fal", "curl", other)).toEqual({ code: null, notes: ["unknownModel"] });
    expect(snippet("openai", "python", other)).toEqual({ code: null, notes: ["unknownModel"] });
    expect(snippet("wavespeed", "python", other).code).toContain("somebody/else");
  });
});

test("models and media types are recognised", () => {
  expect([redux, dev, reshape].map(({ model }) => flowOf(model))).toEqual(["redux-pro", "redux-dev", "image-to-image"]);
  expect(["a.PNG", "b.jpg", "c.tif", "d", "e.webp"].map(mediaType)).toEqual([
    "image/png",
    "image/jpeg",
    "image/tiff",
    "image/jpeg",
    "image/webp",
  ]);
});
