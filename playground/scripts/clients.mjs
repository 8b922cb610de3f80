// Installs the services' own clients into a folder, for the tests that run the page's examples.
//
// Usage: npm run clients -- FOLDER
//
// The versions are those of `tests/sdk`, with their digests. What was installed from the same files before stays.

import { spawnSync } from "node:child_process";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCES = fileURLToPath(new URL("../../tests/sdk/", import.meta.url));

/** Environments of Python and what each is made from: what the services' clients need does not have to agree. */
const PYTHON = { wavespeed: "requirements.txt", fal: "requirements-fal.txt", openai: "requirements-openai.txt" };

function run(program, words, folder) {
  const { status, error } = spawnSync(program, words, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  if (error || status !== 0) {
    console.error(`${program} ${words.join(" ")}: ${error?.message ?? `exit status ${status}`}`);
    process.exit(1);
  }
}

/** Does `work` unless it was done in `folder` for the same text of `file`. */
async function once(folder, file, work) {
  await mkdir(folder, { recursive: true });
  const wanted = await readFile(file, "utf8");
  const note = join(folder, "installed");
  if ((await readFile(note, "utf8").catch(() => null)) === wanted) return;
  await work();
  await writeFile(note, wanted);
}

const target = process.argv[2];
if (!target) {
  console.error("usage: npm run clients -- FOLDER");
  process.exit(2);
}
for (const [name, requirements] of Object.entries(PYTHON)) {
  const folder = resolve(target, name);
  const file = join(SOURCES, "python", requirements);
  await once(folder, file, async () => {
    run("python3", ["-m", "venv", "--clear", join(folder, "venv")]);
    const pip = [join(folder, "venv/bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes"];
    run(pip[0], [...pip.slice(1), "--requirement", file]);
  });
}
const folder = resolve(target, "javascript");
await once(folder, join(SOURCES, "javascript/package-lock.json"), async () => {
  for (const name of ["package.json", "package-lock.json", ".npmrc"])
    await copyFile(join(SOURCES, "javascript", name), join(folder, name));
  run("npm", ["ci", "--silent"], folder);
});
