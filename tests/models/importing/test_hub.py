"""Repositories of a hub, over real HTTP: what is fetched, from which commit, and what happens when it goes wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from huggingface_hub import constants

from models.checkpoints.provenance import recorded, sha256_of
from models.errors import MalformedFile, ModelError
from models.importing.errors import HubError
from models.importing.hub import fetched
from models.importing.sources import Origin
from tests.fixtures.loopback_hub import COMMIT, Hub, loopback_hub
from tests.models.importing.conftest import Said

SECRET = "hf_aVerySecretToken"
COMPONENTS = ("transformer", "vae", "tokenizer")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Generator[Hub]:
    """What HF_ENDPOINT names in the process that imports; here the library has read that long ago."""
    with loopback_hub() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        files = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants._HF_DEFAULT_ENDPOINT)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + files)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield hub


Fetch = Callable[[str], Origin]


@pytest.fixture
def fetch(tmp_path: Path, said: Said) -> Fetch:
    return lambda reference: fetched(reference, COMPONENTS, tmp_path / "hub", said)


def files_of(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_repository_is_imported_at_one_commit_and_only_what_is_needed_of_it(
    hub: Hub, klein: Path, tmp_path: Path, into: Path
) -> None:
    wanted = {path.relative_to(klein).as_posix(): path.read_bytes() for path in klein.rglob("*") if path.is_file()}
    unneeded = (
        "flux.safetensors",
        "README.md",
        "vae/x.onnx",
        "unet/config.json",
        "transformer/x.py",
        "transformer/x.bin",
    )
    files = wanted | {"LICENSE.md": b"terms"} | dict.fromkeys(unneeded, b"never fetched")
    hub.folders["org/klein"], hub.token = files_of(tmp_path / "repo", files), SECRET
    ended = subprocess.run(
        [sys.executable, "-m", "models.importing", "hf:org/klein@v1", "--as", "mine", "--like", "flux-nano",
         "--into", str(into), "--hub", str(tmp_path / "hub")],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3],
        env=os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": SECRET, "HF_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert SECRET not in ended.stdout + ended.stderr
    record = json.loads((into / "mine" / "darkroom.json").read_text())
    assert (record["source"], record["revision"]) == ("hf:org/klein@v1", COMMIT)
    weights = "transformer/diffusion_pytorch_model.safetensors"
    assert recorded(into / "mine")[weights].sha256 == sha256_of(klein / weights)
    assert (into / "mine" / "LICENSE.md").read_bytes() == b"terms"
    assert set(hub.fetched()) == wanted.keys() | {"LICENSE.md"}
    assert f"Bearer {SECRET}" in hub.tokens
    assert SECRET not in "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*.json"))


def test_an_interrupted_download_goes_on_where_it_was(hub: Hub, fetch: Fetch, tmp_path: Path) -> None:
    large = bytes(constants.DOWNLOAD_CHUNK_SIZE + 1000)
    hub.folders["org/one"] = files_of(tmp_path / "one", {"x.safetensors": large})
    hub.broken_after["x.safetensors"] = constants.DOWNLOAD_CHUNK_SIZE + 10
    origin = fetch("hf:org/one")
    assert origin.path.read_bytes() == large
    assert (origin.revision, list(origin.sha256.values())) == (COMMIT, [sha256_of(tmp_path / "one" / "x.safetensors")])
    ranges = [asked for method, path, asked in hub.requests if method == "GET" and path.endswith("x.safetensors")]
    assert ranges == [None, f"bytes={constants.DOWNLOAD_CHUNK_SIZE}-"]
    hub.requests.clear()
    fetch("hf:org/one@main")
    assert hub.fetched() == [], "what is there is not fetched again"


def test_one_file_of_many_can_be_meant(hub: Hub, fetch: Fetch, tmp_path: Path) -> None:
    hub.folders["org/files"] = files_of(
        tmp_path / "files", dict.fromkeys(("a.safetensors", "b.safetensors", "sub/c.bin"), b"x")
    )
    with pytest.raises(
        HubError, match=r"several files of weights; say hf:org/files:a\.safetensors, or one of b\.safetensors"
    ):
        fetch("hf:org/files")
    assert fetch("hf:org/files:b.safetensors").path.name == "b.safetensors"
    assert fetch("hf:org/files@v1:sub/c.bin").path.relative_to(tmp_path / "hub").parts[2:] == ("sub", "c.bin")


@pytest.mark.prove
def test_what_lies_beside_a_file_comes_with_it_where_it_is_asked_for(hub: Hub, tmp_path: Path, said: Said) -> None:
    """As an image adapter's encoder does; of its weights only one set."""
    encoder = ("image_encoder/config.json", "image_encoder/model.safetensors", "image_encoder/pytorch_model.bin")
    names = [f"{folder}/{name}" for folder in ("models", "other") for name in ("a.safetensors", *encoder)]
    hub.folders["org/files"] = files_of(tmp_path / "files", dict.fromkeys(names, b"x"))
    made = fetched("hf:org/files:models/a.safetensors", (), tmp_path / "hub", said, ("image_encoder",))
    beside = sorted(path.relative_to(made.path.parent).as_posix() for path in made.path.parent.rglob("*.*"))
    assert beside == ["a.safetensors", *encoder[:2]]
    assert not (made.path.parents[1] / "other").exists()


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("hf:org/absent", "there is no org/absent on the hub, or it is private"),
        ("hf:org/klein@v9", "org/klein has no revision v9"),
        ("hf:org/klein:nope.safetensors", "org/klein has no file nope"),
        ("hf:org", "is no hf:ORG/REPO"),
        ("hf:org/../..", "is no hf:ORG/REPO|there is no"),
        ("hf:org/none", r"has neither model_index\.json nor a file of weights"),
    ],
)
def test_what_the_hub_does_not_have_is_said_in_one_line(
    hub: Hub, fetch: Fetch, klein: Path, tmp_path: Path, reference: str, message: str
) -> None:
    hub.folders |= {"org/klein": klein, "org/none": files_of(tmp_path / "none", {"README.md": b"x"})}
    with pytest.raises(HubError, match=message) as caught:
        fetch(reference)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_not_the_one_announced_is_refused_and_forgotten(
    hub: Hub, fetch: Fetch, klein: Path, tmp_path: Path
) -> None:
    hub.folders["org/klein"] = klein
    hub.lies["vae/diffusion_pytorch_model.safetensors"] = "0" * 64
    with pytest.raises(MalformedFile, match="is not the file that the hub announced"):
        fetch("hf:org/klein")
    assert not list((tmp_path / "hub").rglob("vae/*.safetensors"))


def test_names_that_lead_out_of_the_folder_are_no_files(hub: Hub, fetch: Fetch, tmp_path: Path) -> None:
    hub.folders["org/one"] = files_of(tmp_path / "one", {"x.safetensors": b"x"})
    hub.extra = ("../../escape.safetensors", "/etc/x.safetensors", "a*.safetensors", "..\\x.safetensors")
    assert fetch("hf:org/one").path.name == "x.safetensors"
    with pytest.raises(HubError, match="has no file"):
        fetch("hf:org/one:../../escape.safetensors")


def test_a_gated_repository_says_what_to_do(
    hub: Hub, fetch: Fetch, klein: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.folders["org/klein"], hub.token = klein, "another"
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with pytest.raises(
        HubError, match="org/klein is gated: accept its licence on the hub's page, and set HF_TOKEN"
    ) as caught:
        fetch("hf:org/klein")
    assert SECRET not in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_one_line(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="org/klein could not be fetched: "):
        fetch("hf:org/klein")
