"""Fetches the weights that the settings name before a worker loads any; several workers of a machine fetch them once."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# boto3 makes its clients at run time, without types.

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog

from app.core.config import Settings, StorageSettings
from models.errors import ModelError
from models.importing.fetching import fetch
from models.importing.places import BLOCK_BYTES, FolderPlace, Opened, Place, Unreachable, WebPlace

log = structlog.stdlib.get_logger()


def fetch_weights(settings: Settings) -> None:
    """Fetch what is not there. Weights that cannot be had are logged and left out, so that they do not take the others along."""
    for name, source in settings.weights.items():
        try:
            place = place_of(source.url, settings.storage)
            is_new = fetch(name, source.sha256, place, settings.models_dir)
        except (ModelError, OSError) as error:
            log.error("weights not fetched", network=name, error=str(error))
            continue
        log.info("weights fetched" if is_new else "weights are there", network=name)


def place_of(url: str, storage: StorageSettings) -> Place:
    """The place behind an address: a folder, a bucket with the access that the storage settings give, or files on the web."""
    address = urlsplit(url)
    if address.scheme == "file":
        return FolderPlace(Path(unquote(address.path)))
    if address.scheme == "s3":
        # Here, because boto3 takes half a second to load and most workers fetch nothing.
        from app.core.storage.s3 import s3_client

        return BucketPlace(address.netloc, address.path.strip("/"), s3_client(storage))
    return WebPlace(url)


class BucketPlace:
    """Objects under a prefix of a bucket."""

    def __init__(self, bucket: str, prefix: str, client: Any) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._client = client

    @contextmanager
    def open(self, name: str, offset: int) -> Generator[Opened]:
        from botocore.exceptions import BotoCoreError, ClientError

        key = f"{self._prefix}/{name}" if self._prefix else name
        wanted = {"Range": f"bytes={offset}-"} if offset else {}
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=key, **wanted)
            with closing(found["Body"]) as body:
                yield Opened(offset if "ContentRange" in found else 0, _blocks(body))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "an error")
            raise Unreachable(f"bucket {self._bucket!r}, key {key!r}: it answers {code}") from None
        except BotoCoreError as error:
            raise Unreachable(f"bucket {self._bucket!r}, key {key!r}: {type(error).__name__}") from None


def _blocks(body: Any) -> Iterator[bytes]:
    return body.iter_chunks(BLOCK_BYTES)
