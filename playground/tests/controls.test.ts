import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { controlsOf, find, isAdvanced, mostPictures, requestSchema } from "../src/model/controls";
import { controlsAt } from "../src/model/groups";
import { LEVELS, levelNumber } from "../src/model/relevance";
import { catalogueItem, IMAGE_TO_IMAGE, OLD_REDUX, REDUX, reduxControls, reshapeControls } from "./models";

test("levels of picture against prompt stand for the engine's numbers", () => {
  const source = readFileSync("../crates/afterimage-core/src/balance.rs", "utf8");
  const kebab = (name: string) => name.replace(/(?<=[a-z])[A-Z]/g, "-$&").toLowerCase();
  const engines = [...source.matchAll(/Self::(\w+) => \(([\d.]+), ([\d.]+)\)/g)].map(
    ([, name = "", strength, downsample]) => [
      kebab(name),
      { redux_strength: Number(strength), redux_downsample: Number(downsample) },
    ],
  );
  expect(Object.entries(LEVELS)).toEqual(engines);
  expect(levelNumber({ name: "redux_downsample" }, { balance: "even" })).toBe(3);
  expect(levelNumber({ name: "redux_downsample" }, { balance: "custom" })).toBeUndefined();
  expect(levelNumber({ name: "seed" }, { balance: "even" })).toBeUndefined();
});

describe("controls of a schema", () => {
  test("come in the schema's order, without how answers travel", () => {
    expect(reduxControls.map((control) => [control.name, control.kind])).toEqual([
      ["image", "picture"],
      ["prompt", "prompt"],
      ["size", "size"],
      ["seed", "seed"],
      ["num_inference_steps", "number"],
      ["guidance_scale", "number"],
      ["num_images", "number"],
      ["loras", "loras"],
      ["balance", "choice"],
      ["redux_strength", "number"],
      ["redux_strength_spans", "text"],
      ["redux_downsample", "number"],
      ["images", "pictures"],
      ["image_weights", "weights"],
      ["image_masks", "pictureMasks"],
      ["init_image", "start"],
      ["strength", "number"],
      ["variation_seed", "nearSeed"],
      ["variation_strength", "number"],
      ["enable_safety_checker", "switch"],
      ["output_format", "choice"],
    ]);
  });

  test("have the schema's ranges, defaults and descriptions", () => {
    expect(reduxControls.find(({ name }) => name === "num_inference_steps")).toEqual({
      name: "num_inference_steps",
      description: "Sampling steps.",
      required: false,
      kind: "number",
      whole: true,
      minimum: 1,
      maximum: 50,
      step: 1,
      fallback: 28,
    });
    const guidance = reduxControls.find(({ name }) => name === "guidance_scale");
    expect(guidance).toMatchObject({ whole: false, step: 0.1, fallback: 3.5, maximum: 20 });
    expect(reshapeControls.find(({ name }) => name === "strength")).toMatchObject({ step: 0.01, fallback: 0.8 });
    expect(find(reduxControls, "size")).toMatchObject({
      minimum: 256,
      maximum: 1536,
      fallback: { width: 1024, height: 1024 },
      separator: "*",
    });
    expect(reduxControls.find(({ name }) => name === "output_format")).toMatchObject({
      options: ["jpeg", "png"],
      fallback: "jpeg",
    });
    expect(find(reshapeControls, "optionalNumber")).toMatchObject({ name: "mask_crop", whole: true, maximum: 4096 });
    expect(reshapeControls.find(({ name }) => name === "mask_blur")).toMatchObject({ step: 1, fallback: 0 });
    expect(find(reduxControls, "switch")).toMatchObject({ fallback: true });
    expect(find(reduxControls, "loras")).toMatchObject({ most: 8, minimum: -4, maximum: 4, fallback: 1 });
    expect(find(reduxControls, "weights")).toMatchObject({ minimum: -10, maximum: 10 });
  });

  test("know what is required", () => {
    const required = (controls: typeof reduxControls) =>
      controls.filter((control) => control.required).map(({ name }) => name);
    expect(required(reduxControls)).toEqual(["image"]);
    expect(required(reshapeControls)).toEqual(["prompt"]);
  });

  test("say how many pictures a model takes, also of a server without further pictures", () => {
    expect(mostPictures(reduxControls)).toBe(8);
    expect(mostPictures(reshapeControls)).toBe(1);
    expect(mostPictures(controlsOf(OLD_REDUX))).toBe(1);
    expect(mostPictures([])).toBe(0);
  });

  test("leave out kinds that nobody knows", () => {
    const schema = { properties: { a: { type: "object" }, b: { type: "array" }, c: {}, d: { type: "string" } } };
    expect(controlsOf(schema).map(({ name, kind }) => [name, kind])).toEqual([["d", "text"]]);
  });

  test("hide what most people leave alone", () => {
    const hidden = reduxControls.filter(isAdvanced).map(({ name }) => name);
    expect(hidden).toContain("num_inference_steps");
    expect(hidden).toContain("output_format");
    expect(hidden).not.toContain("prompt");
    expect(hidden).not.toContain("redux_strength");
  });

  test("are found in the catalogue", () => {
    expect(requestSchema(catalogueItem("x", REDUX))).toBe(REDUX);
    expect(requestSchema(catalogueItem("x", IMAGE_TO_IMAGE))).toBe(IMAGE_TO_IMAGE);
    expect(requestSchema({ ...catalogueItem("x", REDUX), api_schema: { api_schemas: [] } })).toEqual({
      properties: {},
    });
  });

  test("are grouped, and pictures are no text boxes", () => {
    const at = (place: Parameters<typeof controlsAt>[0], controls = reduxControls) =>
      controlsAt(place, controls).map(({ name }) => name);
    expect(at("pictureAndPrompt")).toEqual(["balance", "redux_strength", "redux_downsample", "redux_strength_spans"]);
    expect(at("start")).toEqual(["init_image", "strength"]);
    expect(at("near")).toEqual(["variation_strength", "variation_seed"]);
    expect(at("mask")).toEqual([]);
    expect(at("mask", reshapeControls)).toEqual(["mask_blur", "mask_crop", "keep_outside"]);
    expect(at("everyday", reshapeControls)).toContain("strength");
    expect(at("withPictures")).toEqual(["image", "images", "image_weights", "image_masks"]);
    expect(at("withPictures", reshapeControls)).toEqual(["image", "mask_image"]);
    const older = reduxControls.filter(({ name }) => name !== "balance");
    expect(at("everyday", older)).toContain("redux_strength");
  });
});
