"""Signed files that a worker remembers: the same picture, asked for again, is the same file to the byte.

A signature is another each time (the library draws salts and names), and whoever draws with a seed twice expects one file.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, Protocol

REMEMBERED_BYTES: Final = 64 * 2**20


class Signer(Protocol):
    """What puts a signed manifest into a file, from any thread."""

    def signed(self, data: bytes, content_type: str, manifest: Mapping[str, Any]) -> bytes:
        """The same file with a signed manifest in it. Raises SigningFailed."""
        ...


class RememberingSigner:
    """Signs what it has not signed lately.

    Args:
        signer: who signs.
        max_bytes: of files that are remembered, the least recently asked for forgotten first.
    """

    def __init__(self, signer: Signer, max_bytes: int = REMEMBERED_BYTES) -> None:
        self._signer = signer
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._files: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def signed(self, data: bytes, content_type: str, manifest: Mapping[str, Any]) -> bytes:
        """As Signer's; the file of an earlier call with the same arguments, while it is remembered."""
        said = json.dumps([content_type, manifest], sort_keys=True).encode()
        key = sha256(sha256(said).digest() + data).digest()
        with self._lock:
            if key in self._files:
                self._files.move_to_end(key)
                return self._files[key]
        file = self._signer.signed(data, content_type, manifest)
        with self._lock:
            return self._keep(key, file)

    def _keep(self, key: bytes, file: bytes) -> bytes:
        if key in self._files or len(file) > self._max_bytes:
            return self._files.get(key, file)
        self._files[key] = file
        self._held_bytes += len(file)
        while self._held_bytes > self._max_bytes:
            self._held_bytes -= len(self._files.popitem(last=False)[1])
        return file
