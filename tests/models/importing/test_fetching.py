"""Weights come to a machine once, whole and as they were named, or not at all."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from models.checkpoints.provenance import PROVENANCE, record_of, sha256_of, write_provenance
from models.errors import MalformedFile, UnsafeFormat
from models.importing.errors import ImportRefused
from models.importing.fetching import fetch
from models.importing.places import FolderPlace, Unreachable, WebPlace
from tests.e2e.running_service import ROOT

ONCE = (0.0,)
FILES = {"model_index.json": b"{}", "transformer/weights.safetensors": bytes(range(256)) * 4096, "empty.txt": b""}


def shipped(folder: Path, files: dict[str, bytes] | None = None) -> str:
    """A folder as an import leaves it; the sum of its record."""
    for name, content in (files or FILES).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return record(folder, *(files or FILES))


def record(folder: Path, *names: str) -> str:
    write_provenance(folder, {name: record_of(folder / name, sha256_of(folder / name)) for name in names}, {})
    return sha256_of(folder / PROVENANCE)


@dataclass
class Server:
    """Files over HTTP; `cut` holds bytes after which the next answer with that file ends early."""

    folder: Path
    url: str = ""
    cut: dict[str, int] = field(default_factory=dict[str, int])
    gets: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])


@contextmanager
def serving(folder: Path) -> Generator[Server]:
    served = Server(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name, wanted = self.path.lstrip("/"), self.headers.get("Range")
            served.gets.append((name, wanted))
            if not (folder / name).is_file():
                self.send_error(404)
                return
            content = (folder / name).read_bytes()
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : served.cut.pop(name, len(content))])

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on the terminal of a test."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def content_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_nothing_but_locks(into: Path) -> None:
    assert [path.name for path in into.rglob("*") if path.is_file()] == ["lock"]


def test_a_folder_comes_as_it_is_with_the_times_that_its_record_holds(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "models"
    total = shipped(source)

    assert fetch("net", total, FolderPlace(source), into, ONCE)
    assert not fetch("net", total, FolderPlace(tmp_path / "gone"), into, ONCE)

    assert content_of(into / "net") == content_of(source)
    for name in FILES:
        assert (into / "net" / name).stat().st_mtime_ns == (source / name).stat().st_mtime_ns


PROGRAM = """
import sys
from pathlib import Path
from models.importing.fetching import fetch
from models.importing.places import WebPlace
print(fetch("net", sys.argv[2], WebPlace(sys.argv[1]), Path(sys.argv[3])))
"""


@pytest.mark.prove
def test_processes_at_the_same_time_fetch_once(tmp_path: Path) -> None:
    into = tmp_path / "models"
    total = shipped(tmp_path / "source")
    with serving(tmp_path / "source") as server:
        command = [sys.executable, "-c", PROGRAM, server.url, total, str(into)]
        children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
        said = sorted(child.communicate(timeout=60)[0].strip() for child in children)

    assert said == ["False", "True"]
    assert sorted(name for name, _ in server.gets) == sorted([PROVENANCE, *FILES])
    assert content_of(into / "net") == content_of(tmp_path / "source")


def test_a_download_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    name, into = "transformer/weights.safetensors", tmp_path / "models"
    total = shipped(tmp_path / "source")
    with serving(tmp_path / "source") as server:
        server.cut[name] = 1000
        with pytest.raises(Unreachable):
            fetch("net", total, WebPlace(server.url), into, ONCE)
        assert not (into / "net").exists()

        assert fetch("net", total, WebPlace(server.url), into, ONCE)

    assert [wanted for got, wanted in server.gets if got == name] == [None, "bytes=1000-"]
    assert content_of(into / "net") == content_of(tmp_path / "source")


def test_a_cut_is_bridged_by_the_next_try(tmp_path: Path) -> None:
    total = shipped(tmp_path / "source")
    with serving(tmp_path / "source") as server:
        server.cut["transformer/weights.safetensors"] = 1000
        assert fetch("net", total, WebPlace(server.url), tmp_path / "models", (0.0, 0.0))


def test_a_file_that_is_not_what_its_sum_says_is_refused_by_name_and_leaves_nothing(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "models"
    total = shipped(source)
    (source / "transformer/weights.safetensors").write_bytes(b"x" * len(FILES["transformer/weights.safetensors"]))

    with pytest.raises(MalformedFile, match=r"transformer/weights\.safetensors has the sha256"):
        fetch("net", total, FolderPlace(source), into, ONCE)

    assert_nothing_but_locks(into)


def test_a_file_that_does_not_end_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "models"
    total = shipped(source)
    (source / "model_index.json").write_bytes(b"{}" * 4096)

    with pytest.raises(MalformedFile, match=r"model_index\.json is longer"):
        fetch("net", total, FolderPlace(source), into, ONCE)

    assert_nothing_but_locks(into)


def test_another_record_than_the_one_that_was_named_is_refused(tmp_path: Path) -> None:
    shipped(tmp_path / "source")
    with pytest.raises(MalformedFile, match=f"{PROVENANCE} has the sha256"):
        fetch("net", "0" * 64, FolderPlace(tmp_path / "source"), tmp_path / "models", ONCE)
    assert_nothing_but_locks(tmp_path / "models")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a\\b", "."])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    shipped(source)
    listed = json.loads((source / PROVENANCE).read_bytes())
    listed["files"][name] = listed["files"]["model_index.json"]
    (source / PROVENANCE).write_text(json.dumps(listed))
    total = hashlib.sha256((source / PROVENANCE).read_bytes()).hexdigest()

    with pytest.raises(MalformedFile, match="no file below it"):
        fetch("net", total, FolderPlace(source), tmp_path / "models", ONCE)
    assert_nothing_but_locks(tmp_path / "models")


def test_pickles_are_not_fetched(tmp_path: Path) -> None:
    total = shipped(tmp_path / "source", {"model_index.json": b"{}", "transformer/model.bin": b"\x80\x04."})
    with pytest.raises(UnsafeFormat, match=r"transformer/model\.bin"):
        fetch("net", total, FolderPlace(tmp_path / "source"), tmp_path / "models", ONCE)
    assert_nothing_but_locks(tmp_path / "models")


def test_another_sum_fetches_again_in_the_place_of_what_was_fetched(tmp_path: Path) -> None:
    into, source = tmp_path / "models", tmp_path / "source"
    fetch("net", shipped(source), FolderPlace(source), into, ONCE)
    (source / "model_index.json").write_bytes(b'{"new": 1}')
    assert fetch("net", record(source, *FILES), FolderPlace(source), into, ONCE)
    assert content_of(into / "net") == content_of(source)


def test_weights_that_somebody_put_there_are_never_replaced(tmp_path: Path) -> None:
    into, source = tmp_path / "models", tmp_path / "source"
    shipped(into / "net", {"model_index.json": b"mine"})
    with pytest.raises(ImportRefused, match="not fetched"):
        fetch("net", shipped(source), FolderPlace(source), into, ONCE)
    assert (into / "net" / "model_index.json").read_bytes() == b"mine"


def test_what_is_said_of_a_place_names_the_file_and_no_password(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        place = WebPlace(server.url.replace("http://", "http://ann:a-secret@"))
        with pytest.raises(Unreachable, match=f"{PROVENANCE} answers 404") as refused:
            fetch("net", "0" * 64, place, tmp_path / "models", ONCE)
    assert "a-secret" not in str(refused.value)
