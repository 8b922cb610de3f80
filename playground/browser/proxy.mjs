// A reverse proxy that shows the server below a path prefix or over HTTPS, as operators do.

import { createServer, request } from "node:http";
import { createServer as createSecureServer } from "node:https";

/**
 * Serves `server` below `prefix`; `files` answers for some paths instead. With `tls`, a certificate and its key, over
 * HTTPS. Returns its address and how to stop it.
 */
export async function startProxy(server, prefix, { files = async () => null, tls } = {}) {
  const target = new URL(server);
  const proxy = tls ? createSecureServer(tls, pass) : createServer(pass);

  async function pass(incoming, answer) {
    const path = incoming.url.startsWith(`${prefix}/`) ? incoming.url.slice(prefix.length) : null;
    if (path === null) return answer.writeHead(404).end("outside of the prefix");
    const file = await files(path.split("?")[0].slice(1));
    if (file) return answer.writeHead(200, file.headers).end(file.body);
    const { method } = incoming;
    const headers = { ...incoming.headers, "x-forwarded-proto": tls ? "https" : "http" };
    const passed = request({ host: target.hostname, port: target.port, path, method, headers }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      response.pipe(answer);
    });
    passed.on("error", () => answer.writeHead(502).end());
    // Who hangs up on the proxy hangs up on the server.
    answer.on("close", () => passed.destroy());
    incoming.pipe(passed);
  }

  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    proxy.closeAllConnections();
    proxy.close();
  };
  return { address: `${tls ? "https" : "http"}://127.0.0.1:${proxy.address().port}${prefix}`, stop };
}
