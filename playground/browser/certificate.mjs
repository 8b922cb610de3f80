// A certificate that nobody but the test trusts, as people make one for a server of their own.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A self-signed certificate for 127.0.0.1 and its key. `remove` when it is done with. */
export function makeCertificate() {
  const folder = mkdtempSync(join(tmpdir(), "afterimage-certificate-"));
  const [path, keyPath] = ["cert.pem", "key.pem"].map((name) => join(folder, name));
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"];
  const names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...curve, ...names, "-keyout", keyPath, "-out", path], { stdio: "pipe" });
  const remove = () => rmSync(folder, { recursive: true, force: true });
  return { path, tls: { cert: readFileSync(path), key: readFileSync(keyPath) }, remove };
}
