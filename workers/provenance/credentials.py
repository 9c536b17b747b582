"""Content credentials: a manifest, signed and put into a finished file, by c2pa's own library.

Signing hashes the file and nothing else: no thumbnail is drawn, nothing is fetched, and what was just signed is not verified again
(a tenth of a second each, measured in tests/benchmarks/README.md, bench_tail).
"""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Final

import c2pa  # pyright: ignore[reportMissingTypeStubs] - it has types, but does not say so
import structlog
from PIL import Image

from app.core.errors import ConfigurationError
from workers.errors import SigningFailed
from workers.provenance.certificates import SigningIdentity
from workers.provenance.manifest import ACTIONS, GENERATED
from workers.provenance.software import NAME

PAUSE_S: Final = 60.0
_ALGORITHM: Final = b"es256"
_TRIAL: Final = {
    "claim_generator_info": [{"name": NAME}],
    "assertions": [
        {"label": ACTIONS, "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": GENERATED}]}}
    ],
}

log = structlog.stdlib.get_logger()


class Credentials:
    """Signs files, from any thread, one at a time.

    Args:
        identity: who signs.
        timestamp_url: an authority that says when (RFC 3161); None: nobody does. While it is away, files are signed without, and it is
            left alone for a minute: the library waits for half of one, and the next file with it.
        monotonic_s: seconds that only grow.

    Raises:
        ConfigurationError: this identity cannot sign.
    """

    def __init__(
        self,
        identity: SigningIdentity,
        timestamp_url: str | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic_s = monotonic_s
        self._asks_again_at_s = -math.inf
        self._context = _context(verifies=False)
        self._lock = threading.Lock()
        try:
            self._signer = _signer(identity, None)
            self._stamping = None if timestamp_url is None else _signer(identity, timestamp_url)
            _sign(self._signer, _context(verifies=True), _one_pixel(), "image/png", _TRIAL)
        except c2pa.C2paError as error:
            raise ConfigurationError(f"pictures cannot be signed with this certificate and key: {error}") from None

    def signed(self, data: bytes, content_type: str, manifest: Mapping[str, Any]) -> bytes:
        """The same file with a signed manifest in it; no pixel is touched.

        Raises:
            SigningFailed: it cannot be signed.
        """
        with self._lock:
            if self._stamping is not None and self._monotonic_s() >= self._asks_again_at_s:
                stamped = self._stamped(self._stamping, data, content_type, manifest)
                if stamped is not None:
                    return stamped
            try:
                return _sign(self._signer, self._context, data, content_type, manifest)
            except c2pa.C2paError as error:
                raise SigningFailed from error

    def _stamped(
        self, stamping: c2pa.Signer, data: bytes, content_type: str, manifest: Mapping[str, Any]
    ) -> bytes | None:
        try:
            return _sign(stamping, self._context, data, content_type, manifest)
        except c2pa.C2paError as error:
            log.warning("signing without timestamps for a while", error=str(error), seconds=PAUSE_S)
            self._asks_again_at_s = self._monotonic_s() + PAUSE_S
            return None


def _context(*, verifies: bool) -> c2pa.Context:
    settings = {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {"verify_after_sign": verifies, "remote_manifest_fetch": False, "ocsp_fetch": False},
    }
    return c2pa.Context(settings=c2pa.Settings.from_json(json.dumps(settings)))


def _signer(identity: SigningIdentity, timestamp_url: str | None) -> c2pa.Signer:
    address = None if timestamp_url is None else timestamp_url.encode()
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(_ALGORITHM, identity.chain, identity.private_key, address))


def _sign(
    signer: c2pa.Signer, context: c2pa.Context, data: bytes, content_type: str, manifest: Mapping[str, Any]
) -> bytes:
    signed = BytesIO()
    with c2pa.Builder(json.dumps(manifest), context=context) as builder:
        builder.sign(signer, content_type, BytesIO(data), signed)
    return signed.getvalue()


def _one_pixel() -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "png")
    return buffer.getvalue()
