// How a receiver tells that a webhook came from its server.

import { createHmac, timingSafeEqual } from "node:crypto";

// `secret` is what GET /api/v3/webhook/secret returns; `body` the raw bytes, before any parsing.
export function isGenuine(headers, body, secret) {
  const timestamp = headers["webhook-timestamp"];
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false;
  const hmac = createHmac("sha256", secret.replace(/^whsec_/, ""));
  hmac.update(`${headers["webhook-id"]}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v3,${hmac.digest("hex")}`);
  const given = Buffer.from(headers["webhook-signature"]);
  return given.length === expected.length && timingSafeEqual(given, expected);
}
