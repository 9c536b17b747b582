"""Layouts: which components the folder of each Diffusers pipeline has, and which network it holds when its name does not say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.checkpoints.diffusion_scheduler import SCHEDULERS
from models.specs import (
    CONTROL_PIPELINES,
    FILL_PIPELINES,
    FLUX1_PIPELINES,
    FLUX2_PIPELINES,
    KLEIN_PIPELINES,
    KONTEXT_PIPELINES,
    SD_INPAINTING_PIPELINES,
    SD_PIPELINES,
    SDXL_INPAINTING_PIPELINES,
    SDXL_PIPELINES,
    ModelSpec,
    control_spec,
    fill_spec,
    flux1_spec,
    flux2_spec,
    inpainting,
    klein_spec,
    kontext_spec,
    schnell_spec,
    sd_spec,
    sdxl_spec,
)

UNKNOWN_LICENCE = "unknown"
SCHEDULER = "FlowMatchEulerDiscreteScheduler"

FLUX1_COMPONENTS = {
    "transformer": ("FluxTransformer2DModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "text_encoder_2": ("T5EncoderModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "tokenizer_2": ("T5TokenizerFast", "T5Tokenizer"),
    "scheduler": (SCHEDULER,),
}
_FLUX2_COMPONENTS = {
    "transformer": ("Flux2Transformer2DModel",),
    "vae": ("AutoencoderKLFlux2",),
    "scheduler": (SCHEDULER,),
}
KLEIN_COMPONENTS = _FLUX2_COMPONENTS | {
    "text_encoder": ("Qwen3ForCausalLM",),
    "tokenizer": ("Qwen2TokenizerFast", "Qwen2Tokenizer"),
}
FLUX2_COMPONENTS = _FLUX2_COMPONENTS | {
    "text_encoder": ("Mistral3ForConditionalGeneration", "MistralForCausalLM"),
    "tokenizer": ("PixtralProcessor", "AutoProcessor"),
}
SD_COMPONENTS = {
    "unet": ("UNet2DConditionModel",),
    "vae": ("AutoencoderKL",),
    "text_encoder": ("CLIPTextModel",),
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "scheduler": tuple(SCHEDULERS),
}
SDXL_COMPONENTS = SD_COMPONENTS | {
    "text_encoder_2": ("CLIPTextModelWithProjection",),
    "tokenizer_2": ("CLIPTokenizer", "CLIPTokenizerFast"),
}
REDUX_COMPONENTS = {
    "image_encoder": ("SiglipVisionModel",),
    "feature_extractor": ("SiglipImageProcessor", "SiglipImageProcessorFast", "SiglipImageProcessorPil"),
    "image_embedder": ("ReduxImageEncoder",),
}


@dataclass(frozen=True)
class Layout:
    """The folder of one kind of pipeline.

    Attributes:
        components: class names that a component may have, by its subfolder.
        ignored: components that Diffusers lists and nothing here needs.
        unnamed: the spec of a folder that is named after no known network: (name, is_distilled).
        optional: of the components, those that some networks lack; their folders say so by null.
    """

    components: Mapping[str, tuple[str, ...]]
    ignored: tuple[str, ...]
    unnamed: Callable[[str, bool], ModelSpec]
    optional: tuple[str, ...] = ()


def _flux1(name: str, is_distilled: bool) -> ModelSpec:
    spec = schnell_spec if is_distilled else flux1_spec
    return spec(name, None, UNKNOWN_LICENCE)


def _sd(name: str, _is_distilled: bool) -> ModelSpec:
    return sd_spec(name, None, UNKNOWN_LICENCE)


def _sdxl(name: str, _is_distilled: bool) -> ModelSpec:
    return sdxl_spec(name, None, UNKNOWN_LICENCE)


_IP_ADAPTER = ("image_encoder", "feature_extractor")
_SAFETY = ("safety_checker", "requires_safety_checker", *_IP_ADAPTER)
_SDXL_IGNORED = ("add_watermarker", *_IP_ADAPTER)
_SDXL_OPTIONAL = ("text_encoder", "tokenizer")
"""The refiner has the second alone."""

LAYOUTS: Mapping[str, Layout] = {
    **dict.fromkeys(FLUX1_PIPELINES, Layout(FLUX1_COMPONENTS, _IP_ADAPTER, _flux1)),
    **dict.fromkeys(
        FILL_PIPELINES, Layout(FLUX1_COMPONENTS, (), lambda name, _: fill_spec(name, None, UNKNOWN_LICENCE))
    ),
    **dict.fromkeys(
        CONTROL_PIPELINES, Layout(FLUX1_COMPONENTS, (), lambda name, _: control_spec(name, None, UNKNOWN_LICENCE))
    ),
    **dict.fromkeys(
        KONTEXT_PIPELINES,
        Layout(FLUX1_COMPONENTS, _IP_ADAPTER, lambda name, _: kontext_spec(name, None, UNKNOWN_LICENCE)),
    ),
    **dict.fromkeys(
        KLEIN_PIPELINES,
        Layout(
            KLEIN_COMPONENTS,
            (),
            lambda name, distilled: klein_spec(name, None, UNKNOWN_LICENCE, is_distilled=distilled),
        ),
    ),
    **dict.fromkeys(
        FLUX2_PIPELINES, Layout(FLUX2_COMPONENTS, (), lambda name, _: flux2_spec(name, None, UNKNOWN_LICENCE))
    ),
    **dict.fromkeys(SD_PIPELINES, Layout(SD_COMPONENTS, _SAFETY, _sd)),
    **dict.fromkeys(
        SD_INPAINTING_PIPELINES,
        Layout(SD_COMPONENTS, _SAFETY, lambda name, _: inpainting(_sd(name, False), SD_INPAINTING_PIPELINES)),
    ),
    **dict.fromkeys(SDXL_PIPELINES, Layout(SDXL_COMPONENTS, _SDXL_IGNORED, _sdxl, _SDXL_OPTIONAL)),
    **dict.fromkeys(
        SDXL_INPAINTING_PIPELINES,
        Layout(
            SDXL_COMPONENTS,
            _SDXL_IGNORED,
            lambda name, _: inpainting(_sdxl(name, False), SDXL_INPAINTING_PIPELINES),
            _SDXL_OPTIONAL,
        ),
    ),
}
"""By the class in model_index.json."""
