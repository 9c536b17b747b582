"""API keys as strings: make, recognise, digest, compare and show. Pure; storage is the repository's.

A key is `dk_live_<43 base62>_<6 base62>`: 256 random bits, then the CRC-32 of everything before it, so that junk and typing
errors are refused without a look at the database and scanners can tell a leaked key from noise. At rest there is only an
HMAC-SHA-256 under the server's pepper; with this much entropy a slow hash would add nothing but a way to exhaust us.
"""

import hashlib
import hmac
import re
import secrets
import zlib

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "dk_live"
NUM_RANDOM = 43
NUM_CHECK = 6

_KEY = re.compile(rf"{PREFIX}_[0-9A-Za-z]{{{NUM_RANDOM}}}_[0-9A-Za-z]{{{NUM_CHECK}}}")


def new_key() -> str:
    """A fresh key: shown once, stored never."""
    body = f"{PREFIX}_{''.join(secrets.choice(ALPHABET) for _ in range(NUM_RANDOM))}"
    return f"{body}_{checksum(body)}"


def checksum(body: str) -> str:
    """CRC-32 in six base62 digits."""
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(NUM_CHECK):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits


def is_well_formed(key: str) -> bool:
    """Whether this could be one of our keys at all."""
    if _KEY.fullmatch(key) is None:
        return False
    body, _, check = key.rpartition("_")
    return check == checksum(body)


def digest(key: str, pepper: str) -> str:
    """What is stored instead of the key, in hex."""
    return hmac.new(pepper.encode(), key.encode(), hashlib.sha256).hexdigest()


def is_same(stored: str, presented: str) -> bool:
    """Compare digests in constant time."""
    return hmac.compare_digest(stored.encode(), presented.encode())


def last4(key: str) -> str:
    """The last four random characters: what an owner may see of a key ever after, beside its prefix."""
    return key.rpartition("_")[0][-4:]
