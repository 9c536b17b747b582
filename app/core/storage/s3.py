"""Objects in an S3-compatible bucket, through boto3 in threads: an event loop never waits on the network.

Every request is tried a few times within a total of seconds. What fails after that is an OSError that names bucket and key, and
never an access key.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false
# boto3 makes its clients at run time, without types.

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.core.config import StorageSettings
from app.core.storage.base import CHUNK_BYTES, ObjectMissing, OpenObject, StoreDown, checked_key, file_sha256

MAX_ATTEMPTS = 4
MAX_CONNECTIONS = 32
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})

T = TypeVar("T")


class S3ObjectStore:
    """An ObjectStore under a prefix of one bucket, which is there already."""

    def __init__(self, settings: StorageSettings) -> None:
        address = urlsplit(settings.url)
        self._bucket = address.netloc
        self._prefix = address.path.strip("/")
        self._client = s3_client(settings)
        self._deadline_s = settings.deadline_s

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        await self.put_file(key, io.BytesIO(data), content_type)

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        """The store checks what it got against a digest: a body that was damaged under way is refused."""
        await self._call(key, lambda name: self._put(name, file, content_type))

    async def copy(self, source: str, target: str) -> None:
        """Within the bucket."""
        there = self._name(source)
        await self._call(
            target,
            lambda name: self._client.copy_object(
                Bucket=self._bucket, Key=name, CopySource={"Bucket": self._bucket, "Key": there}
            ),
        )

    async def get(self, key: str) -> bytes:
        return await self._call(key, lambda name: self._found(name)["Body"].read())

    async def open(self, key: str) -> OpenObject:
        found = await self._call(key, lambda name: self._client.head_object(Bucket=self._bucket, Key=name))
        num_bytes: int = found["ContentLength"]
        return OpenObject(num_bytes, lambda start, stop: self._chunks(key, start, stop, num_bytes))

    async def delete(self, key: str) -> None:
        await self._call(key, lambda name: self._client.delete_object(Bucket=self._bucket, Key=name))

    async def _chunks(self, key: str, start: int, stop: int, num_bytes: int) -> AsyncIterator[bytes]:
        """Asks for the object when the first piece is wanted: an answer without a body (HEAD) leaves nothing open."""
        if start >= stop:
            return
        part = {} if (start, stop) == (0, num_bytes) else {"Range": f"bytes={start}-{stop - 1}"}
        body = await self._call(key, lambda name: self._found(name, **part)["Body"])
        try:
            while chunk := await self._call(key, lambda _: body.read(CHUNK_BYTES)):
                yield chunk
        finally:
            with suppress(BotoCoreError, OSError):
                body.close()

    def _put(self, name: str, file: BinaryIO, content_type: str) -> None:
        digest = base64.b64encode(file_sha256(file)).decode()
        file.seek(0)
        self._client.put_object(
            Bucket=self._bucket, Key=name, Body=file, ContentType=content_type, ChecksumSHA256=digest
        )

    def _found(self, name: str, **part: str) -> Any:
        return self._client.get_object(Bucket=self._bucket, Key=name, **part)

    def _name(self, key: str) -> str:
        """The key as the bucket knows it."""
        checked_key(key)
        return f"{self._prefix}/{key}" if self._prefix else key

    async def _call(self, key: str, request: Callable[[str], T]) -> T:
        """One request in a thread, within the deadline. Raises ObjectMissing or StoreDown."""
        name = self._name(key)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.to_thread(request, name)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in _MISSING:
                raise ObjectMissing(key) from None
            raise self._down(key, f"it answered {code or 'an error'}") from None
        except TimeoutError:
            raise self._down(key, f"no answer within {self._deadline_s:g} s") from None
        except BotoCoreError as error:
            raise self._down(key, type(error).__name__) from None

    def _down(self, key: str, why: str) -> StoreDown:
        return StoreDown(f"bucket {self._bucket!r}, key {key!r}: {why}")


def s3_client(settings: StorageSettings) -> Any:
    """Access keys that are not in the settings come from where AWS's tools look: environment, files, the machine's role."""
    secret = settings.secret_access_key
    return Session().client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        aws_access_key_id=settings.access_key_id,
        aws_secret_access_key=None if secret is None else secret.get_secret_value(),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if settings.path_style else "auto"},
            retries={"mode": "standard", "total_max_attempts": MAX_ATTEMPTS},
            connect_timeout=settings.deadline_s / 2,
            read_timeout=settings.deadline_s,
            max_pool_connections=MAX_CONNECTIONS,
        ),
    )
