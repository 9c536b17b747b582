"""Content credentials, read back by c2pa's own reader: who drew, from what, and that nobody has changed a pixel since."""

import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import c2pa  # pyright: ignore[reportMissingTypeStubs] - it has types, but does not say so
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image
from structlog.testing import capture_logs

from app.core.clock import ManualClock
from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.spec import OUTPUT_FORMATS, GenerationSpec, InputImage, OutputFormat, Role
from tests.fixtures.accounts import nano_spec
from workers.artifacts import Artifact, encode, signed
from workers.provenance.certificates import VALID_FOR, SigningIdentity, own_identity, signing_identity
from workers.provenance.credentials import PAUSE_S, Credentials
from workers.provenance.manifest import COMPOSITE, GENERATED
from workers.provenance.marks import open_marks
from workers.provenance.remembering import Signer

NOW = datetime.now(UTC)
PIXELS = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
IDENTITY = own_identity(NOW)


@pytest.fixture(scope="module")
def credentials() -> Credentials:
    return Credentials(IDENTITY)


def result(credentials: Signer, spec: GenerationSpec) -> tuple[Artifact, Artifact]:
    """A picture before and after it was signed."""
    plain = encode(PIXELS, spec.output_format)
    return plain, signed(plain, spec, credentials)


def read(data: bytes, content_type: str, anchors: bytes | None = None) -> tuple[str, dict[str, Any], set[str]]:
    """What a reader makes of a file: its state, the manifest, and the codes of its objections."""
    trust = {} if anchors is None else {"trust": {"trust_anchors": anchors.decode()}}
    context = c2pa.Context(settings=c2pa.Settings.from_json(json.dumps(trust)))
    with c2pa.Reader(content_type, BytesIO(data), context=context) as reader:
        found = json.loads(reader.json())
    objections = {one["code"] for one in found.get("validation_status", [])}
    return found["validation_state"], found["manifests"][found["active_manifest"]], objections


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("output_format", OUTPUT_FORMATS)
def test_a_signed_picture_says_that_it_was_generated_and_by_what(
    credentials: Credentials, output_format: OutputFormat
) -> None:
    spec = nano_spec().model_copy(update={"output_format": output_format})
    plain, result_ = result(credentials, spec)
    state, manifest, objections = read(result_.data, result_.content_type)
    (generator,) = manifest["claim_generator_info"]
    (action,) = manifest["assertions"][0]["data"]["actions"]
    assert (state, objections) == ("Valid", {"signingCredential.untrusted"})
    assert generator["name"] == "Darkroom"
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", GENERATED)
    assert action["softwareAgent"]["name"] == "flux-nano"
    assert np.array_equal(pixels_of(result_.data), pixels_of(plain.data))
    assert len(result_.data) - len(plain.data) < 4096
    assert spec.prompt.encode() not in result_.data
    assert (result_.width, result_.height, result_.content_type) == (80, 48, plain.content_type)
    assert result_.sha256 != plain.sha256


def test_who_trusts_the_root_trusts_the_picture(credentials: Credentials) -> None:
    root = IDENTITY.chain[IDENTITY.chain.rindex(b"-----BEGIN CERTIFICATE") :]
    _, picture = result(credentials, nano_spec())
    assert read(picture.data, "image/png", root)[0::2] == ("Trusted", set())


def test_a_changed_pixel_is_seen(credentials: Credentials) -> None:
    """The credentials are moved, whole, to the same picture with one level of one pixel changed."""
    plain, picture = result(credentials, nano_spec())
    one_off = PIXELS.copy()
    one_off[20, 30, 1] ^= 1
    other = encode(one_off, "png").data
    start = picture.data.index(b"caBX") - 4
    num_bytes = len(picture.data) - len(plain.data)
    forged = other[:33] + picture.data[start : start + num_bytes] + other[33:]
    assert start == 33
    assert np.array_equal(pixels_of(forged), one_off)
    state, _, objections = read(forged, "image/png")
    assert state == "Invalid"
    assert "assertion.dataHash.mismatch" in objections


def test_a_flipped_bit_of_a_jpeg_is_seen(credentials: Credentials) -> None:
    spec = nano_spec().model_copy(update={"output_format": "jpeg"})
    _, picture = result(credentials, spec)
    data = bytearray(picture.data)
    data[-100] ^= 1
    assert read(bytes(data), "image/jpeg")[0] == "Invalid"


