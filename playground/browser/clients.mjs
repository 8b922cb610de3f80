// Runs the page's examples as somebody would who pastes them into a file: with a shell, Python or Node.js, and the
// services' own clients that `npm run clients` installed.

import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";

const ENDINGS = { curl: "sh", python: "py", javascript: "mjs" };

/** Milliseconds that an example may take. */
const LIMIT = 120_000;

export class Clients {
  #folder;

  constructor(folder) {
    this.#folder = resolve(folder);
  }

  /**
   * Runs `code` in a folder that has `pictures`, with `variables` in its environment. Returns the files that it left, by
   * their names.
   */
  async run(dialect, language, code, { pictures, variables }) {
    // Node.js looks for packages in the folders above the script.
    const runs = join(this.#folder, "javascript/runs");
    await mkdir(runs, { recursive: true });
    const folder = await mkdtemp(join(runs, `${dialect}-${language}-`));
    try {
      const script = join(folder, `example.${ENDINGS[language]}`);
      await writeFile(script, `${code}\n`);
      for (const picture of pictures) await copyFile(picture, join(folder, basename(picture)));
      const brought = await readdir(folder);
      await finished(this.#program(dialect, language), script, folder, variables);
      const left = (await readdir(folder)).filter((name) => !brought.includes(name)).sort();
      return new Map(await Promise.all(left.map(async (name) => [name, await readFile(join(folder, name))])));
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  #program(dialect, language) {
    if (language === "curl") return "sh";
    return language === "python" ? join(this.#folder, dialect, "venv/bin/python") : process.execPath;
  }
}

/** The servers are on this machine, whatever way the rest of the world is reached by. */
const DIRECT = { no_proxy: "127.0.0.1", NO_PROXY: "127.0.0.1", PYTHONDONTWRITEBYTECODE: "1" };

/** Runs `script` to its end; what it said is the error when it fails. */
async function finished(program, script, folder, variables) {
  const env = { ...process.env, ...DIRECT, ...variables };
  const child = spawn(program, [script], { cwd: folder, env, timeout: LIMIT, stdio: ["ignore", "pipe", "pipe"] });
  const said = [];
  child.stdout.on("data", (bytes) => said.push(bytes));
  child.stderr.on("data", (bytes) => said.push(bytes));
  const status = await new Promise((settle, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => settle(code ?? signal));
  });
  if (status === 0) return;
  throw new Error(
    `${basename(script)} ended with ${status}\n${Buffer.concat(said)}\n${await readFile(script, "utf8")}`,
  );
}
