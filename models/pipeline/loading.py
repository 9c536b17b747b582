"""A folder in Diffusers' layout to Components: every component loaded strictly, and checked to belong with the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from models.checkpoints.adapter_folder import (
    ADAPTER,
    ENCODER,
    PROCESSOR,
    check_image_adapter,
    is_image_adapter_folder,
)
from models.checkpoints.autoencoder import load_autoencoder
from models.checkpoints.clip import load_clip
from models.checkpoints.clip_vision import load_clip_vision
from models.checkpoints.config import Config
from models.checkpoints.control_folder import check_control
from models.checkpoints.controlnet import load_controlnet
from models.checkpoints.flux1 import load_transformer as load_flux1
from models.checkpoints.flux1_control import FLUX1_CONTROLNET_CLASS, load_flux1_control
from models.checkpoints.flux2 import load_transformer as load_flux2
from models.checkpoints.folder import INDEX, Folder, check_image_prompter, is_image_prompter, is_left_out, read_folder
from models.checkpoints.image_adapter import load_image_adapter
from models.checkpoints.mistral3 import load_mistral3
from models.checkpoints.provenance import fingerprint
from models.checkpoints.qwen3 import load_text_encoder
from models.checkpoints.redux import load_redux
from models.checkpoints.siglip import load_siglip
from models.checkpoints.t5 import load_t5
from models.checkpoints.unet import load_unet
from models.errors import MalformedConfig
from models.pipeline.components import Components
from models.pipeline.controls import ControlNetwork
from models.pipeline.flux1 import Flux1Components
from models.pipeline.flux2 import Flux2Components
from models.pipeline.image_adapters import AdapterPrompter
from models.pipeline.image_prompts import ImagePrompter, ReduxPrompter
from models.pipeline.sd import SdComponents
from models.pipeline.sd_text import SdText
from models.samplers.trajectories import DiffusionTrajectory, FlowTrajectory
from models.specs import Channels, Guidance
from models.text.tokenizers import ChatTokenizer, ClipTokenizer, MistralChatTokenizer, T5Tokenizer
from models.vae.autoencoder_flux1 import AutoencoderFlux1
from models.vae.autoencoder_flux2 import AutoencoderFlux2
from models.vae.precision import autoencoder_dtype
from models.vae.tiling import Tiling
from models.vision.clip import ClipPreprocessor
from models.vision.siglip import SiglipPreprocessor

Kind = TypeVar("Kind", AutoencoderFlux1, AutoencoderFlux2)

WHOLE_UNLESS_LARGE = Tiling()


@dataclass(frozen=True)
class MemoryPlan:
    """What is traded for memory, the same for every request.

    Attributes:
        tiling: how large pictures pass the autoencoder.
        query_chunk: queries of the transformer that attend at a time; None for all. The same picture, in less memory where no
            fused kernel serves the device, and in more time.
    """

    tiling: Tiling = WHOLE_UNLESS_LARGE
    query_chunk: int | None = None


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load_components(
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    memory: MemoryPlan | None = None,
) -> Components:
    """Load a folder in Diffusers' layout; models.checkpoints.layouts lists the pipelines that are known.

    Args:
        path: the folder.
        device: where the networks shall live.
        dtype: in which they shall run; None takes generation.json's, else the family's.
        memory: what is traded for memory; None takes MemoryPlan's defaults.

    Raises:
        CheckpointError: something is missing, malformed, or does not fit; the message names the file.
        UnsupportedSampler: the folder's scheduler is not known.
    """
    folder = read_folder(path)
    dtype = DTYPES[folder.defaults.dtype] if dtype is None else dtype
    return _LOADERS[folder.spec.text.encoder](folder, torch.device(device), dtype, memory or MemoryPlan())


def load_image_prompter(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> ReduxPrompter:
    """Load the folder of a FluxPriorReduxPipeline; its own text encoders, if it has any, are not read.

    Raises:
        CheckpointError: something is missing, malformed, or does not fit; the message names the file.
    """
    check_image_prompter(path)
    device = torch.device(device)
    return ReduxPrompter(
        encoder=load_siglip(path / "image_encoder", device, dtype),
        preprocessing=SiglipPreprocessor(path / "feature_extractor"),
        embedder=load_redux(path / "image_embedder", device, dtype),
        revision=fingerprint(path),
        device=device,
        dtype=dtype,
    )


def is_prompter(path: Path) -> bool:
    """Whether a folder holds what reads picture prompts and draws nothing itself."""
    return is_image_prompter(path) or is_image_adapter_folder(path)


def load_prompter(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ImagePrompter:
    """Load a folder for which is_prompter holds. Raises CheckpointError as load_image_prompter and load_adapter_prompter do."""
    load = load_adapter_prompter if is_image_adapter_folder(path) else load_image_prompter
    return load(path, device, dtype)


def load_adapter_prompter(
    path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> AdapterPrompter:
    """Load the folder of an installed IP-Adapter.

    Raises:
        CheckpointError: something is missing, malformed, or does not fit; the message names the file.
    """
    check_image_adapter(path)
    device = torch.device(device)
    adapter = load_image_adapter(path / ADAPTER, device, dtype)
    encoder = load_clip_vision(path / ENCODER, device, dtype, patches=adapter.reads_patches)
    if encoder.num_features != adapter.params.projection.in_channels:
        raise MalformedConfig(
            f"{path}: the encoder's features and what the adapter reads do not fit: "
            f"{encoder.num_features} and {adapter.params.projection.in_channels}"
        )
    preprocessing = ClipPreprocessor(path / PROCESSOR)
    return AdapterPrompter(adapter, encoder, preprocessing, fingerprint(path), device, dtype)


def load_control(path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> ControlNetwork:
    """Load the folder of an installed ControlNet.

    Raises:
        CheckpointError: something is missing, malformed, or does not fit; the message names the file.
    """
    device = torch.device(device)
    folder = check_control(path)
    is_flux1 = Config(folder / "config.json").text("_class_name", "") == FLUX1_CONTROLNET_CLASS
    network = (load_flux1_control if is_flux1 else load_controlnet)(folder, device, dtype)
    return ControlNetwork(network, fingerprint(path), device, dtype)


def _flux1(folder: Folder, device: torch.device, dtype: torch.dtype, memory: MemoryPlan) -> Flux1Components:
    path = folder.path
    autoencoder = _autoencoder(path / "vae", AutoencoderFlux1, device, dtype)
    components = Flux1Components(
        spec=folder.spec,
        transformer=load_flux1(path / "transformer", device, dtype),
        autoencoder=autoencoder,
        clip=load_clip(path / "text_encoder", device, dtype),
        clip_tokenizer=ClipTokenizer(path / "tokenizer"),
        t5=load_t5(path / "text_encoder_2", device, dtype),
        t5_tokenizer=T5Tokenizer(path / "tokenizer_2"),
        trajectory=_flow(folder),
        defaults=folder.defaults,
        tiling=memory.tiling,
        query_chunk=memory.query_chunk,
        revision=fingerprint(path),
        device=device,
        dtype=dtype,
    )
    _check_flux1(folder, components)
    return components


def _autoencoder(folder: Path, kind: type[Kind], device: torch.device, dtype: torch.dtype) -> Kind:
    autoencoder = load_autoencoder(folder, device, autoencoder_dtype(dtype))
    if not isinstance(autoencoder, kind):
        raise MalformedConfig(
            f"{folder} holds an {type(autoencoder).__name__}; the transformer needs an {kind.__name__}"
        )
    return autoencoder


def _check_flux1(folder: Folder, components: Flux1Components) -> None:
    params, latent_channels = components.transformer.params, 4 * components.autoencoder.params.z_channels
    beside = {
        Channels.LATENTS: 0,
        Channels.CONTROL: latent_channels,
        Channels.MASKED_IMAGE: latent_channels + components.pixels_per_position**2,
    }
    _check_pairs(
        folder,
        {
            "transformer/joint_attention_dim and T5's features": (params.context_in_dim, components.t5.num_features),
            "transformer/pooled_projection_dim and CLIP's features": (params.vec_in_dim, components.clip.num_features),
            "transformer/out_channels and latent channels": (params.out_channels, latent_channels),
            "transformer/in_channels and what the pipeline gives it": (
                params.in_channels,
                latent_channels + beside[components.spec.channels],
            ),
            "guidance_embeds and the pipeline's guidance": (params.guidance_embed, _embeds(components)),
        },
    )


def _flux2(folder: Folder, device: torch.device, dtype: torch.dtype, memory: MemoryPlan) -> Flux2Components:
    path, out_layers = folder.path, folder.defaults.text_encoder_out_layers
    autoencoder = _autoencoder(path / "vae", AutoencoderFlux2, device, dtype)
    is_mistral = folder.spec.text.encoder == "mistral3"
    load_text, tokenizer = (load_mistral3, MistralChatTokenizer) if is_mistral else (load_text_encoder, ChatTokenizer)
    components = Flux2Components(
        spec=folder.spec,
        transformer=load_flux2(path / "transformer", device, dtype),
        autoencoder=autoencoder,
        text_encoder=load_text(path / "text_encoder", out_layers, device, dtype),
        tokenizer=tokenizer(path / "tokenizer"),
        trajectory=_flow(folder),
        defaults=folder.defaults,
        tiling=memory.tiling,
        query_chunk=memory.query_chunk,
        revision=fingerprint(path),
        device=device,
        dtype=dtype,
    )
    params = components.transformer.params
    _check_pairs(
        folder,
        {
            "transformer/joint_attention_dim and text features": (
                params.context_in_dim,
                components.text_encoder.num_features,
            ),
            "transformer/in_channels and latent channels": (params.in_channels, autoencoder.params.latent_channels),
            "guidance_embeds and the pipeline's guidance": (params.guidance_embed, _embeds(components)),
        },
    )
    return components


def _flow(folder: Folder) -> FlowTrajectory:
    assert isinstance(folder.trajectory, FlowTrajectory)
    return folder.trajectory


def _sd(folder: Folder, device: torch.device, dtype: torch.dtype, memory: MemoryPlan) -> SdComponents:
    path = folder.path
    clip = ClipTokenizer(path / "tokenizer"), load_clip(path / "text_encoder", device, dtype)
    return _with_unet(folder, SdText((clip,), skip=0, normed=True, is_pooled=False), device, dtype, memory)


def _sdxl(folder: Folder, device: torch.device, dtype: torch.dtype, memory: MemoryPlan) -> SdComponents:
    path = folder.path
    encoders = [
        (ClipTokenizer(path / "tokenizer_2"), load_clip(path / "text_encoder_2", device, dtype, projected=True))
    ]
    if not is_left_out(Config(path / INDEX), "text_encoder"):
        encoders.insert(0, (ClipTokenizer(path / "tokenizer"), load_clip(path / "text_encoder", device, dtype)))
    return _with_unet(folder, SdText(tuple(encoders), skip=1, normed=False, is_pooled=True), device, dtype, memory)


def _with_unet(
    folder: Folder, text: SdText, device: torch.device, dtype: torch.dtype, memory: MemoryPlan
) -> SdComponents:
    path, trajectory = folder.path, folder.trajectory
    assert isinstance(trajectory, DiffusionTrajectory)
    components = SdComponents(
        spec=folder.spec,
        unet=load_unet(path / "unet", device, dtype),
        autoencoder=_autoencoder(path / "vae", AutoencoderFlux1, device, dtype),
        text=text,
        trajectory=trajectory,
        defaults=folder.defaults,
        tiling=memory.tiling,
        query_chunk=memory.query_chunk,
        revision=fingerprint(path),
        device=device,
        dtype=dtype,
    )
    _check_unet(folder, components)
    return components


def _check_unet(folder: Folder, components: SdComponents) -> None:
    params, z_channels, text = components.unet.params, components.autoencoder.params.z_channels, components.text
    beside = {Channels.LATENTS: 0, Channels.MASKED_IMAGE: z_channels + 1}
    _check_pairs(
        folder,
        {
            "unet/cross_attention_dim and CLIP's features": (params.context_channels, text.num_features),
            "unet/out_channels and latent channels": (params.out_channels, z_channels),
            "unet/in_channels and what the pipeline gives it": (
                params.in_channels,
                z_channels + beside[components.spec.channels],
            ),
            "unet/projection_class_embeddings_input_dim and CLIP's pooled features": (
                0 if params.added is None else params.added.pooled_channels,
                text.num_pooled if text.is_pooled else 0,
            ),
        },
    )


def _embeds(components: Components) -> bool:
    return components.spec.guidance is Guidance.EMBEDDED


def _check_pairs(folder: Folder, pairs: Mapping[str, tuple[int | bool, int | bool]]) -> None:
    """The components of a folder belong together."""
    for what, (one, other) in pairs.items():
        if one != other:
            raise MalformedConfig(f"{folder.path}: {what} do not fit: {one} and {other}")


_LOADERS: Mapping[str, Callable[[Folder, torch.device, torch.dtype, MemoryPlan], Components]] = {
    "clip_t5": _flux1,
    "qwen3": _flux2,
    "mistral3": _flux2,
    "clip": _sd,
    "clip_clip": _sdxl,
}
