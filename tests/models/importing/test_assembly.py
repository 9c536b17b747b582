"""Folders that are put together: what comes in, in every form, is what Diffusers and we load; and what cannot be leaves nothing."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.checkpoints import flux1, flux2
from models.checkpoints.autoencoder import load_autoencoder
from models.checkpoints.files import TensorFiles
from models.checkpoints.provenance import fingerprint, recorded, sha256_of
from models.errors import (
    CheckpointError,
    MalformedConfig,
    MalformedFile,
    ShapeMismatch,
    UnknownKeys,
    UnsupportedSampler,
)
from models.importing.errors import ImportRefused
from models.importing.weights import safe_files
from models.pipeline.loading import load_components
from tests.models.importing.conftest import Import, Said

PUBLISHED = "diffusion_pytorch_model.safetensors"


def tensors(folder: Path, stem: str = "diffusion_pytorch_model") -> dict[str, Tensor]:
    files = TensorFiles.of_component(folder, stem)
    return {name: files.read(name) for name in files.names()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


def native_file(transformer: Path, path: Path, prefix: str = "") -> Path:
    """The transformer as Black Forest Labs publish it."""
    loaders = {"FluxTransformer2DModel": flux1.load_transformer, "Flux2Transformer2DModel": flux2.load_transformer}
    name = json.loads((transformer / "config.json").read_text())["_class_name"]
    save_file({prefix + key: value.clone() for key, value in loaders[name](transformer).state_dict().items()}, path)
    return path


def test_a_folder_of_diffusers_is_linked_recorded_and_loaded_by_both(bring: Import, dev: Path) -> None:
    made = bring(dev, licence="FLUX.1 [dev] Non-Commercial", is_accepted=True)
    weights = Path("transformer") / PUBLISHED
    assert os.stat(made / weights).st_ino == os.stat(dev / weights).st_ino
    assert not any(path.is_symlink() for path in made.rglob("*"))
    components = load_components(made, dtype=torch.float32)
    assert components.spec.name == "mine"
    theirs = FluxPipeline.from_pretrained(made)
    assert same(theirs.transformer.state_dict(), tensors(dev / "transformer"))
    record = json.loads((made / "darkroom.json").read_text())
    assert record["licence"]["accepted_at"] == record["imported_at"]
    assert (record["like"], record["source"]) == ("flux-dev", str(dev))
    assert record["fingerprint"] == fingerprint(made) == components.revision
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()} - {"darkroom.json"}
    assert recorded(made).keys() == files
    assert all(entry.sha256 == sha256_of(made / name) for name, entry in recorded(made).items())


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_single_file_takes_the_rest_from_an_installed_folder(
    bring: Import, dev: Path, tmp_path: Path, prefix: str
) -> None:
    made = bring(native_file(dev / "transformer", tmp_path / "flux1.safetensors", prefix), base=dev)
    assert same(tensors(made / "transformer"), tensors(dev / "transformer"))
    assert same(FluxPipeline.from_pretrained(made).transformer.state_dict(), tensors(dev / "transformer"))


def test_licences_stay_with_what_they_are_of(bring: Import, dev: Path, tmp_path: Path) -> None:
    base = copied(dev, tmp_path / "base")
    (base / "LICENSE").write_text("the base's")
    made = bring(native_file(dev / "transformer", tmp_path / "x.safetensors"), base=base)
    assert (made / "base.LICENSE").read_text() == "the base's"
    assert not (made / "LICENSE").exists(), "the file's own licence is another's"


def test_flux2_in_a_single_file_becomes_a_folder_of_kleins(bring: Import, klein: Path, tmp_path: Path) -> None:
    made = bring(native_file(klein / "transformer", tmp_path / "x.safetensors"), "flux-nano", base=klein)
    pipeline = Flux2KleinPipeline.from_pretrained(made)
    assert same(pipeline.transformer.state_dict(), tensors(klein / "transformer"))
    assert pipeline.config["is_distilled"] is False
    assert load_components(made, dtype=torch.float32).revision == fingerprint(made)


def test_a_single_file_of_a_distilled_network_gets_its_own_schedule(bring: Import, dev: Path, tmp_path: Path) -> None:
    state = {
        name: value for name, value in load_file(native_file(dev / "transformer", tmp_path / "x.safetensors")).items()
        if not name.startswith("guidance_in.")
    }  # fmt: skip
    save_file(state, tmp_path / "x.safetensors")
    made = bring(tmp_path / "x.safetensors", "flux-schnell", base=dev)
    schedule = json.loads((made / "scheduler" / "scheduler_config.json").read_text())
    assert (schedule["shift"], schedule["use_dynamic_shifting"]) == (1.0, False)
    assert FluxPipeline.from_pretrained(made).transformer.config.guidance_embeds is False


@pytest.mark.parametrize("family", ["dev", "klein"])
def test_an_autoencoder_is_swapped_from_its_single_file(
    bring: Import, request: pytest.FixtureRequest, tmp_path: Path, family: str
) -> None:
    folder, like = request.getfixturevalue(family), {"dev": "flux-dev", "klein": "flux-nano"}[family]
    changed = {
        name: value * 2 if value.is_floating_point() else value
        for name, value in load_autoencoder(folder / "vae").state_dict().items()
    }
    save_file(changed, tmp_path / "ae.safetensors")
    made = bring(folder, like, swaps={"vae": tmp_path / "ae.safetensors"})
    assert same(dict(load_autoencoder(made / "vae").state_dict()), changed)
    assert same(tensors(made / "transformer"), tensors(folder / "transformer"))
    load_components(made, dtype=torch.float32)


def test_components_are_swapped_from_folders_of_their_own_or_from_those_of_pipelines(
    bring: Import, dev: Path, tmp_path: Path
) -> None:
    other = copied(dev, tmp_path / "other")
    for part, stem in (("text_encoder", "model"), ("vae", "diffusion_pytorch_model")):
        path = other / part / f"{stem}.safetensors"
        save_file(
            {name: value * 2 if value.is_floating_point() else value for name, value in load_file(path).items()}, path
        )
    made = bring(dev, swaps={"text_encoder": other / "text_encoder", "vae": other})
    for part, stem in (("text_encoder", "model"), ("vae", "diffusion_pytorch_model")):
        assert same(tensors(made / part, stem), tensors(other / part, stem))
    assert same(tensors(made / "text_encoder_2", "model"), tensors(dev / "text_encoder_2", "model"))


def test_everything_may_come_in_pieces_without_a_base(bring: Import, dev: Path, tmp_path: Path) -> None:
    swaps = {name: dev / name for name in ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")}
    made = bring(native_file(dev / "transformer", tmp_path / "x.safetensors"), swaps=swaps)
    assert json.loads((made / "model_index.json").read_text())["_class_name"] == "FluxPipeline"
    assert FluxPipeline.from_pretrained(made).scheduler.config.use_dynamic_shifting


def test_shards_and_variants_and_eight_bits_are_taken(bring: Import, dev: Path, tmp_path: Path) -> None:
    source = copied(dev, tmp_path / "sharded")
    state = load_file(source / "transformer" / PUBLISHED)
    (source / "transformer" / PUBLISHED).unlink()
    names = sorted(state)
    shard = {name: f"diffusion_pytorch_model-0000{1 + (i % 2)}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(shard.values()):
        save_file({name: state[name] for name in names if shard[name] == file}, source / "transformer" / file)
    (source / "transformer" / f"{PUBLISHED}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shard}))
    eight = load_file(source / "text_encoder_2" / "model.safetensors")
    save_file({k: v.to(torch.float8_e4m3fn) for k, v in eight.items()}, source / "text_encoder_2" / "model.safetensors")
    (source / "vae" / PUBLISHED).rename(source / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    made = bring(source)
    assert len(list((made / "transformer").glob("*.safetensors"))) == 2
    assert same(tensors(made / "transformer"), state)
    assert same(tensors(made / "vae"), tensors(dev / "vae"))
    widened = {name: value.to(torch.float8_e4m3fn).to(torch.bfloat16) for name, value in eight.items()}
    assert same(tensors(made / "text_encoder_2", "model"), widened)
    FluxPipeline.from_pretrained(made)


def test_pickles_come_in_through_their_own_process_and_only_data_is_copied(
    bring: Import, dev: Path, tmp_path: Path, said: Said
) -> None:
    source = copied(dev, tmp_path / "old")
    torch.save(load_file(source / "text_encoder" / "model.safetensors"), source / "text_encoder" / "pytorch_model.bin")
    (source / "text_encoder" / "model.safetensors").unlink()
    (source / "text_encoder" / "modeling.py").write_text("raise SystemExit")
    (source / "LICENSE.md").write_text("Do what is written here.")
    made = bring(source)
    assert any("the pickle pytorch_model.bin" in stage for stage in said.stages)
    assert {path.name for path in (made / "text_encoder").iterdir()} == {"config.json", "model.safetensors"}
    assert same(tensors(made / "text_encoder", "model"), tensors(dev / "text_encoder", "model"))
    assert (made / "LICENSE.md").read_text() == "Do what is written here."


def test_a_checkpoint_of_training_is_a_single_file_too(
    bring: Import, dev: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = load_file(native_file(dev / "transformer", tmp_path / "x.safetensors"))
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    folder = tmp_path / "run"
    folder.mkdir()
    (tmp_path / "last.ckpt").rename(folder / "last.ckpt")
    made = bring(folder, base=dev)
    assert same(tensors(made / "transformer"), tensors(dev / "transformer"))


def drop(path: str) -> Callable[[Path], None]:
    return lambda folder: shutil.rmtree(folder / path) if (folder / path).is_dir() else (folder / path).unlink()


def edited(path: str, **fields: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / path).read_text())
        (folder / path).write_text(json.dumps({**content, **fields}))

    return edit


def with_tensor(path: str, change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        state = load_file(folder / path)
        change(state)
        (folder / path).unlink()
        save_file(state, folder / path)

    return edit


def linked_away(folder: Path) -> None:
    (folder / "vae" / "config.json").unlink()
    (folder / "vae" / "config.json").symlink_to("/etc/hostname")


def truncated(folder: Path) -> None:
    path = folder / "vae" / PUBLISHED
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[:-1])


TRANSFORMER = f"transformer/{PUBLISHED}"


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (drop("vae"), ImportRefused, r"lacks components of mine: vae \(--vae DIR\)"),
        (drop("vae/config.json"), ImportRefused, r"has Diffusers' names; give the folder that holds its config.json"),
        (drop(TRANSFORMER), CheckpointError, "holds no weights"),
        (drop("tokenizer/tokenizer.json"), CheckpointError, "tokenizer"),
        (edited("model_index.json", _class_name="EvilPipeline"), MalformedConfig, "_class_name"),
        (edited("vae/config.json", _class_name="AutoencoderKLFlux2"), CheckpointError, "vae"),
        (edited("scheduler/scheduler_config.json", _class_name="EulerScheduler"), UnsupportedSampler, "EulerScheduler"),
        (edited("transformer/config.json", num_layers=3), CheckpointError, "missing keys"),
        (edited("text_encoder_2/config.json", d_model=64), CheckpointError, "wrong shapes"),
        (with_tensor(TRANSFORMER, lambda s: s.update(extra=torch.ones(1))), UnknownKeys, "unknown keys: extra"),
        (with_tensor(TRANSFORMER, lambda s: s.update({"x_embedder.bias": torch.ones(3)})), ShapeMismatch, "x_embedder"),
        (linked_away, MalformedFile, "config.json is a link out of its folder, to /etc/hostname"),
        (truncated, MalformedFile, "the file is cut short"),
    ],
)  # fmt: skip
def test_a_source_that_is_not_right_is_refused_and_leaves_nothing(
    bring: Import, dev: Path, tmp_path: Path, into: Path,
    spoil: Callable[[Path], None], error: type[Exception], message: str,
) -> None:  # fmt: skip
    source = copied(dev, tmp_path / "bad")
    spoil(source)
    with pytest.raises(error, match=message):
        bring(source)
    assert not into.exists() or list(into.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("x.safetensors", {}, r"vae \(--vae DIR\).*or give --base"),
        ("x.safetensors", {"swaps": {"tokenizer_3": Path()}}, "mine has no tokenizer_3"),
        ("missing", {}, "is not there; from a hub it would be hf:ORG/REPO"),
        ("ae.safetensors", {"with_base": True}, "is a FLUX.1 autoencoder; what is wanted here is a FLUX.1 transformer"),
        ("x.safetensors", {"name": "flux-3", "like": None}, "there is no network 'flux-3'; known are flux-nano"),
    ],
)
def test_what_cannot_be_says_what_is_missing(
    bring: Import, dev: Path, tmp_path: Path, source: str, options: dict[str, Any], message: str
) -> None:
    native_file(dev / "transformer", tmp_path / "x.safetensors")
    save_file(dict(load_autoencoder(dev / "vae").state_dict()), tmp_path / "ae.safetensors")
    if options.pop("with_base", False):
        options["base"] = dev
    with pytest.raises(ImportRefused, match=message):
        bring(tmp_path / source, **options)


def test_published_names_stand_for_published_sizes(bring: Import, dev: Path) -> None:
    with pytest.raises(ShapeMismatch, match="this is not flux-dev: in_channels is 16, not 64"):
        bring(dev, like=None, name="flux-dev")


def test_weights_in_place_stay_until_they_may_go(bring: Import, dev: Path, into: Path) -> None:
    (into / "mine").mkdir(parents=True)
    (into / "mine" / "old").touch()
    with pytest.raises(ImportRefused, match="is there already; say --replace"):
        bring(dev)
    assert (into / "mine" / "old").exists()
    made = bring(dev, replace=True)
    assert not (made / "old").exists()
    assert (made / "model_index.json").exists()
    assert [path.name for path in into.iterdir()] == ["mine"]
    (into / "file").touch()
    with pytest.raises(ImportRefused, match="is no folder"):
        bring(dev, name="file", replace=True)


def test_what_a_killed_import_left_is_swept_away_by_the_next(bring: Import, dev: Path, into: Path) -> None:
    dead = into / ".importing" / "dead"
    (dead / "mine").mkdir(parents=True)
    (dead / "lock").touch()
    bring(dev)
    assert [path.name for path in into.iterdir()] == ["mine"]


def test_safetensors_stand_for_themselves(tmp_path: Path, said: Said) -> None:
    assert safe_files([tmp_path / "a.safetensors"], tmp_path / "scratch", said.begin) == [tmp_path / "a.safetensors"]
    assert not (tmp_path / "scratch").exists()
