"""What is S3's own: the prefix, digests, errors without secrets, and the settings that choose it."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from app.core.config import Settings, StorageSettings
from app.core.storage.base import StoreDown
from app.core.storage.local import LocalObjectStore
from app.core.storage.opening import open_store
from app.core.storage.s3 import S3ObjectStore

pytestmark = pytest.mark.anyio


async def test_objects_lie_under_the_prefix_with_their_type(bucket: StorageSettings, s3_owner: Any) -> None:
    store = S3ObjectStore(bucket)
    await store.put("files/1", b"picture", "image/png")
    await store.copy("files/1", "results/a/1.png")
    found = s3_owner.get_object(Bucket=bucket.url.split("/")[2], Key="some/prefix/results/a/1.png")
    assert (found["Body"].read(), found["ContentType"]) == (b"picture", "image/png")


async def test_a_bucket_that_is_not_there_is_named_and_no_secret_is(bucket: StorageSettings) -> None:
    store = S3ObjectStore(bucket.model_copy(update={"url": "s3://nobody-has-this"}))
    with pytest.raises(StoreDown, match="bucket 'nobody-has-this', key 'a': it answered NoSuchBucket") as refused:
        await store.put("a", b"x", "image/png")
    assert "a-secret-of-tests" not in str(refused.value)


async def test_a_server_that_never_answers_is_given_up_at_the_deadline(bucket: StorageSettings) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        store = S3ObjectStore(bucket.model_copy(update={"endpoint_url": address, "deadline_s": 0.2}))
        began_s = time.monotonic()
        with pytest.raises(StoreDown):
            await store.get("a")
        assert time.monotonic() - began_s < 5


def test_settings_choose_the_store(tmp_path: Path, bucket: StorageSettings) -> None:
    assert isinstance(open_store(Settings(data_dir=tmp_path)), LocalObjectStore)
    assert isinstance(open_store(Settings(data_dir=tmp_path, storage=bucket)), S3ObjectStore)


@pytest.mark.parametrize("url", ["bucket", "s3://", "s3://A", "http://bucket", "s3://a b"])
def test_an_address_that_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        StorageSettings(url=url)
