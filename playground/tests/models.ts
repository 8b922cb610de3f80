/** Schemas as the server writes them. */

import type { CatalogueItem, PropertySchema, RequestSchema } from "../src/api/types";
import { controlsOf } from "../src/model/controls";

const optional = (type: string, more: PropertySchema): PropertySchema => ({ type: [type, "null"], ...more });

const SHARED: Record<string, PropertySchema> = {
  seed: optional("integer", { minimum: -1, maximum: 2147483647, description: "Seed of the noise." }),
  num_inference_steps: optional("integer", { minimum: 1, maximum: 50, default: 28, description: "Sampling steps." }),
  guidance_scale: optional("number", { minimum: 1, maximum: 20, default: 3.5, description: "How closely." }),
  num_images: optional("integer", { minimum: 1, maximum: 4, default: 1, description: "Pictures to make." }),
  loras: optional("array", {
    maxItems: 8,
    default: [],
    description: "LoRAs.",
    items: {
      type: "object",
      properties: { path: { type: "string" }, scale: optional("number", { minimum: -4, maximum: 4, default: 1 }) },
    },
  }),
  enable_safety_checker: optional("boolean", { default: true, description: "Check. `false` changes nothing." }),
  output_format: optional("string", { default: "jpeg", enum: ["jpeg", "png", "jpg", null], description: "Format." }),
  enable_base64_output: optional("boolean", { default: false }),
  enable_sync_mode: optional("boolean", { default: false }),
};

/** A second seed, and how near. */
const NEAR: Record<string, PropertySchema> = {
  variation_seed: optional("integer", { minimum: -1, maximum: 2147483647, description: "A second seed." }),
  variation_strength: optional("number", { minimum: 0, maximum: 1, default: 0, description: "How far." }),
};

export const REDUX: RequestSchema = {
  required: ["image"],
  properties: {
    ...SHARED,
    image: { type: "string", minLength: 1, description: "The picture to vary." } as PropertySchema,
    prompt: optional("string", { maxLength: 65536, description: "Text that restyles." }),
    size: optional("string", {
      default: "1024*1024",
      "x-minimum-side": 256,
      "x-maximum-side": 1536,
      description: "Pixels.",
    }),
    redux_strength: optional("number", { minimum: 0, maximum: 1, default: 1, description: "An addition: weight." }),
    redux_downsample: optional("number", {
      minimum: 1,
      maximum: 9,
      default: 1,
      description: "An addition: coarseness.",
    }),
    images: optional("array", { maxItems: 7, items: { type: "string" }, description: "Further pictures." }),
    image_weights: optional("array", { maxItems: 8, items: { type: "number", minimum: -10, maximum: 10 } }),
    balance: optional("string", {
      default: "custom",
      enum: ["custom", "picture", "more-picture", "even", "more-prompt", "prompt", null],
      description: "An addition: in one word.",
    }),
    redux_strength_spans: optional("string", { description: "An addition: for parts of the run." }),
    image_masks: optional("array", { maxItems: 8, items: { type: "string" }, description: "An addition: masks." }),
    init_image: optional("string", { description: "An addition: start from this picture." }),
    strength: optional("number", { minimum: 0, maximum: 1, default: 0.8, description: "An addition: how far." }),
    ...NEAR,
  },
  "x-order-properties": [
    "image",
    "prompt",
    "size",
    "seed",
    "num_inference_steps",
    "guidance_scale",
    "num_images",
    "loras",
    "balance",
    "redux_strength",
    "redux_strength_spans",
    "redux_downsample",
    "images",
    "image_weights",
    "image_masks",
    "init_image",
    "strength",
    "variation_seed",
    "variation_strength",
    "enable_safety_checker",
    "output_format",
    "enable_base64_output",
    "enable_sync_mode",
  ],
};

export const IMAGE_TO_IMAGE: RequestSchema = {
  required: ["prompt"],
  properties: {
    ...SHARED,
    prompt: { type: "string", maxLength: 65536, description: "What the result should show." },
    image: optional("string", { description: "The picture to reshape." }),
    strength: optional("number", { minimum: 0, maximum: 1, default: 0.8, description: "How far." }),
    mask_image: optional("string", { description: "An addition: a mask." }),
    mask_blur: optional("number", { minimum: 0, maximum: 256, default: 0, description: "An addition: blur." }),
    mask_crop: optional("integer", { minimum: 0, maximum: 4096, description: "An addition: crop." }),
    keep_outside: optional("boolean", { default: false, description: "An addition: keep." }),
    ...NEAR,
  },
  "x-order-properties": [
    "prompt",
    "image",
    "strength",
    "num_inference_steps",
    "seed",
    "guidance_scale",
    "num_images",
    "loras",
    "mask_image",
    "mask_blur",
    "mask_crop",
    "keep_outside",
    "variation_seed",
    "variation_strength",
    "enable_safety_checker",
    "output_format",
  ],
};

/** What came with masks. */
const NEW = ["balance", "init_image", "strength", "variation_seed", "variation_strength"];

/** As servers had it before Redux's own settings came. */
export const OLD_REDUX: RequestSchema = {
  ...REDUX,
  "x-order-properties":
    REDUX["x-order-properties"]?.filter((name) => !/^redux|^image.*s$/.test(name) && !NEW.includes(name)) ?? [],
};

export const reduxControls = controlsOf(REDUX);
export const reshapeControls = controlsOf(IMAGE_TO_IMAGE);

export function catalogueItem(model_id: string, schema: RequestSchema): CatalogueItem {
  return {
    model_id,
    name: model_id,
    description: "",
    type: "image-to-image",
    base_price: 0,
    sort_order: 1,
    formula: "",
    api_schema: { api_schemas: [{ request_schema: schema }] },
  };
}
