"""Files are told apart by names and shapes; what contradicts itself, is not served or is unknown is refused by name."""

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.checkpoints.detect import Kind, Naming, detect, detect_file
from models.checkpoints.keymap import Table, applied
from models.checkpoints.keymaps.flux1 import flux1
from models.checkpoints.keymaps.flux2 import FLUX2
from models.checkpoints.shapes import Shape
from models.checkpoints.single_file import load_single_file
from models.errors import (
    CheckpointError,
    MalformedFile,
    MissingComponent,
    MissingKeys,
    ShapeMismatch,
    UnknownCheckpoint,
    UnsafeFormat,
    UnservedCheckpoint,
)
from models.flow.flux1 import Flux1, Flux1Params
from models.flow.flux2 import Flux2, Flux2Params
from models.specs import MODEL_SPECS
from models.vae.autoencoder_flux1 import AutoencoderFlux1, AutoencoderFlux1Params
from models.vae.autoencoder_flux2 import AutoencoderFlux2, AutoencoderFlux2Params
from tests.fixtures import tiny_models, tiny_text

PREFIX = "model.diffusion_model."
TINY_FLUX1 = Flux1Params(16, 16, 24, 48, 64, 4, 2, 3, (4, 6, 6))
TINY_FLUX2 = Flux2Params(16, 48, 64, 4, 2, 3, (4, 4, 4, 4))
TINY_AUTOENCODER = {"block_channels": (8, 8, 16, 16), "layers_per_block": 1, "z_channels": 4, "norm_num_groups": 4}
PUBLISHED = {spec.params for spec in MODEL_SPECS if spec.params is not None}


def on_meta(build: Callable[[], nn.Module]) -> dict[str, Shape]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}


def shapes_of(params: Flux1Params | Flux2Params) -> dict[str, Shape]:
    return on_meta(lambda: Flux1(params) if isinstance(params, Flux1Params) else Flux2(params))


def in_diffusers_names(shapes: Mapping[str, Shape], table: Table) -> dict[str, Shape]:
    foreign: dict[str, Shape] = {}
    for entry in applied(table, shapes):
        parts = entry.row.to_foreign(torch.empty(shapes[entry.native], device="meta"))
        foreign |= {name: tuple(part.shape) for name, part in zip(entry.foreign, parts, strict=True)}
    return foreign


def state_shapes(network: nn.Module) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("params", sorted(PUBLISHED, key=repr))
@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_published_transformers_are_known_by_their_sizes(params: Flux1Params | Flux2Params, prefix: str) -> None:
    found = detect({prefix + name: shape for name, shape in shapes_of(params).items()}, "file")
    assert (found.params, found.prefix, found.naming) == (params, prefix, Naming.NATIVE)
    assert set(found.candidates) == {spec.name for spec in MODEL_SPECS if spec.params == params}
    assert len(found.assumed) == 1
    assert str(params.axes_dim) in found.assumed[0]


def test_what_shapes_cannot_tell_apart_is_left_open() -> None:
    candidates = detect(shapes_of(Flux1Params()), "file").candidates
    assert len(candidates) > 1
    assert detect(shapes_of(Flux1Params(guidance_embed=False)), "file").candidates != candidates


@pytest.mark.parametrize(
    "params",
    [
        TINY_FLUX1,
        replace(TINY_FLUX1, guidance_embed=False, in_channels=288, out_channels=12, mlp_ratio=2.5),
        Flux1Params(hidden_size=480, num_heads=5, axes_dim=(12, 42, 42), depth=1, depth_single_blocks=7),
    ],
)
def test_flux1_of_any_size_is_measured_under_both_namings(params: Flux1Params) -> None:
    shapes = shapes_of(params)
    table = flux1(params.hidden_size, params.mlp_size)
    for naming, held in {Naming.NATIVE: shapes, Naming.DIFFUSERS: in_diffusers_names(shapes, table)}.items():
        found = detect(held, "file")
        assert (found.kind, found.naming, found.params, found.candidates) == (Kind.FLUX1, naming, params, ())


@pytest.mark.parametrize("params", [TINY_FLUX2, replace(TINY_FLUX2, guidance_embed=False, depth=5, mlp_ratio=2.0)])
def test_flux2_of_any_size_is_measured_under_both_namings(params: Flux2Params) -> None:
    shapes = shapes_of(params)
    for naming, held in {Naming.NATIVE: shapes, Naming.DIFFUSERS: in_diffusers_names(shapes, FLUX2)}.items():
        found = detect(held, "file")
        assert (found.kind, found.naming, found.params, found.candidates) == (Kind.FLUX2, naming, params, ())


def test_every_width_of_a_feed_forward_layer_comes_back() -> None:
    shapes = shapes_of(replace(TINY_FLUX1, hidden_size=7 * 16, num_heads=7, depth=1, depth_single_blocks=1))
    for mlp_size in range(1, 700):
        shapes["double_blocks.0.img_mlp.0.weight"] = (mlp_size, 112)
        found = detect(shapes, "file").params
        assert found is not None
        assert found.mlp_size == mlp_size


