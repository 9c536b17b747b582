"""Bodies of `/v1/files`: one shape that OpenAI's and Replicate's clients read, and what a picture adds to it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.db.tables.file import File
from app.core.inputs.encoded import MAX_BYTES
from app.core.storage.presigned import PresignedPost
from app.files.naming import PATH
from app.files.repository import READY
from app.files.service import DEFAULT_PURPOSE

Purpose = Literal["input", "vision", "user_data"]
ContentType = Literal["image/png", "image/jpeg", "image/webp"]


class PresignedBody(BaseModel, defer_build=True):
    """A file that its owner will send to the bucket."""

    model_config = ConfigDict(extra="forbid")

    upload: Literal["presigned"]
    bytes: Annotated[int, Field(ge=1, le=MAX_BYTES, description="Of the file, exactly.")]
    content_type: ContentType
    filename: Annotated[str, Field(max_length=1024)] = ""
    purpose: Purpose = DEFAULT_PURPOSE


class UploadRead(BaseModel, defer_build=True):
    """A form to send to `url`: these fields, then the picture as `file`. Then POST the file's `/complete`."""

    url: str
    fields: Mapping[str, str]
    expires_at: datetime


class FileRead(BaseModel, defer_build=True):
    """`id` is what a picture field takes. Moments are in seconds since 1970.

    `name`, `size`, `etag`, `checksums` and `metadata` say what others say, in Replicate's words. What the picture's header says
    is null until it has been looked at.
    """

    id: str
    object: Literal["file"] = "file"
    status: Literal["processed", "uploading"]
    purpose: str
    filename: str
    bytes: int
    content_type: str
    width: int | None
    height: int | None
    sha256: str | None
    created_at: int
    expires_at: int
    urls: Mapping[str, str]
    name: str
    size: int
    etag: str
    checksums: Mapping[str, str]
    metadata: Mapping[str, Any] = {}

    @classmethod
    def of(cls, file: File, public_url: str) -> "FileRead":
        return cls(**_said(file, public_url))


class NewFileRead(FileRead, defer_build=True):
    """`upload` is there where the picture is yet to be sent."""

    upload: UploadRead | None = None

    @classmethod
    def with_form(cls, file: File, public_url: str, form: PresignedPost) -> "NewFileRead":
        upload = UploadRead(url=form.url, fields=form.fields, expires_at=file.expires_at)
        return cls(**_said(file, public_url), upload=upload)


class FilePage(BaseModel, defer_build=True):
    """Newest first. The page behind it comes with `after=last_id`."""

    object: Literal["list"] = "list"
    data: list[FileRead]
    has_more: bool
    first_id: str | None
    last_id: str | None


def _said(file: File, public_url: str) -> dict[str, Any]:
    address = f"{public_url}{PATH}/{file.id}"
    return {
        "id": file.id,
        "status": "processed" if file.state == READY else "uploading",
        "purpose": file.purpose,
        "filename": file.filename,
        "bytes": file.num_bytes,
        "content_type": file.content_type,
        "width": file.width,
        "height": file.height,
        "sha256": file.sha256,
        "created_at": int(file.created_at.timestamp()),
        "expires_at": int(file.expires_at.timestamp()),
        "urls": {"get": address, "content": f"{address}/content"},
        "name": file.filename,
        "size": file.num_bytes,
        "etag": file.sha256 or "",
        "checksums": {"sha256": file.sha256} if file.sha256 else {},
    }
