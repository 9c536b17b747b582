"""Addresses with which a client speaks to the bucket itself, each for one object and one purpose, for a while."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

MAX_SECONDS: Final = 7 * 86_400
"""S3's longest."""


@dataclass(frozen=True)
class PresignedPost:
    """A form to send: these fields first, as they are, then the file as `file`."""

    url: str
    fields: Mapping[str, str]


class Presigner(Protocol):
    """Of a bucket that clients can reach. Raises InvalidKey, StoreDown."""

    async def upload(self, key: str, num_bytes: int, content_type: str, ttl_s: float) -> PresignedPost:
        """For an object of exactly so many bytes and this type; the bucket refuses any other."""
        ...

    async def download(self, key: str, content_type: str, filename: str, ttl_s: float) -> str:
        """An address of an object, which answers with this type and name."""
        ...
