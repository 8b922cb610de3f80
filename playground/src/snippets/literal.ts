/** Values as source text of the three languages. */

/** A name of the program's own within a value, such as the address of an uploaded picture. */
export class Variable {
  constructor(readonly name: string) {}
}

/** What differs between languages in how a value is written. */
interface Style {
  text: (text: string) => string;
  constant: (value: null | boolean) => string;
  key: (name: string) => string;
  variable: (name: string) => string;
  /** Whether the last item of a broken list has a comma, too. */
  lastComma: boolean;
  /** Spaces of a level. */
  step: number;
}

const JSON_STYLE: Style = {
  text: (text) => JSON.stringify(text),
  constant: String,
  key: (name) => JSON.stringify(name),
  variable: (name) => name,
  lastComma: false,
  step: 2,
};

const PYTHON: Style = {
  ...JSON_STYLE,
  // Every escape that JSON writes means the same in Python.
  constant: (value) => (value === null ? "None" : value ? "True" : "False"),
  lastComma: true,
  step: 4,
};

const JAVASCRIPT: Style = {
  ...JSON_STYLE,
  key: (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)),
  lastComma: true,
};

/** A line may be this long before a list is broken into lines. */
const LINE = 72;

function write(value: unknown, style: Style, indent: number): string {
  const flat = writeFlat(value, style);
  const isList = typeof value === "object" && value !== null && !(value instanceof Variable);
  if (!isList || flat.length + indent <= LINE) return flat;
  const inner = " ".repeat(indent + style.step);
  const items = Array.isArray(value)
    ? value.map((item) => write(item, style, indent + style.step))
    : Object.entries(value as object).map(
        ([key, item]) => `${style.key(key)}: ${write(item, style, indent + style.step)}`,
      );
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const end = style.lastComma ? "," : "";
  return `${open}\n${items.map((item) => inner + item).join(",\n")}${end}\n${" ".repeat(indent)}${close}`;
}

function writeFlat(value: unknown, style: Style): string {
  if (value instanceof Variable) return style.variable(value.name);
  if (typeof value === "string") return style.text(value);
  if (value === null || typeof value === "boolean") return style.constant(value);
  if (Array.isArray(value)) return `[${value.map((item) => writeFlat(item, style)).join(", ")}]`;
  if (typeof value === "object") {
    const items = Object.entries(value).map(([key, item]) => `${style.key(key)}: ${writeFlat(item, style)}`);
    return items.length === 0 ? "{}" : style === JAVASCRIPT ? `{ ${items.join(", ")} }` : `{${items.join(", ")}}`;
  }
  return String(value);
}

/** `value` in Python, within a text that is indented by `indent`. */
export function python(value: unknown, indent = 0): string {
  return write(value, PYTHON, indent);
}

/** `value` in JavaScript. */
export function javascript(value: unknown, indent = 0): string {
  return write(value, JAVASCRIPT, indent);
}

/** `text` as one word of a shell. */
export function shell(text: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** `value` as JSON in one word of a shell. Variables become the shell's, as texts of the JSON. */
export function shellJson(value: unknown): string {
  return shellJsonParts(value)
    .map((part) => part.word)
    .join("");
}

/** A piece of a shell's word: quoted text, or a variable in quotes. */
export interface ShellPart {
  word: string;
  isVariable: boolean;
}

/** The same in pieces that can also be words of their own. */
export function shellJsonParts(value: unknown): ShellPart[] {
  const names: string[] = [];
  // A text of a request cannot hold the mark: JSON writes that character as an escape.
  const mark = "\u0000";
  const style: Style = { ...JSON_STYLE, variable: (name) => `"${mark}${names.push(name) - 1}${mark}"` };
  const pieces = write(value, style, 0).split(mark);
  return pieces.map((piece, index) =>
    index % 2 === 1
      ? { word: `"$${names[Number(piece)]}"`, isVariable: true }
      : { word: `'${piece.replaceAll("'", String.raw`'\''`)}'`, isVariable: false },
  );
}

/** `name` of a file as the value of a field of a form in curl, which reads `;` and `,` in it unless it is in quotes. */
export function curlFile(name: string): string {
  // A lone dash would be the standard input.
  if (name.startsWith("-")) return curlFile(`./${name}`);
  if (/^[A-Za-z0-9_./ -]+$/.test(name)) return `@${name}`;
  return `@"${name.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
