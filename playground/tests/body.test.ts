import { describe, expect, test } from "vitest";
import { bodyOf, drawnSeed, equalWeight, fitted, valueOf, valuesFrom, withNearSeed } from "../src/model/body";
import { find, controlsOf } from "../src/model/controls";
import { asSettings, withoutMasks } from "../src/model/foreign";
import { OLD_REDUX, reduxControls, reshapeControls } from "./models";

const one = [{ address: "https://a/1", weight: null }];

describe("the body of a request", () => {
  test("has size and seed, and leaves defaults out", () => {
    expect(bodyOf(reduxControls, { seed: 7 }, one)).toEqual({ image: "https://a/1", size: "1024*1024", seed: 7 });
    const values = { seed: 7, num_inference_steps: 28, guidance_scale: 4, prompt: "  ", output_format: "png" };
    expect(bodyOf(reduxControls, values, one)).toEqual({
      image: "https://a/1",
      size: "1024*1024",
      seed: 7,
      guidance_scale: 4,
      output_format: "png",
    });
  });

  test("has no size where the model has none", () => {
    expect(bodyOf(reshapeControls, { prompt: "a lake", strength: 0.5 }, [])).toEqual({
      prompt: "a lake",
      strength: 0.5,
    });
  });

  test("sends what is out of range, so that the server says what is wrong", () => {
    expect(bodyOf(reduxControls, { num_inference_steps: 99 }, one)).toMatchObject({ num_inference_steps: 99 });
  });

  test("has further pictures, and weights only where somebody set one", () => {
    const two = [...one, { address: "https://a/2", weight: null }];
    expect(bodyOf(reduxControls, {}, two)).toMatchObject({ image: "https://a/1", images: ["https://a/2"] });
    expect(bodyOf(reduxControls, {}, two)).not.toHaveProperty("image_weights");
    const weighted = [...one, { address: "https://a/2", weight: 0.8 }];
    expect(bodyOf(reduxControls, {}, weighted)).toMatchObject({ image_weights: [0.5, 0.8] });
  });

  test("has one picture where the model takes one", () => {
    const two = [...one, { address: "https://a/2", weight: 2 }];
    const body = bodyOf(controlsOf(OLD_REDUX), {}, two);
    expect(body).toMatchObject({ image: "https://a/1" });
    expect(body).not.toHaveProperty("images");
    expect(body).not.toHaveProperty("image_weights");
  });

  test("has LoRAs when some are chosen", () => {
    expect(bodyOf(reduxControls, { loras: [] }, one)).not.toHaveProperty("loras");
    const loras = [{ path: "film", scale: 0.5 }];
    expect(bodyOf(reduxControls, { loras }, one)).toMatchObject({ loras });
  });
});

describe("masks, starts and levels", () => {
  const masked = { address: "https://a/1", weight: null, mask: "data:m" };
  const plain = { address: "https://a/2", weight: null, mask: null };

  test("variations have a mask for each picture up to the last that has one", () => {
    expect(bodyOf(reduxControls, {}, [masked, plain])).toMatchObject({ image_masks: ["data:m"] });
    expect(bodyOf(reduxControls, {}, [plain, masked, plain])).toMatchObject({ image_masks: ["none", "data:m"] });
    expect(bodyOf(reduxControls, {}, [plain, plain])).not.toHaveProperty("image_masks");
    expect(bodyOf(controlsOf(OLD_REDUX), {}, [masked])).not.toHaveProperty("image_masks");
  });

  test("reshaping has the only picture's mask, and says how it is used only then", () => {
    const values = { prompt: "x", mask_blur: 4, mask_crop: 32, keep_outside: true };
    expect(bodyOf(reshapeControls, values, [masked])).toMatchObject({ mask_image: "data:m", ...values });
    expect(bodyOf(reshapeControls, values, [plain])).toEqual({ image: "https://a/2", prompt: "x" });
    expect(bodyOf(reshapeControls, values, [])).toEqual({ prompt: "x" });
    expect(bodyOf(reshapeControls, values, [masked])).not.toHaveProperty("image_masks");
  });

  test("a strength without a picture to start from is not sent, but in reshaping", () => {
    const values = { strength: 0.4 };
    expect(bodyOf(reduxControls, values, one)).not.toHaveProperty("strength");
    expect(bodyOf(reduxControls, values, one, "https://a/s")).toMatchObject({
      init_image: "https://a/s",
      strength: 0.4,
    });
    expect(bodyOf(reshapeControls, values, one, "https://a/s")).toEqual({ image: "https://a/1", strength: 0.4 });
  });

  test("a level stands in place of the two numbers", () => {
    const numbers = { redux_strength: 0.5, redux_downsample: 3 };
    expect(bodyOf(reduxControls, { ...numbers, balance: "custom" }, one)).toMatchObject(numbers);
    const level = bodyOf(reduxControls, { ...numbers, balance: "even" }, one);
    expect(level).toMatchObject({ balance: "even" });
    expect(level).not.toHaveProperty("redux_strength");
    expect(level).not.toHaveProperty("redux_downsample");
  });

  test("a second seed is drawn, and sent where it counts", () => {
    const drawn = withNearSeed(reduxControls, { variation_strength: 0.1 }, () => 0.5);
    expect(bodyOf(reduxControls, drawn, one)).toMatchObject({ variation_strength: 0.1, variation_seed: 1073741824 });
    expect(bodyOf(reduxControls, { variation_seed: 5 }, one)).not.toHaveProperty("variation_seed");
    expect(withNearSeed(reduxControls, { variation_seed: 0 })).toEqual({ variation_seed: 0 });
    expect(withNearSeed(controlsOf(OLD_REDUX), {})).toEqual({});
  });

  test("come back from a task's settings, apart from pictures", () => {
    const values = {
      balance: "more-prompt",
      variation_strength: 0.2,
      variation_seed: 9,
      redux_strength_spans: "1@0:1",
    };
    const body = bodyOf(reduxControls, values, [masked], "https://a/s");
    expect(valuesFrom(reduxControls, body)).toEqual({ ...values, size: { width: 1024, height: 1024 } });
    expect(valuesFrom(reshapeControls, { mask_image: "data:…", mask_crop: 8 })).toEqual({ mask_crop: 8 });
  });

  test("are left out of what is copied, in every dialect's words", () => {
    const input = {
      image_masks: ["data:…"],
      mask_image: "data:…",
      image_mask_urls: [],
      mask_url: "x",
      mask: "y",
      n: 1,
    };
    expect(withoutMasks(input)).toEqual({ n: 1 });
  });
});

