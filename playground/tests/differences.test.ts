import { expect, test } from "vitest";
import { differences, type Asked } from "../src/model/differences";

const asked = (input: Asked["input"], model = "a"): Asked => ({ model, input });

test("cells of a grid differ in what the grid runs through, seeds last", () => {
  const cell = (strength: number, seed: number) => asked({ prompt: "blue", image: "x", strength, seed });
  expect(differences(cell(0.3, 1), [cell(0.6, 2), undefined])).toEqual(["strength", "seed"]);
  expect(differences(cell(0.3, 1), [undefined, cell(0.3, 2)])).toEqual(["seed"]);
  expect(differences(cell(0.3, 1), [cell(0.3, 1), undefined])).toEqual([]);
});

test("what one of two does not say is a difference", () => {
  expect(differences(asked({ seed: 1 }), [asked({ seed: 1, balance: "even" })])).toEqual(["balance"]);
  expect(differences(asked({ seed: 1, balance: "even" }), [asked({ seed: 1 })])).toEqual(["balance"]);
});

test("tasks of other models and prompts differ by those", () => {
  expect(differences(asked({ seed: 1 }), [asked({ seed: 2 }, "b"), asked({ seed: 3, prompt: "blue" })])).toEqual([]);
});

test("other dialects have other names for the same", () => {
  const fal = asked({ image_size: { width: 512, height: 256 }, image_url: "x" });
  expect(differences(fal, [asked({ size: "512*256", image: "y" })])).toEqual([]);
});
