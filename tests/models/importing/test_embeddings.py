"""Learnt words become folders, from every kind of file that there is; everything else is refused, and leaves nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from app.core.control_rows import EMBEDDING_ROWS
from models.checkpoints.embedding_folder import load_embedding
from models.checkpoints.files import write_tensors
from models.errors import MalformedFile, ModelError, UnsafeFormat
from models.importing.embeddings import EMBEDDINGS, import_embedding
from models.importing.errors import ImportRefused
from models.importing.pickles import read_pickle
from models.importing.request import Request
from models.text.inversion import Embedding
from tests.models.importing.conftest import Said
from workers.embeddings import load_embeddings

SD, SDXL = EMBEDDINGS
FIRST, SECOND = torch.randn(3, 768), torch.randn(3, 1280)
Bring = Callable[..., Embedding]


@pytest.fixture
def bring(into: Path, tmp_path: Path, said: Said) -> Bring:
    def run(source: Path, like: str = SD, name: str = "my-style") -> Embedding:
        made = import_embedding(Request(str(source), name, into, like, hub=tmp_path / "hub"), said)
        return load_embedding(made)

    return run


def test_names_are_those_of_the_gateway() -> None:
    assert [row.name for row in EMBEDDING_ROWS] == [*EMBEDDINGS]


def test_automatic1111s_safetensors_has_the_name_as_trigger(bring: Bring, tmp_path: Path) -> None:
    save_file({"emb_params": FIRST}, tmp_path / "x.safetensors")
    made = bring(tmp_path / "x.safetensors")
    assert (made.trigger, made.num_vectors, made.widths) == ("my-style", 3, (768,))
    assert torch.equal(made.vectors[0], FIRST)


def test_sdxls_has_vectors_for_both_encoders(bring: Bring, tmp_path: Path) -> None:
    save_file({"clip_g": SECOND, "clip_l": FIRST}, tmp_path / "x.safetensors")
    made = bring(tmp_path / "x.safetensors", SDXL)
    assert (made.trigger, made.widths) == ("my-style", (768, 1280))
    assert torch.equal(made.vectors[0], FIRST)
    assert torch.equal(made.vectors[1], SECOND)


def test_diffusers_folder_says_the_trigger_and_one_vector_may_be_flat(bring: Bring, tmp_path: Path) -> None:
    save_file({"<cat-toy>": FIRST[0]}, tmp_path / "learned_embeds.safetensors")
    made = bring(tmp_path)
    assert (made.trigger, made.num_vectors) == ("<cat-toy>", 1)
    assert torch.equal(made.vectors[0], FIRST[:1])


@pytest.mark.prove
def test_automatic1111s_pickle_is_read_in_a_process_of_its_own(bring: Bring, tmp_path: Path, said: Said) -> None:
    held = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.nn.Parameter(FIRST)},
        "name": "other",
        "step": 1200,
        "sd_checkpoint": None,
    }
    torch.save(held, tmp_path / "x.pt")
    made = bring(tmp_path / "x.pt")
    assert made.trigger == "my-style"
    assert torch.equal(made.vectors[0], FIRST)
    assert any("a process of its own" in stage for stage in said.stages)


def test_of_automatic1111s_pickle_only_the_vectors_are_read(tmp_path: Path) -> None:
    torch.save({"string_to_param": {"*": FIRST}, "name": "x", "step": 3}, tmp_path / "x.pt")
    assert torch.equal(read_pickle(tmp_path / "x.pt")["*"], FIRST)


class Hostile:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit",)


@pytest.mark.prove
def test_a_pickle_that_calls_something_is_refused(bring: Bring, tmp_path: Path, into: Path) -> None:
    torch.save({"string_to_param": {"*": FIRST}, "name": Hostile()}, tmp_path / "x.pt")
    with pytest.raises(UnsafeFormat, match="it wants to call"):
        bring(tmp_path / "x.pt")
    assert not (into / "my-style").exists()


@pytest.mark.parametrize(
    ("tensors", "like", "error", "told"),
    [
        ({"emb_params": torch.randn(2, 1024)}, SD, ImportRefused, "vectors of 1024 channels.*nothing here reads"),
        ({"clip_l": FIRST, "clip_g": SECOND}, SD, ImportRefused, f"no {SD}; import it --like {SDXL}"),
        ({"emb_params": FIRST}, SDXL, ImportRefused, f"no {SDXL}; import it --like {SD}"),
        ({"clip_l": FIRST, "clip_g": SECOND[:2]}, SDXL, MalformedFile, "as many vectors; these have 3 and 2"),
        ({"emb_params": torch.randn(76, 768)}, SD, MalformedFile, "1 to 75.*these are 76x768"),
        ({"emb_params": torch.full((1, 768), torch.nan)}, SD, MalformedFile, "finite"),
        ({"emb_params": torch.ones(1, 768, dtype=torch.int32)}, SD, MalformedFile, "floating-point"),
        ({"a": FIRST, "b": FIRST}, SD, MalformedFile, "holds 2 tensors"),
        ({" a ": FIRST}, SD, MalformedFile, "cannot be a trigger"),
    ],
)
def test_what_is_no_learnt_word_of_the_family_is_refused(
    bring: Bring,
    tmp_path: Path,
    into: Path,
    tensors: dict[str, torch.Tensor],
    like: str,
    error: type[ModelError],
    told: str,
) -> None:
    write_tensors(tmp_path / "x.safetensors", {name: tensor.clone() for name, tensor in tensors.items()})
    with pytest.raises(error, match=told):
        bring(tmp_path / "x.safetensors", like)
    assert not (into / "my-style").exists()


def test_workers_hold_as_many_as_there_is_room_for(bring: Bring, tmp_path: Path, into: Path) -> None:
    save_file({"emb_params": FIRST}, tmp_path / "x.safetensors")
    for name in ("one", "two"):
        bring(tmp_path / "x.safetensors", name=name)
    folders = {name: into / name for name in ("one", "two")} | {"gone": tmp_path}
    assert [*load_embeddings(folders, torch.device("cpu"))] == ["one", "two"]
    assert [*load_embeddings(folders, torch.device("cpu"), max_bytes=FIRST.nbytes)] == ["one"]