def image(role: Role, number: int) -> InputImage:
    return InputImage(
        role=role, key="inputs/aa/x", sha256=f"{number:064x}", content_type="image/png", width=8, height=8
    )


def test_pictures_that_were_read_are_named_and_one_that_was_changed_is_the_parent(credentials: Credentials) -> None:
    references = nano_spec().model_copy(update={"inputs": (image("reference", 1), image("reference", 2))})
    state, manifest, _ = read(result(credentials, references)[1].data, "image/png")
    assert state == "Valid"
    assert [(one["relationship"], one["instance_id"][-1]) for one in manifest["ingredients"]] == [
        ("inputTo", "1"),
        ("inputTo", "2"),
    ]
    changed = nano_spec().model_copy(update={"inputs": (image("image", 3), image("mask", 4))})
    state, manifest, _ = read(result(credentials, changed)[1].data, "image/png")
    assert state == "Valid"
    assert [one["relationship"] for one in manifest["ingredients"]] == ["parentOf"]
    opened, edited = manifest["assertions"][0]["data"]["actions"]
    assert (opened["action"], edited["action"]) == ("c2pa.opened", "c2pa.edited")
    assert edited["digitalSourceType"] == COMPOSITE


def test_the_own_certificate_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    first = signing_identity(settings, NOW)
    (kept,) = (tmp_path / "data").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert signing_identity(settings, NOW) == first
    with pytest.raises(ConfigurationError, match="certificate for"):
        signing_identity(settings, NOW + VALID_FOR)


def test_a_folder_that_cannot_be_written_is_named_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(ConfigurationError, match="DARKROOM_PROVENANCE__CREDENTIALS"):
        signing_identity(Settings(data_dir=tmp_path / "data"), NOW)


def configured(folder: Path, identity: SigningIdentity) -> Settings:
    """An operator's own files."""
    (folder / "chain.pem").write_bytes(identity.chain)
    (folder / "key.pem").write_bytes(identity.private_key)
    paths = {"certificate": folder / "chain.pem", "private_key": folder / "key.pem"}
    return Settings.model_validate({"data_dir": folder / "data", "provenance": paths})


def test_an_operators_certificate_signs_and_nothing_is_made(tmp_path: Path) -> None:
    theirs = own_identity(NOW)
    marks = open_marks(configured(tmp_path, theirs), NOW)
    assert not (tmp_path / "data").exists()
    assert marks.credentials is not None
    root = theirs.chain[theirs.chain.rindex(b"-----BEGIN CERTIFICATE") :]
    assert read(result(marks.credentials, nano_spec())[1].data, "image/png", root)[0] == "Trusted"


def another_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


LEAF, ROOT = IDENTITY.chain[: (cut := IDENTITY.chain.rindex(b"-----BEGIN"))], IDENTITY.chain[cut:]


@pytest.mark.parametrize(
    "identity",
    [
        SigningIdentity(IDENTITY.chain, another_key()),
        SigningIdentity(IDENTITY.chain, b"no key"),
        SigningIdentity(b"no certificate", IDENTITY.private_key),
        SigningIdentity(ROOT + LEAF, IDENTITY.private_key),
        own_identity(NOW - VALID_FOR - timedelta(days=1)),
    ],
    ids=["another's key", "no key", "no certificate", "the wrong order", "over"],
)
def test_what_cannot_sign_is_refused_when_the_worker_starts(tmp_path: Path, identity: SigningIdentity) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_marks(configured(tmp_path, identity), NOW)
    assert "PRIVATE" not in str(refused.value)


def test_an_authority_that_is_away_costs_the_timestamp_and_no_picture() -> None:
    clock = ManualClock()
    credentials = Credentials(IDENTITY, "http://127.0.0.1:1/", clock.monotonic_s)
    told: list[int] = []
    for seconds in (0.0, PAUSE_S - 1, 2.0):
        clock.advance(seconds)
        with capture_logs() as logs:
            _, picture = result(credentials, nano_spec())
        assert read(picture.data, "image/png")[0] == "Valid"
        told.append(len(logs))
    assert told == [1, 0, 1]


def test_credentials_can_be_switched_off(tmp_path: Path) -> None:
    settings = Settings.model_validate({"data_dir": tmp_path, "provenance": {"credentials": False}})
    assert open_marks(settings, NOW).credentials is None
    assert list(tmp_path.iterdir()) == []
