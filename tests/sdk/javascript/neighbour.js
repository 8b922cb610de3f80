// A web server beside the one under test: it has a picture and a text to fetch, and takes webhooks.

import { once } from "node:events";
import { createServer } from "node:http";

export async function startNeighbour(picture) {
  const files = { "/photo.jpg": picture, "/text.jpg": Buffer.from("this is not a picture") };
  const received = [];
  const waiting = [];

  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (request.method === "GET") {
      response.writeHead(200, { "Content-Type": "image/jpeg" }).end(files[request.url]);
      return;
    }
    response.writeHead(204).end();
    const webhook = { headers: request.headers, body: Buffer.concat(chunks) };
    const next = waiting.shift();
    if (next) next(webhook);
    else received.push(webhook);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    address: `http://127.0.0.1:${server.address().port}`,
    // The next webhook: its headers and raw body.
    nextWebhook() {
      if (received.length > 0) return Promise.resolve(received.shift());
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error("no webhook within 30 seconds")), 30_000);
        waiting.push((webhook) => {
          clearTimeout(timer);
          resolve(webhook);
        });
      });
    },
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
