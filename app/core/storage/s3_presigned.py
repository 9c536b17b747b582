"""Presigned addresses of an S3-compatible bucket: made here, by signing; the bucket is not asked."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
# boto3 makes its clients at run time, without types.

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError

from app.core.config import StorageSettings
from app.core.storage.base import StoreDown, checked_key
from app.core.storage.presigned import MAX_SECONDS, PresignedPost
from app.core.storage.s3 import s3_client

T = TypeVar("T")


class S3Presigner:
    """A Presigner of the bucket in the settings, at the address at which clients reach it."""

    def __init__(self, settings: StorageSettings) -> None:
        address = urlsplit(settings.url)
        self._bucket = address.netloc
        self._prefix = address.path.strip("/")
        seen_by_clients = settings.public_endpoint_url or settings.endpoint_url
        self._client = s3_client(settings.model_copy(update={"endpoint_url": seen_by_clients}))

    async def upload(self, key: str, num_bytes: int, content_type: str, ttl_s: float) -> PresignedPost:
        form: dict[str, Any] = await self._signed(
            lambda: self._client.generate_presigned_post(
                Bucket=self._bucket,
                Key=self._name(key),
                Fields={"Content-Type": content_type},
                Conditions=[{"Content-Type": content_type}, ["content-length-range", num_bytes, num_bytes]],
                ExpiresIn=_seconds(ttl_s),
            )
        )
        return PresignedPost(form["url"], form["fields"])

    async def download(self, key: str, content_type: str, filename: str, ttl_s: float) -> str:
        return await self._signed(
            lambda: self._client.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": self._name(key),
                    "ResponseContentType": content_type,
                    "ResponseContentDisposition": f'inline; filename="{filename}"',
                },
                ExpiresIn=_seconds(ttl_s),
            )
        )

    async def _signed(self, sign: Callable[[], T]) -> T:
        """In a thread: the key that signs may have to be fetched first, from the machine's role."""
        try:
            return await asyncio.to_thread(sign)
        except BotoCoreError as error:
            raise StoreDown(f"bucket {self._bucket!r}: {type(error).__name__}") from None

    def _name(self, key: str) -> str:
        checked_key(key)
        return f"{self._prefix}/{key}" if self._prefix else key


def _seconds(ttl_s: float) -> int:
    return max(1, min(MAX_SECONDS, int(ttl_s)))
