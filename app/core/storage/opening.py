"""The object store that the settings name."""

from app.core.config import Settings
from app.core.storage.base import ObjectStore
from app.core.storage.local import LocalObjectStore

FOLDER = "objects"


def open_store(settings: Settings) -> ObjectStore:
    """A bucket where one is named, else a folder of the data directory."""
    if not settings.storage.url:
        return LocalObjectStore(settings.data_dir / FOLDER)
    # Here, because boto3 takes half a second to load and most services have no bucket.
    from app.core.storage.s3 import S3ObjectStore

    return S3ObjectStore(settings.storage)
