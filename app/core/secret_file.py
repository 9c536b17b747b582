"""The server's secrets: from settings, else from secrets.json in the data directory, made by the first to come."""

import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, SecretStr, ValidationError

from app.core.config import Settings
from app.core.errors import ConfigurationError

FILE_NAME = "secrets.json"
NUM_BYTES = 32


@dataclass(frozen=True)
class Secrets:
    """What gateways sign and hash with."""

    key_pepper: SecretStr
    url_signing_key: SecretStr

    @property
    def pepper_id(self) -> str:
        """Says which pepper made a digest, and nothing about the pepper."""
        return hashlib.sha256(b"pepper-id:" + self.key_pepper.get_secret_value().encode()).hexdigest()[:12]


class _SecretFile(BaseModel):
    key_pepper: SecretStr
    url_signing_key: SecretStr


def resolve_secrets(settings: Settings) -> Secrets:
    """Secrets that are set win; the others are read from secrets.json (mode 0600), made on first use.

    Raises:
        ConfigurationError: the file is there and cannot be understood.
    """
    pepper, signing_key = settings.secrets.key_pepper, settings.secrets.url_signing_key
    if pepper is not None and signing_key is not None:
        return Secrets(pepper, signing_key)
    stored = _read_or_create(settings.data_dir / FILE_NAME)
    return Secrets(pepper or stored.key_pepper, signing_key or stored.url_signing_key)


def _read_or_create(path: Path) -> _SecretFile:
    if not path.exists():
        _create(path)
    try:
        return _SecretFile.model_validate_json(path.read_bytes())
    except ValidationError:
        raise ConfigurationError(
            f"{path} does not hold key_pepper and url_signing_key; restore it from a backup"
        ) from None


def _create(path: Path) -> None:
    content = {name: secrets.token_urlsafe(NUM_BYTES) for name in _SecretFile.model_fields}
    write_once(path, json.dumps(content).encode())


def write_once(path: Path, content: bytes) -> None:
    """Write a complete file (mode 0600) under another name, then link it into place: of several creators exactly one wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _link_unless_there(draft, path)
    finally:
        draft.unlink()


def _link_unless_there(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        return
