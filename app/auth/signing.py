"""Signatures that make a URL a capability: whoever holds it may use it until it expires, for that purpose and subject alone."""

import hashlib
import hmac
from datetime import UTC, datetime
from enum import StrEnum


class Purpose(StrEnum):
    """What a signature is good for; one made for polling opens no result."""

    POLL = "poll"
    RESULT = "result"


def sign(key: str, purpose: Purpose, subject: str, expires: int) -> str:
    """Signature over all that it grants, in hex. `expires` is in epoch seconds."""
    message = f"darkroom-url-v1\n{purpose}\n{expires}\n{subject}"
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


def is_valid(key: str, purpose: Purpose, subject: str, expires: str, signature: str, now: datetime) -> bool:
    """Whether this signature was made by `key` for exactly this, and has not expired at `now`."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
        return False
    expected = sign(key, purpose, subject, int(expires))
    is_ours = hmac.compare_digest(expected.encode(), signature.encode())
    return is_ours and now < datetime.fromtimestamp(int(expires), UTC)
