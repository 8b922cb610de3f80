import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { curlFile, javascript, python, shell, shellJson, Variable } from "../src/snippets/literal";
import { wordOf } from "./shell";

/** What breaks quoting somewhere. */
const HOSTILE = [
  "",
  "plain",
  "it's",
  "''",
  `"double"`,
  "$HOME `id` $(id) \\ ! * ? ~ # ; & | < >",
  "two\nlines\r\n",
  "tab\tbell\u0007 nul-free",
  "back\\slash\\",
  "雪 🎨 e\u0301",
  "\u2028line\u2029paragraph",
  "</script><img src=x onerror=alert(1)>",
  "-rf",
  "%s %% %n",
  "${HOME}`",
  "{not} {a} template",
];

const VALUE = { text: HOSTILE, "odd key's": { none: null, yes: true, no: false, number: -0.25, list: [] }, empty: {} };

describe("quoting", () => {
  test.each(HOSTILE)("a shell gives back %j", (text) => {
    expect(wordOf(shell(text))).toBe(text);
  });

  test.each(HOSTILE)("JavaScript gives back %j", (text) => {
    expect(new Function(`return ${javascript(text)}`)()).toBe(text);
  });

  test("plain words of a shell are left as they are", () => {
    expect(shell("size=512x512")).toBe("size=512x512");
    expect(shell("http://127.0.0.1:8080/api/v3")).toBe("http://127.0.0.1:8080/api/v3");
  });

  test("JavaScript gives back whole values", () => {
    expect(new Function(`return ${javascript(VALUE)}`)()).toEqual(VALUE);
  });

  test("a shell gives back JSON, with its variables put in", () => {
    expect(JSON.parse(wordOf(shellJson(VALUE)))).toEqual(VALUE);
    const body = { image: new Variable("HOME"), prompt: "it's $HOME" };
    expect(JSON.parse(wordOf(shellJson(body)))).toEqual({ image: process.env["HOME"] ?? "", prompt: "it's $HOME" });
  });

  const hasPython = spawnSync("python3", ["--version"]).status === 0;
  test.skipIf(!hasPython)("Python gives back whole values", () => {
    const program = `import json, sys\nsys.stdout.write(json.dumps(${python(VALUE)}))`;
    const { stdout, stderr } = spawnSync("python3", ["-"], {
      input: program,
      encoding: "utf8",
      env: { ...process.env, PYTHONIOENCODING: "utf8" },
    });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual(VALUE);
  });

  test("variables stand for themselves", () => {
    expect(python({ image: new Variable("picture") })).toBe('{"image": picture}');
    expect(javascript({ image: new Variable("picture") })).toBe("{ image: picture }");
  });

  test("long values are broken into lines", () => {
    const long = { prompt: "a".repeat(40), other: "b".repeat(40) };
    expect(python(long, 2).split("\n")).toHaveLength(4);
    expect(python(long, 4)).toMatch(/^\{\n {8}"prompt".*,\n {4}\}$/s);
    expect(javascript({ a: 1 })).toBe("{ a: 1 }");
  });

  test("names of files are read by curl as they are", () => {
    expect(curlFile("lake.jpg")).toBe("@lake.jpg");
    expect(curlFile("my lake-2.jpg")).toBe("@my lake-2.jpg");
    expect(curlFile("a;b,c.jpg")).toBe('@"a;b,c.jpg"');
    expect(curlFile('a"b\\c.jpg')).toBe('@"a\\"b\\\\c.jpg"');
    expect(curlFile("-")).toBe("@./-");
  });
});
