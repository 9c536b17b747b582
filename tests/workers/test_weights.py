"""Where workers fetch weights from, and that one network's trouble is no other's."""

from pathlib import Path

import boto3
import pytest
from structlog.testing import capture_logs

from app.core.config import Settings, StorageSettings, WeightsSettings
from models.checkpoints.provenance import PROVENANCE, record_of, sha256_of, write_provenance
from models.importing.places import Unreachable
from workers.weights import fetch_weights, place_of


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "some where" / "net"
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    index = folder / "model_index.json"
    write_provenance(folder, {index.name: record_of(index, sha256_of(index))}, {})
    return folder


def uploaded(folder: Path, bucket: StorageSettings) -> str:
    """Puts a folder's files into the bucket; their address."""
    name, _, prefix = bucket.url.removeprefix("s3://").partition("/")
    client = boto3.client(
        "s3",
        endpoint_url=bucket.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    for path in folder.iterdir():
        client.put_object(Bucket=name, Key=f"{prefix}/weights/{path.name}", Body=path.read_bytes())
    return f"{bucket.url}/weights"


def test_from_a_folder_and_from_a_bucket_each_beside_one_that_is_wrong(
    tmp_path: Path, source: Path, bucket: StorageSettings
) -> None:
    total = sha256_of(source / PROVENANCE)
    weights = {
        "wrong": WeightsSettings(url=source.as_uri(), sha256="0" * 64),
        "from-folder": WeightsSettings(url=source.as_uri(), sha256=total),
        "from-bucket": WeightsSettings(url=uploaded(source, bucket), sha256=total),
    }
    settings = Settings(data_dir=tmp_path / "data", storage=bucket, weights=weights)

    with capture_logs() as logs:
        fetch_weights(settings)

    assert [(line["event"], line["network"]) for line in logs] == [
        ("weights not fetched", "wrong"),
        ("weights fetched", "from-folder"),
        ("weights fetched", "from-bucket"),
    ]
    for name in ("from-folder", "from-bucket"):
        assert (settings.models_dir / name / "model_index.json").read_text() == "{}"
    assert not (settings.models_dir / "wrong").exists()


def test_a_bucket_gives_the_rest_of_a_file_and_says_what_it_does_not_have(
    source: Path, bucket: StorageSettings
) -> None:
    place = place_of(uploaded(source, bucket), bucket)
    with place.open("model_index.json", 1) as opened:
        assert (opened.start, b"".join(opened.blocks)) == (1, b"}")
    with pytest.raises(Unreachable, match=r"no-such\.json.*NoSuchKey"), place.open("no-such.json", 0):
        pass
