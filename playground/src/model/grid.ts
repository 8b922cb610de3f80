/** Grids: the same request with one or two parameters running through lists of values. */

import type { Control } from "./controls";
import type { Value, Values } from "./body";
import { parseSize, sizeText } from "./sizes";

/** Tasks that one grid may be. */
export const MOST_CELLS = 36;

/** One parameter and what it runs through. */
export interface Axis {
  name: string;
  values: Value[];
}

/** What is wrong with a list of values; each has a text. */
export type AxisProblem = "empty" | "unreadable" | "outOfRange" | "tooMany";

export type AxisResult = { axis: Axis } | { problem: AxisProblem; part: string };

/** Whether a grid can run through the values of `control`. */
export function canVary(control: Control): boolean {
  return ["number", "optionalNumber", "seed", "nearSeed", "choice", "prompt", "size"].includes(control.kind);
}

/**
 * The values that `text` lists: numbers and words with commas between (`0.3, 0.6`), ranges of whole numbers (`1..4`), ranges
 * with a step (`0.2..0.8:0.2`). Prompts have `|` between, since they may hold commas.
 */
export function parseAxis(control: Control, text: string): AxisResult {
  const separator = control.kind === "prompt" ? "|" : ",";
  const parts = text
    .split(separator)
    .map((part) => part.trim())
    .filter((part) => part !== "");
  if (parts.length === 0) return { problem: "empty", part: "" };
  const values: Value[] = [];
  for (const part of parts) {
    const read = readPart(control, part);
    if (typeof read === "string") return { problem: read, part };
    for (const value of read) if (!values.some((known) => label(known) === label(value))) values.push(value);
    if (values.length > MOST_CELLS) return { problem: "tooMany", part };
  }
  return { axis: { name: control.name, values } };
}

function readPart(control: Control, part: string): Value[] | AxisProblem {
  switch (control.kind) {
    case "prompt":
      return [part];
    case "choice":
      return control.options.includes(part) ? [part] : "outOfRange";
    case "size": {
      const size = parseSize(part);
      if (!size) return "unreadable";
      const fits = [size.width, size.height].every((side) => side >= control.minimum && side <= control.maximum);
      return fits ? [size] : "outOfRange";
    }
    case "number":
    case "optionalNumber":
      return readNumbers(part, control.whole, control.minimum, control.maximum);
    case "seed":
    case "nearSeed":
      return readNumbers(part, true, Math.max(0, control.minimum), control.maximum);
    default:
      return "unreadable";
  }
}

const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)`;
const RANGE = new RegExp(`^(${NUMBER})\\s*\\.\\.\\s*(${NUMBER})(?:\\s*:\\s*(${NUMBER}))?$`);

function readNumbers(part: string, whole: boolean, minimum: number, maximum: number): number[] | AxisProblem {
  const range = RANGE.exec(part);
  const numbers = range ? runOf(Number(range[1]), Number(range[2]), Number(range[3] ?? 1)) : single(part);
  if (numbers === null) return "unreadable";
  if (numbers.length > MOST_CELLS) return "tooMany";
  if (whole && !numbers.every(Number.isInteger)) return "unreadable";
  return numbers.every((number) => number >= minimum && number <= maximum) ? numbers : "outOfRange";
}

function single(part: string): number[] | null {
  return new RegExp(`^${NUMBER}$`).test(part) ? [Number(part)] : null;
}

/** `from`, `from + step`, … up to `to`, or downwards. At most one more than a grid may have. */
function runOf(from: number, to: number, step: number): number[] | null {
  const stride = Math.abs(step);
  if (stride === 0 || !Number.isFinite(stride)) return null;
  // The end belongs to the run although a sum of tenths misses it by a little.
  const count = Math.floor(Math.abs(to - from) / stride + 1e-9) + 1;
  const direction = Math.sign(to - from) * stride;
  const length = Math.min(count, MOST_CELLS + 1);
  return Array.from({ length }, (_, index) => tidy(from + index * direction));
}

/** Without the digits that sums of tenths leave behind. */
function tidy(number: number): number {
  return Number(number.toFixed(6));
}

/** One task of a grid. */
export interface Cell {
  row: number;
  column: number;
  values: Values;
}

/** The tasks of a grid over `base`, row by row. `rows` may be missing: then there is one. */
export function cellsOf(base: Values, columns: Axis, rows: Axis | null): Cell[] {
  const down: (Value | undefined)[] = rows ? rows.values : [undefined];
  return down.flatMap((rowValue, row) =>
    columns.values.map((columnValue, column) => {
      const values: Record<string, Value> = { ...base, [columns.name]: columnValue };
      if (rows && rowValue !== undefined) values[rows.name] = rowValue;
      return { row, column, values };
    }),
  );
}

/** How a value is written above a column or beside a row. */
export function label(value: Value): string {
  if (typeof value === "object" && "width" in value) return sizeText(value, "×");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