describe("the form's values", () => {
  test("come back from a task's settings", () => {
    const values = {
      size: { width: 512, height: 768 },
      seed: 0,
      prompt: "a lake",
      num_images: 2,
      enable_safety_checker: false,
      loras: [{ path: "film", scale: 0.5 }],
    };
    const body = bodyOf(reduxControls, values, one);
    expect(valuesFrom(reduxControls, body)).toEqual(values);
  });

  test("do not take what is of another type, nor -1 for a seed", () => {
    const settings = {
      seed: -1,
      prompt: 5,
      size: "large",
      num_images: "2",
      enable_safety_checker: "no",
      loras: [3, { path: "a" }],
    };
    expect(valuesFrom(reduxControls, settings)).toEqual({ loras: [{ path: "a", scale: 1 }] });
  });

  test("fall back to defaults", () => {
    const size = find(reduxControls, "size");
    expect(size && valueOf(size, {})).toEqual({ width: 1024, height: 1024 });
    const loras = find(reduxControls, "loras");
    expect(loras && valueOf(loras, {})).toBeUndefined();
  });

  test("are moved into the ranges of another model", () => {
    const narrow = reduxControls.map((control) =>
      control.name === "guidance_scale" && control.kind === "number" ? { ...control, maximum: 5 } : control,
    );
    expect(fitted(narrow, { guidance_scale: 12, output_format: "webp", prompt: "x" })).toEqual({
      guidance_scale: 5,
      prompt: "x",
    });
  });
});

test("seeds are drawn from the whole range that every client can send back", () => {
  const seed = find(reduxControls, "seed");
  if (!seed) throw new Error("no seed");
  expect(drawnSeed(seed, () => 0)).toBe(0);
  expect(drawnSeed(seed, () => 0.9999999999)).toBe(2147483647);
});

test("equal weights have two digits", () => {
  expect([1, 2, 3].map(equalWeight)).toEqual([1, 0.5, 0.33]);
});

test("tasks of other dialects have settings in this one's words", () => {
  const fal = {
    image_url: "https://a/1",
    image_urls: ["https://a/2"],
    image_size: { width: 512, height: 256 },
    seed: 3,
    constructor: 1,
  };
  expect(asSettings(fal)).toEqual({
    image: "https://a/1",
    images: ["https://a/2"],
    size: "512*256",
    seed: 3,
    constructor: 1,
  });
  expect(asSettings({ n: 2, size: "256x256" })).toEqual({ num_images: 2, size: "256x256" });
  expect(asSettings({ width: 512, height: 256 })).toMatchObject({ size: "512*256" });
  expect(asSettings({ image_size: "square_hd" })).toEqual({ size: "square_hd" });
  const own = { image: "https://a/1", size: "512*512", prompt: "x" };
  expect(asSettings(own)).toEqual(own);
});
