"""Checkpoints of Stable Diffusion and SDXL in one file (CompVis', Stability's, Civitai's): which components they hold, and each of
them as Diffusers' and transformers' folders have it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from transformers import CLIPTextConfig

from models.checkpoints.clip import ARCHITECTURE, PROJECTED
from models.checkpoints.config import Config, read_object
from models.checkpoints.detect import Detected
from models.checkpoints.files import TensorFiles
from models.checkpoints.keymaps.openclip import (
    OPENCLIP_MARK,
    OPENCLIP_PREFIXES,
    TRANSFORMERS_PREFIXES,
    UNUSED,
    openclip_parts,
    openclip_targets,
)
from models.checkpoints.keymaps.text import CLIP_MARK, CLIP_PREFIXES
from models.checkpoints.keymaps.unet import diffusers_names
from models.checkpoints.single_file import load_unet_file, unet_names
from models.checkpoints.streamed import Planned
from models.checkpoints.unet import STEM
from models.checkpoints.unet_config import unet_config, unet_params
from models.errors import UnknownKeys
from models.importing.errors import ImportRefused
from models.importing.weights import kept, mapped, written
from models.unet.unet import UnetParams

AUTOENCODER_PREFIXES = ("first_stage_model.", "vae.")
V_PREDICTION, ZERO_SNR = "v_pred", "ztsnr"
"""Empty tensors by which files say how their network was trained (ComfyUI's convention)."""
HEAD_CHANNELS = 64
Converted = tuple[dict[str, object], list[Planned]]


def components_in(path: Path) -> tuple[str, ...]:
    """Subfolders that a single file fills."""
    names = TensorFiles.of_file(path).names()

    def has(*starts: str) -> bool:
        return any(name.startswith(starts) for name in names)

    openclip = _openclip_prefix(names)
    filled = {
        "unet": True,
        "vae": has(*AUTOENCODER_PREFIXES),
        "text_encoder": has(*TRANSFORMERS_PREFIXES),
        "text_encoder_2": openclip is not None,
    }
    return tuple(component for component, is_filled in filled.items() if is_filled)


def is_refiner(path: Path) -> bool:
    """Whether a single file is SDXL's refiner: its one text encoder is OpenCLIP's, in the first place."""
    return OPENCLIP_PREFIXES[1] + OPENCLIP_MARK in TensorFiles.of_file(path).names()


def scheduler_changes(path: Path) -> dict[str, object]:
    """Fields of scheduler_config.json that a file's marks ask for."""
    names = TensorFiles.of_file(path).names()
    changes: dict[str, object] = {"prediction_type": "v_prediction"} if V_PREDICTION in names else {}
    if ZERO_SNR in names:
        changes |= {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    return changes


def holds_half(folder: Path) -> bool:
    """Whether a UNet's weights are all in float16: it is to run in what it was published in."""
    files = TensorFiles.of_component(folder, STEM)
    return {files.dtype(name) for name in files.names()} == {"F16"}


def unet(path: Path, found: Detected, pattern: Path | None) -> Converted:
    """The UNet; heads and groups, which leave no trace in the tensors, are those of a folder to go by, if it is alike."""
    like = None if pattern is None else unet_params(Config(pattern / "config.json"))
    is_alike = like is not None and found.unet is not None and like == _with_unseen(found.unet, like)
    chosen = like if is_alike else found.unet
    assert chosen is not None
    network = load_unet_file(path, "meta", heads=chosen.heads, norm_num_groups=chosen.norm_num_groups)
    files = TensorFiles.of_file(path)
    source, target = (
        unet_names(found, network.params),
        diffusers_names(linear_projection=network.params.linear_projection),
    )
    return unet_config(network.params), mapped(files, source, target, network.state_dict())


def _with_unseen(params: UnetParams, like: UnetParams) -> UnetParams:
    """Sizes with those that no shape tells taken from another network."""
    return replace(
        params, heads=like.heads, norm_num_groups=like.norm_num_groups, norm_eps=like.norm_eps, added=like.added
    )


def first_clip(path: Path, _found: Detected, pattern: Path | None) -> Converted:
    """CLIP-L, under transformers' names behind a prefix."""
    files = TensorFiles.of_file(path)
    outer = next((prefix for prefix in TRANSFORMERS_PREFIXES if _starts(files, prefix)), None)
    if outer is None:
        raise ImportRefused(f"{path} holds no first text encoder")
    planned = [
        replace(one, name=one.name.removeprefix(outer))
        for one in kept(files)
        if one.name.startswith(outer) and one.name.removeprefix(outer) not in UNUSED
    ]
    return _clip_config(planned, ARCHITECTURE, "quick_gelu", pattern), planned


def second_clip(path: Path, _found: Detected, pattern: Path | None) -> Converted:
    """CLIP-bigG, under OpenCLIP's names."""
    files = TensorFiles.of_file(path)
    prefix = _openclip_prefix(files.names())
    if prefix is None:
        raise ImportRefused(f"{path} holds no second text encoder")
    planned = [part for name in files.names() if name.startswith(prefix) for part in _openclip(files, name, prefix)]
    return _clip_config(planned, PROJECTED, "gelu", pattern), planned


def _starts(files: TensorFiles, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in files.names())


def _openclip_prefix(names: list[str]) -> str | None:
    return next((prefix for prefix in OPENCLIP_PREFIXES if prefix + OPENCLIP_MARK in names), None)


def _openclip(files: TensorFiles, name: str, prefix: str) -> Iterator[Planned]:
    """What a tensor becomes; the three parts of a fused one are read from it one after another."""
    inner = name.removeprefix(prefix)
    if inner in UNUSED:
        return
    targets = openclip_targets(inner)
    if not targets:
        raise UnknownKeys(files.where, "unknown keys", [name])
    dtype, shape, read = written(files, name)
    rows, *rest = reversed(shape) if inner == "text_projection" else shape
    for target in targets:
        yield Planned(
            target,
            dtype,
            (rows // len(targets), *rest),
            lambda target=target: openclip_parts(inner, read())[target].contiguous(),
        )


def _clip_config(planned: list[Planned], architecture: str, activation: str, pattern: Path | None) -> dict[str, object]:
    """config.json of a text encoder: that of a folder to go by, else what its shapes say and the published ones have."""
    if pattern is not None and (pattern / "config.json").is_file():
        return read_object(pattern / "config.json")
    shapes: Mapping[str, tuple[int, ...]] = {
        one.name.removeprefix(prefix): one.shape for prefix in reversed(CLIP_PREFIXES) for one in planned
    }
    vocabulary, hidden_size = shapes[CLIP_MARK]
    layers = {name.split(".")[2] for name in shapes if name.startswith("encoder.layers.")}
    published = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=hidden_size,
        intermediate_size=shapes["encoder.layers.0.mlp.fc1.weight"][0],
        num_hidden_layers=len(layers),
        num_attention_heads=max(hidden_size // HEAD_CHANNELS, 1),
        max_position_embeddings=shapes["embeddings.position_embedding.weight"][0],
        projection_dim=shapes.get("text_projection.weight", (hidden_size,))[0],
        hidden_act=activation,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    return {**published.to_dict(), "architectures": [architecture]}
