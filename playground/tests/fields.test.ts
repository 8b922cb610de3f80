import { expect, test } from "vitest";
import { fieldError } from "../src/model/fields";

const names = ["image", "images", "size", "loras", "prompt"];

test("the field that a message names is found", () => {
  expect(fieldError("size: 5x5 is out of range; expected WIDTH*HEIGHT", names)).toEqual({
    field: "size",
    index: null,
    message: "5x5 is out of range; expected WIDTH*HEIGHT",
  });
  expect(fieldError("loras[1].path: `x` is not there", names)).toMatchObject({
    field: "loras",
    index: 1,
    message: "`x` is not there",
  });
  expect(fieldError("images[0]: no picture", names)).toMatchObject({ field: "images", index: 0 });
  expect(fieldError("prompt: two\nlines", names)).toMatchObject({ message: "two\nlines" });
});

test("a field of the upload is the picture", () => {
  expect(fieldError("file: this is no picture", names)).toMatchObject({ field: "image" });
  expect(fieldError("file: this is no picture", ["prompt"])).toBeNull();
});

test("what is no field is not taken for one", () => {
  for (const text of [
    "webhook: is no URL",
    "disk full",
    "",
    "size",
    "size:none",
    "two words: x",
    "__proto__: x",
    "constructor: x",
  ]) {
    expect(fieldError(text, names), text).toBeNull();
  }
});
