"""Signatures, as the package of Standard Webhooks' authors checks them."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.webhooks.signing import derived_secret, key_of, signed_headers

BODY = b'{"status": "Ready"}'


def test_a_receiver_with_either_secret_of_a_rotation_verifies_and_a_stranger_does_not() -> None:
    old, new, strange = (derived_secret("server's key", "account", version) for version in (1, 2, 3))
    headers = signed_headers("message", datetime.now(UTC), BODY, [new, old])
    for secret in (new, old):
        assert Webhook(secret).verify(BODY, headers) == {"status": "Ready"}
    with pytest.raises(WebhookVerificationError):
        Webhook(strange).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(BODY + b" ", headers)


def test_any_text_is_a_secret_and_bfl_s_header_signs_the_body_with_it() -> None:
    secret = "a plain pass phrase"
    headers = signed_headers("message", datetime.now(UTC), BODY, [secret])
    Webhook(base64.b64encode(secret.encode()).decode()).verify(BODY, headers)
    assert headers["x-bfl-signature"] == "sha256=" + hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()
    assert key_of("whsec_no base64!") == b"whsec_no base64!"
