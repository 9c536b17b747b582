"""Signatures of webhooks: Standard Webhooks' headers, and the one that BFL's receivers check.

Standard Webhooks signs `id.timestamp.body` with HMAC-SHA256 (specification 1.0, symmetric "v1"); BFL's header signs the body alone.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"


def derived_secret(signing_key: str, account_id: str, version: int) -> str:
    """An account's own secret: nothing of it is stored, and only the holder of the server's key can make it."""
    digest = hmac.digest(signing_key.encode(), f"webhook:{account_id}:{version}".encode(), "sha256")
    return PREFIX + base64.b64encode(digest).decode()


def key_of(secret: str) -> bytes:
    """What `whsec_` encodes; any other secret is its own bytes."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            pass  # a secret that only looks like one
    return secret.encode()


def signed_headers(message_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Headers of one attempt, with a signature by each secret; BFL's takes the first."""
    timestamp = str(int(at.timestamp()))
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key_of(one), content, "sha256")).decode() for one in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{one}" for one in signatures),
        "x-bfl-signature": "sha256=" + hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest(),
    }
