/** Runs the shell of an example with a `curl` that only notes what it was called with. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const UPLOADED = "https://host/media/1.jpeg?expires=1&signature=a_b-c";
const RESULTS = ["https://host/r/0.jpeg?expires=1&signature=x", "https://host/r/1.jpeg?expires=1&signature=y"];

const ANSWER = JSON.stringify({ outputs: RESULTS, images: RESULTS.map((url) => ({ url })) });
const STUB = `
curl() {
  {
    printf 'CALL\\0'
    for argument; do printf '%s\\0' "$argument"; done
    for argument; do if [ "$argument" = @- ]; then printf 'STDIN\\0'; cat; printf '\\0'; fi; done
  } >> calls
  case "$*" in
    *upload/binary*) printf '%s' '{"data":{"download_url":"${UPLOADED}"}}' ;;
    *" -o "*) ;;
    *) printf '%s' '${ANSWER}' ;;
  esac
}
`;

/** The calls of curl, each as its arguments; after `STDIN`, what it would have read. */
export function callsOf(code: string, files: Record<string, string> = {}): string[][] {
  const folder = mkdtempSync(join(tmpdir(), "snippet-"));
  try {
    for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
    writeFileSync(join(folder, "script"), STUB + code);
    const env = { ...process.env, AFTERIMAGE_API_KEY: "the key" };
    const run = spawnSync("sh", ["script"], { cwd: folder, env, encoding: "utf8" });
    if (run.status !== 0 || run.stderr !== "") throw new Error(`status ${run.status}: ${run.stderr}\n${code}`);
    const words = readFileSync(join(folder, "calls"), "utf8").split("\0").slice(0, -1);
    const calls: string[][] = [];
    for (const word of words) {
      if (word === "CALL") calls.push([]);
      else calls.at(-1)?.push(word);
    }
    return calls;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What follows `option` in a call. */
export function after(call: string[] | undefined, option: string): string | undefined {
  return call?.[call.indexOf(option) + 1];
}

/** What a shell makes of one word. */
export function wordOf(word: string): string {
  return spawnSync("sh", ["-c", `printf %s ${word}`], { encoding: "utf8" }).stdout;
}