def test_diffusers_own_transformers_are_recognised() -> None:
    for guidance in (True, False):
        found = detect(state_shapes(tiny_models.tiny_transformer_flux1(guidance_embeds=guidance)), "file")
        assert (found.kind, found.naming) == (Kind.FLUX1, Naming.DIFFUSERS)
        assert found.params is not None
        assert found.params.guidance_embed is guidance
        found = detect(state_shapes(tiny_models.tiny_transformer(guidance_embeds=guidance)), "file")
        assert (found.kind, found.naming) == (Kind.FLUX2, Naming.DIFFUSERS)
        assert found.params is not None
        assert found.params.guidance_embed is guidance


def autoencoders() -> dict[str, tuple[dict[str, Shape], Kind, Naming]]:
    flux1 = on_meta(lambda: AutoencoderFlux1(AutoencoderFlux1Params(**TINY_AUTOENCODER)))  # pyright: ignore[reportArgumentType] (a dict of mixed values)
    flux2 = on_meta(lambda: AutoencoderFlux2(AutoencoderFlux2Params(**TINY_AUTOENCODER)))  # pyright: ignore[reportArgumentType] (a dict of mixed values)
    sd = flux1 | {"quant_conv.weight": (8, 8, 1, 1), "post_quant_conv.weight": (4, 4, 1, 1)}
    return {
        "": (flux1, Kind.FLUX1_AUTOENCODER, Naming.NATIVE),
        "vae.": (flux2, Kind.FLUX2_AUTOENCODER, Naming.NATIVE),
        "first_stage_model.": (sd, Kind.SD_AUTOENCODER, Naming.NATIVE),
    }


def test_autoencoders_are_known_in_both_namings() -> None:
    for prefix, (shapes, kind, naming) in autoencoders().items():
        found = detect({prefix + name: shape for name, shape in shapes.items()} | {"logit_scale": ()}, "file")
        assert (found.kind, found.naming, found.prefix) == (kind, naming, prefix)
        assert found.sizes == {"z_channels": 4, "levels": 4}
        assert found.beside == (("logit_scale",) if prefix else ())
    found = detect(state_shapes(tiny_models.tiny_autoencoder()), "file")
    assert (found.kind, found.naming, found.assumed) == (Kind.FLUX2_AUTOENCODER, Naming.DIFFUSERS, ())
    found = detect(state_shapes(tiny_models.tiny_autoencoder_flux1()), "file")
    assert (found.kind, found.naming) == (Kind.FLUX1_AUTOENCODER, Naming.DIFFUSERS)
    assert "SD 3's" in found.assumed[0]


def test_encoders_and_redux_are_known() -> None:
    encoders = {
        Kind.CLIP: tiny_text.tiny_clip(tiny_text.tiny_clip_tokenizer()),
        Kind.T5: tiny_text.tiny_t5(tiny_text.tiny_t5_tokenizer()),
        Kind.MISTRAL3: tiny_text.tiny_mistral3(tiny_text.tiny_mistral_tokenizer()),
        Kind.QWEN3: tiny_models.tiny_text_encoder(),
        Kind.SIGLIP: tiny_models.tiny_siglip(),
    }
    for kind, network in encoders.items():
        found = detect(state_shapes(network), "file")
        assert (found.kind, found.naming) == (kind, Naming.TRANSFORMERS)
        assert found.sizes["hidden_size"] == 32
        assert found.sizes["layers"] >= 2
    for kind, prefix in {Kind.CLIP: "text_model.", Kind.SIGLIP: "vision_model."}.items():
        wrapped = {prefix + name: shape for name, shape in state_shapes(encoders[kind]).items()}
        assert detect(wrapped, "file").prefix == prefix
    redux = {"redux_up.weight": (96, 32), "redux_up.bias": (96,), "redux_down.weight": (24, 96)}
    found = detect(redux, "file")
    assert (found.kind, dict(found.sizes)) == (
        Kind.REDUX,
        {"siglip_size": 32, "hidden_size": 96, "context_in_dim": 24},
    )


@pytest.mark.parametrize(
    "name",
    [
        "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight",
        "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight",
        "lora_unet_double_blocks_0_img_attn_qkv.alpha",
        "double_blocks.0.processor.qkv_lora1.down.weight",
        "lycoris_transformer_blocks_0.lokr_w1",
        "unet.x.hada_w1_a",
    ],
)
def test_adapters_are_known_even_beside_tensors_of_a_network(name: str) -> None:
    held = {name: (4, 64), "double_blocks.0.img_attn.norm.query_norm.scale": (16,)}
    assert detect(held, "file").kind is Kind.LORA


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"double_blocks.0.img_attn.qkv.weight_scale": ()}, "quantised"),
        ({"scaled_fp8": (2,)}, "quantised"),
        ({"controlnet_x_embedder.weight": (64, 64)}, "a ControlNet"),
        ({"distilled_guidance_layer.in_proj.weight": (64, 64)}, "Chroma"),
        ({f"{PREFIX}joint_blocks.0.x_block.attn.qkv.weight": (64, 64)}, "SD 3"),
        ({"vision_model.embeddings.class_embedding": (16,)}, "CLIP's vision encoder"),
    ],
)
def test_what_is_not_served_is_refused_by_name(shapes: dict[str, Shape], message: str) -> None:
    with pytest.raises(UnservedCheckpoint, match=f"file is .*{message}"):
        detect(shapes, "file")


