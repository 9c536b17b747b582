"""The object store that the settings name."""

from app.core.config import Settings
from app.core.storage.base import ObjectStore
from app.core.storage.local import LocalObjectStore
from app.core.storage.presigned import Presigner

FOLDER = "objects"


def open_store(settings: Settings) -> ObjectStore:
    """A bucket where one is named, else a folder of the data directory."""
    if not settings.storage.url:
        return LocalObjectStore(settings.data_dir / FOLDER)
    # Here, because boto3 takes half a second to load and most services have no bucket.
    from app.core.storage.s3 import S3ObjectStore

    return S3ObjectStore(settings.storage)


def open_presigner(settings: Settings) -> Presigner | None:
    """Where clients may speak to the bucket themselves, what signs their addresses."""
    if not (settings.storage.url and settings.storage.presigned):
        return None
    from app.core.storage.s3_presigned import S3Presigner  # brings boto3, as above

    return S3Presigner(settings.storage)
