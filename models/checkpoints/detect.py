"""What a file of weights is, by the names and shapes of its tensors; never by its own name.

Loading belongs to the modules of each kind; this one only looks, so that a wrong file is refused before anything is read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from models.checkpoints.controlnet_sizes import NATIVE as CONTROLNET_NATIVE
from models.checkpoints.controlnet_sizes import PUBLISHED as CONTROLNET_DIFFUSERS
from models.checkpoints.controlnet_sizes import ControlTelltales, controlnet_sizes
from models.checkpoints.files import TensorFiles
from models.checkpoints.image_adapter_sizes import adapter_sizes, is_image_adapter
from models.checkpoints.keymaps.native import PREFIXES
from models.checkpoints.shapes import Shape, Shapes
from models.checkpoints.transformer_sizes import (
    FLUX1_DIFFUSERS,
    FLUX1_NATIVE,
    FLUX2_DIFFUSERS,
    FLUX2_NATIVE,
    Telltales,
    flux1_sizes,
    flux2_sizes,
)
from models.checkpoints.unet_sizes import ASSUMED as UNET_ASSUMED
from models.checkpoints.unet_sizes import COMPVIS as UNET_COMPVIS
from models.checkpoints.unet_sizes import DIFFUSERS as UNET_DIFFUSERS
from models.checkpoints.unet_sizes import Telltales as UnetTelltales
from models.checkpoints.unet_sizes import unet_sizes
from models.checkpoints.unserved import refuse_unserved
from models.control.controlnet import ControlNetParams
from models.errors import MalformedFile, UnknownCheckpoint
from models.flow.flux1 import Flux1Params
from models.flow.flux2 import Flux2Params
from models.specs import MODEL_SPECS
from models.unet.unet import UnetParams


class Kind(StrEnum):
    """What a file holds."""

    FLUX1 = "FLUX.1 transformer"
    FLUX2 = "FLUX.2 transformer"
    UNET = "Stable Diffusion UNet"
    CONTROLNET = "ControlNet of Stable Diffusion"
    REDUX = "FLUX.1 Redux adapter"
    IMAGE_ADAPTER = "IP-Adapter of Stable Diffusion"
    FLUX1_AUTOENCODER = "FLUX.1 autoencoder"
    FLUX2_AUTOENCODER = "FLUX.2 autoencoder"
    SD_AUTOENCODER = "Stable Diffusion autoencoder"
    CLIP = "CLIP text encoder"
    T5 = "T5 text encoder"
    QWEN3 = "Qwen3 text encoder"
    MISTRAL3 = "Mistral text encoder"
    SIGLIP = "SigLIP vision encoder"
    LORA = "LoRA"


class Naming(StrEnum):
    """Whose names the tensors bear."""

    NATIVE = "native"
    """Black Forest Labs', which are ours; CompVis' in Stable Diffusion."""
    DIFFUSERS = "diffusers"
    TRANSFORMERS = "transformers"
    ADAPTER = "adapter"
    """One of the formats of LoRA files."""


@dataclass(frozen=True)
class Detected:
    """What is known of a file without reading its tensors.

    Attributes:
        kind: what it holds.
        naming: whose names it uses.
        prefix: what stands before each of them.
        params: sizes of a transformer; None for other kinds.
        unet: sizes of a UNet; None for other kinds.
        control: sizes of a ControlNet; None for other kinds.
        sizes: what was read off the shapes of other kinds.
        candidates: published networks with exactly these shapes; the file does not say which of them it is.
        assumed: what the shapes do not tell and was taken from a rule, in words.
        beside: what the names of tensors that belong to something else begin with.
    """

    kind: Kind
    naming: Naming
    prefix: str = ""
    params: Flux1Params | Flux2Params | None = None
    unet: UnetParams | None = None
    control: ControlNetParams | None = None
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    candidates: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


Recognise = Callable[[Shapes], Detected | None]
SIZES: Mapping[Kind, Callable[[Shapes, Telltales], Flux1Params | Flux2Params]] = {
    Kind.FLUX1: flux1_sizes,
    Kind.FLUX2: flux2_sizes,
}

ADAPTER = re.compile(r"lora|lokr|hada_|\.alpha$", re.IGNORECASE)
AUTOENCODER_PREFIXES = ("", "first_stage_model.", "vae.")
TEXT_PREFIXES = ("", "text_model.")
CONTROLNET_PREFIXES = ("", "control_model.")
VISION_PREFIXES = ("", "vision_model.")
CAUSAL_PREFIXES = ("language_model.model.", "model.language_model.", "model.")


def detect_file(path: Path) -> Detected:
    """Say what a safetensors file is. Only its header is read.

    Raises:
        CheckpointError: the file is no safetensors file, or as for detect.
    """
    return detect_tensors(TensorFiles.of_file(path))


def detect_tensors(files: TensorFiles) -> Detected:
    """Say what the tensors of one file, or of a component's shards, are.

    Raises:
        CheckpointError: as for detect.
    """
    return detect({name: files.shape(name) for name in files.names()}, files.where)


def detect(shapes: Mapping[str, Shape], where: Path | str) -> Detected:
    """Say what tensors of these names and shapes are.

    Args:
        shapes: shape of each tensor.
        where: what to call the file in errors.

    Raises:
        UnservedCheckpoint: a network that is known and not served.
        UnknownCheckpoint: nothing that is known.
        MissingKeys, ShapeMismatch: it looks like something known, and its tensors contradict that.
        MalformedFile: there is no tensor at all.
    """
    held = Shapes(where, shapes)
    if not shapes:
        raise MalformedFile(f"{where} holds no tensors")
    refuse_unserved(held)
    found = next((found for recognise in RECOGNISERS if (found := recognise(held)) is not None), None)
    if found is None:
        raise UnknownCheckpoint(where, "no known network or adapter has these keys", held.names())
    return found


def _image_adapter(held: Shapes) -> Detected | None:
    if not is_image_adapter(held):
        return None
    params = adapter_sizes(held)
    sizes = {"context_channels": params.projection.out_channels, "cross_attentions": len(params.channels)}
    return Detected(Kind.IMAGE_ADAPTER, Naming.NATIVE, sizes=sizes)


def _adapter(held: Shapes) -> Detected | None:
    return None if held.any_name(ADAPTER) is None else Detected(Kind.LORA, Naming.ADAPTER)


def _transformer(kind: Kind, naming: Naming, names: Telltales, prefix: str = "") -> Recognise:
    def recognise(held: Shapes) -> Detected | None:
        part = held.under(prefix)
        if not names.fit(part):
            return None
        params = SIZES[kind](part, names)
        return Detected(
            kind,
            naming,
            prefix,
            params=params,
            candidates=tuple(spec.name for spec in MODEL_SPECS if spec.params == params),
            assumed=(f"axes_dim {params.axes_dim} and theta {params.theta}, as in the family's published networks",),
            beside=part.beside(),
        )

    return recognise


def _unet(naming: Naming, names: UnetTelltales, prefix: str = "") -> Recognise:
    def recognise(held: Shapes) -> Detected | None:
        part = held.under(prefix)
        if not names.fit(part):
            return None
        params = unet_sizes(part, names)
        return Detected(
            Kind.UNET,
            naming,
            prefix,
            unet=params,
            candidates=tuple(spec.name for spec in MODEL_SPECS if spec.unet == params),
            assumed=UNET_ASSUMED,
            beside=part.beside(),
        )

    return recognise


def _controlnet(naming: Naming, names: ControlTelltales, prefix: str = "") -> Recognise:
    def recognise(held: Shapes) -> Detected | None:
        part = held.under(prefix)
        if not names.fit(part):
            return None
        params = controlnet_sizes(part, names)
        return Detected(Kind.CONTROLNET, naming, prefix, control=params, assumed=UNET_ASSUMED, beside=part.beside())

    return recognise


def _redux(held: Shapes) -> Detected | None:
    if not held.has("redux_up.weight", "redux_down.weight"):
        return None
    up_rows, siglip_size = held.of("redux_up.weight", 2)
    context_in_dim, _ = held.of("redux_down.weight", 2)
    sizes = {"siglip_size": siglip_size, "hidden_size": up_rows, "context_in_dim": context_in_dim}
    return Detected(Kind.REDUX, Naming.NATIVE, sizes=sizes)


def autoencoder_in(held: Shapes) -> Detected | None:
    """The autoencoder that a file holds, alone or beside other networks, if it holds one.

    Raises:
        MissingKeys, ShapeMismatch: it looks like one, and its tensors contradict that.
    """
    part = next((part for part in map(held.under, AUTOENCODER_PREFIXES) if part.has("decoder.conv_in.weight")), None)
    if part is None or not part.has("encoder.conv_in.weight"):
        return None
    if part.has("encoder.down.0.block.0.conv1.weight"):
        naming, levels = Naming.NATIVE, part.count("encoder.down.")
    else:
        naming, levels = Naming.DIFFUSERS, part.count("encoder.down_blocks.")
    sizes = {"z_channels": part.of("decoder.conv_in.weight", 4)[1], "levels": levels}
    kind, assumed = _autoencoder_kind(part)
    return Detected(kind, naming, part.prefix, sizes=sizes, assumed=assumed, beside=part.beside())


def _autoencoder_kind(part: Shapes) -> tuple[Kind, tuple[str, ...]]:
    if part.has("bn.running_mean"):
        return Kind.FLUX2_AUTOENCODER, ()
    if part.has("quant_conv.weight"):
        return Kind.SD_AUTOENCODER, ("scale of the latents: those of SD 1, 2 and SDXL have the same shapes",)
    return Kind.FLUX1_AUTOENCODER, ("scale and shift of the latents, FLUX.1's: SD 3's has the same shapes",)


def _clip(held: Shapes) -> Detected | None:
    mark = "embeddings.token_embedding.weight"
    part = next((part for part in map(held.under, TEXT_PREFIXES) if part.has(mark)), None)
    if part is None or part.any_name(re.compile(r"^encoder\.layers\.")) is None:
        return None
    vocabulary, hidden_size = part.of(mark, 2)
    sizes = {"vocabulary": vocabulary, "hidden_size": hidden_size, "layers": part.count("encoder.layers.")}
    return Detected(Kind.CLIP, Naming.TRANSFORMERS, part.prefix, sizes=sizes, beside=part.beside())


def _t5(held: Shapes) -> Detected | None:
    mark = "encoder.block.0.layer.0.SelfAttention.q.weight"
    if not held.has(mark):
        return None
    sizes = {"hidden_size": held.of(mark, 2)[1], "layers": held.count("encoder.block.")}
    return Detected(Kind.T5, Naming.TRANSFORMERS, sizes=sizes)


def _causal(held: Shapes) -> Detected | None:
    marks = ("embed_tokens.weight", "layers.0.self_attn.q_proj.weight", "layers.0.input_layernorm.weight")
    part = next((part for part in map(held.under, CAUSAL_PREFIXES) if part.has(*marks)), None)
    if part is None:
        return None
    vocabulary, hidden_size = part.of(marks[0], 2)
    sizes = {"vocabulary": vocabulary, "hidden_size": hidden_size, "layers": part.count("layers.")}
    is_qwen3 = part.has("layers.0.self_attn.q_norm.weight")
    return Detected(
        Kind.QWEN3 if is_qwen3 else Kind.MISTRAL3,
        Naming.TRANSFORMERS,
        part.prefix,
        sizes=sizes,
        assumed=() if is_qwen3 else ("Mistral: Llama has the same names",),
        beside=part.beside(),
    )


def _siglip(held: Shapes) -> Detected | None:
    marks = ("embeddings.patch_embedding.weight", "embeddings.patch_embedding.bias")
    part = next((part for part in map(held.under, VISION_PREFIXES) if part.has(*marks)), None)
    if part is None:
        return None
    hidden_size, _, patch, _ = part.of(marks[0], 4)
    sizes = {"hidden_size": hidden_size, "patch": patch, "layers": part.count("encoder.layers.")}
    return Detected(Kind.SIGLIP, Naming.TRANSFORMERS, part.prefix, sizes=sizes, beside=part.beside())


RECOGNISERS: tuple[Recognise, ...] = (
    _image_adapter,
    _adapter,
    *(_transformer(Kind.FLUX1, Naming.NATIVE, FLUX1_NATIVE, prefix) for prefix in PREFIXES),
    *(_transformer(Kind.FLUX2, Naming.NATIVE, FLUX2_NATIVE, prefix) for prefix in PREFIXES),
    _transformer(Kind.FLUX1, Naming.DIFFUSERS, FLUX1_DIFFUSERS),
    _transformer(Kind.FLUX2, Naming.DIFFUSERS, FLUX2_DIFFUSERS),
    *(_controlnet(Naming.NATIVE, CONTROLNET_NATIVE, prefix) for prefix in CONTROLNET_PREFIXES),
    _controlnet(Naming.DIFFUSERS, CONTROLNET_DIFFUSERS),
    *(_unet(Naming.NATIVE, UNET_COMPVIS, prefix) for prefix in PREFIXES),
    _unet(Naming.DIFFUSERS, UNET_DIFFUSERS),
    _redux,
    autoencoder_in,
    _siglip,
    _clip,
    _t5,
    _causal,
)
"""In this order: an adapter may hold tensors that bear a network's own names, a network those of its autoencoder beside it, a
ControlNet those of a UNet."""