Change = Callable[[dict[str, Shape]], object]


def without(name: str) -> Change:
    return lambda shapes: shapes.pop(name)


def reshaped(name: str, shape: Shape) -> Change:
    return lambda shapes: shapes.update({name: shape})


def renumbered(old: str, new: str) -> Change:
    def change(shapes: dict[str, Shape]) -> None:
        for name in [name for name in shapes if name.startswith(old)]:
            shapes[name.replace(old, new, 1)] = shapes.pop(name)

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (reshaped("img_in.weight", (64,)), ShapeMismatch, r"img_in\.weight is \[64\], not 2 positive sizes"),
        (reshaped("img_in.weight", (0, 16)), ShapeMismatch, r"img_in\.weight is \[0, 16\]"),
        (reshaped("img_in.weight", ()), ShapeMismatch, r"img_in\.weight is \[\]"),
        (reshaped("img_in.weight", (63, 16)), ShapeMismatch, r"is \[16\], not a divisor of 63"),
        (
            reshaped("double_blocks.0.img_attn.norm.query_norm.scale", (4,)),
            ShapeMismatch,
            r"\[4\], not an even number of channels, at least 6",
        ),
        (without("final_layer.linear.weight"), MissingKeys, r"missing keys: final_layer\.linear\.weight"),
        (without("double_blocks.0.img_mlp.0.weight"), MissingKeys, r"double_blocks\.0\.img_mlp\.0\.weight"),
        (renumbered("double_blocks.1.", "double_blocks.7."), MissingKeys, r"double_blocks\.1\.\*"),
        (renumbered("single_blocks.", "other_blocks."), MissingKeys, r"single_blocks\.0\.\*"),
        (
            renumbered("double_blocks.", "blocks."),
            UnknownCheckpoint,
            r"no known network .*: blocks\.0\..* and \d+ more",
        ),
        (without("vector_in.in_layer.weight"), UnknownCheckpoint, "no known network or adapter has these keys"),
    ],
)
def test_shapes_that_contradict_themselves_are_refused(
    change: Change, error: type[CheckpointError], message: str
) -> None:
    shapes = shapes_of(TINY_FLUX1)
    change(shapes)
    with pytest.raises(error, match=message):
        detect(shapes, "file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (reshaped("double_blocks.0.img_attn.norm.query_norm.scale", (4,)), "not a multiple of 8 channels"),
        (reshaped("final_layer.linear.weight", (15, 64)), r"\[15, 64\], not 16 rows"),
        (reshaped("double_blocks.0.img_mlp.0.weight", (383, 64)), "not an even number of rows"),
    ],
)
def test_flux2_with_impossible_sizes_is_refused(change: Change, message: str) -> None:
    shapes = shapes_of(TINY_FLUX2)
    change(shapes)
    with pytest.raises(ShapeMismatch, match=message):
        detect(shapes, "file")


def test_shapes_from_strangers_end_in_a_named_error_or_a_kind() -> None:
    """Any shapes at all, under names that mean something: never another exception."""
    draw = random.Random(0)
    names = [*shapes_of(TINY_FLUX1), *shapes_of(TINY_FLUX2), "bn.running_mean", "redux_up.weight", "redux_down.weight"]
    for prefix in ("", "encoder.conv_in.weight", "decoder.conv_in.weight", "embeddings.token_embedding.weight"):
        for _ in range(50):
            chosen = {name: tuple(draw.choices(range(3), k=draw.randrange(5))) for name in draw.choices(names, k=300)}
            chosen |= {prefix: tuple(draw.choices(range(3), k=draw.randrange(5)))} if prefix else {}
            with suppress(CheckpointError):
                assert isinstance(detect(chosen, "file").kind, Kind)


def test_names_without_end_are_cut() -> None:
    with pytest.raises(UnknownCheckpoint) as caught:
        detect({"x" * 100_000: (1,)}, "file")
    assert len(str(caught.value)) < 500


def test_a_file_is_what_it_holds_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "klein.lora.unet.safetensors"
    save_file({"redux_up.weight": torch.ones(6, 4), "redux_down.weight": torch.ones(5, 6)}, path)
    assert detect_file(path).kind is Kind.REDUX
    with pytest.raises(UnservedCheckpoint, match=r"holds a FLUX\.1 Redux adapter, not a transformer"):
        load_single_file(path)


def test_what_is_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"\xff" * 64)
    (tmp_path / "a.ckpt").write_bytes(b"\x80")
    save_file({}, tmp_path / "empty.safetensors")
    for name, error in {
        "a.safetensors": MalformedFile,
        "a.ckpt": UnsafeFormat,
        "no.safetensors": MissingComponent,
        "empty.safetensors": MalformedFile,
    }.items():
        with pytest.raises(error):
            detect_file(tmp_path / name)
