"""How a receiver tells that a webhook came from its server. docs/wavespeed.md prints this function."""

import hashlib
import hmac
import time


def is_genuine(headers, body: bytes, secret: str) -> bool:
    """`secret` is what GET /api/v3/webhook/secret returns; `body` the raw bytes, before any parsing."""
    timestamp = headers["webhook-timestamp"]
    if abs(time.time() - int(timestamp)) > 300:
        return False  # an old delivery, sent again by somebody who recorded it
    signed = f"{headers['webhook-id']}.{timestamp}.".encode() + body
    expected = hmac.new(secret.removeprefix("whsec_").encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(headers["webhook-signature"], f"v3,{expected}")
