"""ModelSpec: what is known of each network beside its weights. What a folder says about itself is read in models.checkpoints.

Weights of the same shape can belong to different networks (distilled or base, dev or Kontext, Canny or Depth), so which of them
a folder holds, and what it may be asked for, is written here.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from models.flow.flux1 import Flux1Params
from models.flow.flux2 import Flux2Params
from models.unet.unet import AddedSizes, UnetParams


class Guidance(StrEnum):
    """How a network follows the guidance strength of a request."""

    NONE = "none"
    """Distilled: the strength is ignored."""
    EMBEDDED = "embedded"
    """The strength is an input of the network; one forward a step."""
    CLASSIFIER_FREE = "classifier_free"
    """A second forward for the negative prompt when the strength is above 1."""


class Channels(StrEnum):
    """What stands beside the noisy latents in the channels of every picture token."""

    LATENTS = "latents"
    """Nothing: the network sees latents alone."""
    MASKED_IMAGE = "masked_image"
    """The picture without its masked part, and the mask: the network fills (FLUX.1 Fill)."""
    CONTROL = "control"
    """Edges or depth of the picture to draw (FLUX.1 Canny and Depth)."""


@dataclass(frozen=True)
class References:
    """Pictures that a network reads as tokens after those of the picture it draws.

    Attributes:
        most: how many a request may give; 0 for a network that reads none.
        sizes: width and height in pixels, of which a reference is brought to the one nearest in aspect ratio; when empty it
            keeps its size, shrunk to max_pixels and cut to whole patches.
        max_pixels: width times height of a reference, when sizes is empty.
    """

    most: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    max_pixels: int = 1024 * 1024


@dataclass(frozen=True)
class TextPolicy:
    """How a prompt becomes features. Padding is part of the network: another length is another picture.

    Attributes:
        encoder: architecture of the text encoder.
        max_sequence_length: tokens of every prompt unless a request says otherwise, padding included; also the most it may say.
        out_layers: states of the encoder that make up a token's features; empty for the last one.
        zeroes_missing_negative: whether a request without a negative prompt steers away from zeros, and not from the empty prompt.
    """

    encoder: Literal["clip_t5", "qwen3", "mistral3", "clip", "clip_clip"]
    max_sequence_length: int
    out_layers: tuple[int, ...] = ()
    zeroes_missing_negative: bool = False


Dtype = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class GenerationDefaults:
    """What a request that leaves these out gets.

    Attributes:
        max_sequence_length: tokens of every prompt, padding included.
        text_encoder_out_layers: states of the encoder that make up a token's features.
        num_inference_steps: denoise steps.
        guidance_scale: guidance strength.
        strength: how far a picture that is given is noised before it is drawn anew, in (0, 1].
        dtype: in which the networks run.
        width: pixels.
        height: pixels.
    """

    max_sequence_length: int
    text_encoder_out_layers: tuple[int, ...]
    num_inference_steps: int
    guidance_scale: float
    strength: float
    dtype: Dtype
    width: int
    height: int


@dataclass(frozen=True)
class ModelSpec:
    """One network.

    Attributes:
        name: under which requests name it.
        pipelines: classes in model_index.json of folders that hold it, the one that we write first.
        params: sizes of the transformer; None when its folder alone knows them.
        unet: sizes of the UNet, in families that have one; None when its folder alone knows them.
        text: how prompts are read.
        guidance: what a guidance strength does.
        defaults: what generation.json of the folder may replace.
        licence: of the weights.
        channels: what the network sees beside the latents.
        references: pictures that it reads as tokens.
        takes_true_cfg: whether a second forward for a negative prompt may be asked for on top of its own guidance.
        image_prompter: name of the network that turns picture prompts into text features for it; None when it takes none.
        takes_controlnets: whether ControlNets can steer it; which of them fit, their sizes say.
        takes_perturbation: whether blocks of its self-attention can be perturbed, for guidance; which there are, its sizes say.
        takes_image_adapters: whether it looks at pictures through adapters that requests name; which of them fit, their sizes say.
    """

    name: str
    pipelines: tuple[str, ...]
    params: Flux1Params | Flux2Params | None
    text: TextPolicy
    guidance: Guidance
    defaults: GenerationDefaults
    licence: str
    channels: Channels = Channels.LATENTS
    references: References = References()
    takes_true_cfg: bool = False
    image_prompter: str | None = None
    unet: UnetParams | None = None
    takes_controlnets: bool = False
    takes_image_adapters: bool = False
    takes_perturbation: bool = False

    @property
    def is_distilled(self) -> bool:
        """Whether few steps without guidance suffice."""
        return self.guidance is Guidance.NONE


CLIP_T5_TEXT = TextPolicy("clip_t5", 512)
SCHNELL_TEXT = TextPolicy("clip_t5", 256)
KLEIN_TEXT = TextPolicy("qwen3", 512, (9, 18, 27))
DEV_TEXT = TextPolicy("mistral3", 512, (10, 20, 30))
SD15_TEXT = TextPolicy("clip", 77)
SDXL_TEXT = TextPolicy("clip_clip", 77, zeroes_missing_negative=True)

FLUX1_DEV = Flux1Params()
FLUX1_SCHNELL = Flux1Params(guidance_embed=False)
FLUX1_FILL = Flux1Params(in_channels=384)
FLUX1_CONTROL = Flux1Params(in_channels=128)
KLEIN_4B = Flux2Params(
    context_in_dim=7680, hidden_size=3072, num_heads=24, depth=5, depth_single_blocks=20, guidance_embed=False
)
KLEIN_9B = Flux2Params(
    context_in_dim=12288, hidden_size=4096, num_heads=32, depth=8, depth_single_blocks=24, guidance_embed=False
)
SD15 = UnetParams()
SD15_INPAINTING = replace(SD15, in_channels=9)
SDXL = UnetParams(
    block_channels=(320, 640, 1280),
    depths=(0, 2, 10),
    middle_depth=10,
    heads=(5, 10, 20),
    context_channels=2048,
    added=AddedSizes(),
    linear_projection=True,
)
SDXL_INPAINTING = replace(SDXL, in_channels=9)
SDXL_REFINER = UnetParams(
    block_channels=(384, 768, 1536, 1536),
    depths=(0, 4, 4, 0),
    middle_depth=4,
    heads=(6, 12, 24, 24),
    context_channels=1280,
    added=AddedSizes(num_numbers=5),
    linear_projection=True,
)

APACHE, FLUX1_NON_COMMERCIAL, NON_COMMERCIAL = (
    "Apache-2.0",
    "FLUX.1 [dev] Non-Commercial License",
    "FLUX Non-Commercial License",
)
OPENRAIL, OPENRAIL_PLUS_PLUS = "CreativeML Open RAIL-M", "CreativeML Open RAIL++-M"

FLUX1_PIPELINES = ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline")
FILL_PIPELINES = ("FluxFillPipeline",)
CONTROL_PIPELINES = ("FluxControlPipeline", "FluxControlImg2ImgPipeline", "FluxControlInpaintPipeline")
KONTEXT_PIPELINES = ("FluxKontextPipeline", "FluxKontextInpaintPipeline")
KLEIN_PIPELINES = ("Flux2KleinPipeline", "Flux2KleinInpaintPipeline")
FLUX2_PIPELINES = ("Flux2Pipeline",)
SD_PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")
SD_INPAINTING_PIPELINES = ("StableDiffusionInpaintPipeline",)
SDXL_PIPELINES = ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline")
SDXL_INPAINTING_PIPELINES = ("StableDiffusionXLInpaintPipeline",)

_KONTEXT_HALF = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
)
KONTEXT_SIZES = (*_KONTEXT_HALF, (1024, 1024), *((height, width) for width, height in reversed(_KONTEXT_HALF)))
"""The sizes that Kontext was trained on, about a megapixel each."""
KONTEXT_REFERENCES = References(most=1, sizes=KONTEXT_SIZES)
FLUX2_REFERENCES = References(most=8)
KLEIN_REFERENCES = References(most=8)


def _defaults(text: TextPolicy, num_steps: int, guidance_scale: float, strength: float) -> GenerationDefaults:
    return GenerationDefaults(
        max_sequence_length=text.max_sequence_length,
        text_encoder_out_layers=text.out_layers,
        num_inference_steps=num_steps,
        guidance_scale=guidance_scale,
        strength=strength,
        dtype="bfloat16",
        width=1024,
        height=1024,
    )


def klein_spec(name: str, params: Flux2Params | None, licence: str, *, is_distilled: bool) -> ModelSpec:
    """A network of the klein family: distilled to 4 steps, or its base with classifier-free guidance."""
    num_steps, guidance = (4, 1.0) if is_distilled else (50, 4.0)
    return ModelSpec(
        name=name,
        pipelines=KLEIN_PIPELINES,
        params=params,
        text=KLEIN_TEXT,
        guidance=Guidance.NONE if is_distilled else Guidance.CLASSIFIER_FREE,
        defaults=_defaults(KLEIN_TEXT, num_steps, guidance, strength=0.8),
        licence=licence,
        references=KLEIN_REFERENCES,
    )


def flux2_spec(name: str, params: Flux2Params | None, licence: str) -> ModelSpec:
    """FLUX.2 [dev] and its fine-tunes: embedded guidance, Mistral as text encoder."""
    return ModelSpec(
        name=name,
        pipelines=FLUX2_PIPELINES,
        params=params,
        text=DEV_TEXT,
        guidance=Guidance.EMBEDDED,
        defaults=_defaults(DEV_TEXT, 50, 4.0, strength=0.8),
        licence=licence,
        references=FLUX2_REFERENCES,
    )


def flux1_spec(name: str, params: Flux1Params | None, licence: str, *, num_steps: int = 28) -> ModelSpec:
    """FLUX.1 [dev] and its fine-tunes: embedded guidance, CLIP and T5 as text encoders."""
    return ModelSpec(
        name=name,
        pipelines=FLUX1_PIPELINES,
        params=params,
        text=CLIP_T5_TEXT,
        guidance=Guidance.EMBEDDED,
        defaults=_defaults(CLIP_T5_TEXT, num_steps, 3.5, strength=0.6),
        licence=licence,
        takes_true_cfg=True,
        image_prompter="flux-redux-dev",
        takes_controlnets=True,
    )


def schnell_spec(name: str, params: Flux1Params | None, licence: str) -> ModelSpec:
    """FLUX.1 [schnell]: distilled to 4 steps, without guidance."""
    return replace(
        flux1_spec(name, params, licence),
        text=SCHNELL_TEXT,
        guidance=Guidance.NONE,
        defaults=_defaults(SCHNELL_TEXT, 4, 1.0, strength=0.6),
    )


def fill_spec(name: str, params: Flux1Params | None, licence: str) -> ModelSpec:
    """FLUX.1 Fill: draws what a mask covers."""
    return replace(
        flux1_spec(name, params, licence),
        pipelines=FILL_PIPELINES,
        defaults=_defaults(CLIP_T5_TEXT, 50, 30.0, strength=1.0),
        channels=Channels.MASKED_IMAGE,
        takes_true_cfg=False,
        takes_controlnets=False,
    )


def control_spec(name: str, params: Flux1Params | None, licence: str, *, guidance: float = 30.0) -> ModelSpec:
    """FLUX.1 Canny and Depth: draw along edges or depth."""
    return replace(
        flux1_spec(name, params, licence),
        pipelines=CONTROL_PIPELINES,
        defaults=_defaults(CLIP_T5_TEXT, 50, guidance, strength=0.6),
        channels=Channels.CONTROL,
        takes_true_cfg=False,
        takes_controlnets=False,
    )


def kontext_spec(name: str, params: Flux1Params | None, licence: str) -> ModelSpec:
    """FLUX.1 Kontext: edits the picture that it is given as a reference."""
    return replace(
        flux1_spec(name, params, licence),
        pipelines=KONTEXT_PIPELINES,
        references=KONTEXT_REFERENCES,
        takes_controlnets=False,
    )


def sd_spec(name: str, unet: UnetParams | None, licence: str) -> ModelSpec:
    """Stable Diffusion 1.5 and its fine-tunes: one CLIP, classifier-free guidance."""
    return ModelSpec(
        name=name,
        pipelines=SD_PIPELINES,
        params=None,
        text=SD15_TEXT,
        guidance=Guidance.CLASSIFIER_FREE,
        defaults=replace(_defaults(SD15_TEXT, 50, 7.5, strength=0.8), width=512, height=512),
        licence=licence,
        unet=unet,
        takes_controlnets=True,
        takes_perturbation=True,
        takes_image_adapters=True,
    )


def sdxl_spec(name: str, unet: UnetParams | None, licence: str) -> ModelSpec:
    """SDXL, its refiner and their fine-tunes: two CLIPs or the second alone, classifier-free guidance, told sizes."""
    return replace(
        sd_spec(name, unet, licence),
        pipelines=SDXL_PIPELINES,
        text=SDXL_TEXT,
        defaults=_defaults(SDXL_TEXT, 50, 5.0, strength=0.3),
    )


def inpainting(spec: ModelSpec, pipelines: tuple[str, ...]) -> ModelSpec:
    """A network that sees the masked picture and its mask beside the latents."""
    defaults = replace(spec.defaults, strength=1.0)
    return replace(spec, pipelines=pipelines, channels=Channels.MASKED_IMAGE, defaults=defaults)


MODEL_SPECS: tuple[ModelSpec, ...] = (
    klein_spec("flux-nano", None, APACHE, is_distilled=False),
    flux1_spec("flux-dev", FLUX1_DEV, FLUX1_NON_COMMERCIAL),
    flux1_spec("flux-krea-dev", FLUX1_DEV, FLUX1_NON_COMMERCIAL),
    schnell_spec("flux-schnell", FLUX1_SCHNELL, APACHE),
    fill_spec("flux-fill-dev", FLUX1_FILL, FLUX1_NON_COMMERCIAL),
    control_spec("flux-canny-dev", FLUX1_CONTROL, FLUX1_NON_COMMERCIAL),
    control_spec("flux-depth-dev", FLUX1_CONTROL, FLUX1_NON_COMMERCIAL, guidance=10.0),
    kontext_spec("flux-kontext-dev", FLUX1_DEV, FLUX1_NON_COMMERCIAL),
    klein_spec("flux-2-klein-4b", KLEIN_4B, APACHE, is_distilled=True),
    klein_spec("flux-2-klein-4b-base", KLEIN_4B, APACHE, is_distilled=False),
    klein_spec("flux-2-klein-9b", KLEIN_9B, NON_COMMERCIAL, is_distilled=True),
    klein_spec("flux-2-klein-9b-base", KLEIN_9B, NON_COMMERCIAL, is_distilled=False),
    flux2_spec("flux-2-dev", Flux2Params(), NON_COMMERCIAL),
    sd_spec("sd-1.5", SD15, OPENRAIL),
    inpainting(sd_spec("sd-1.5-inpainting", SD15_INPAINTING, OPENRAIL), SD_INPAINTING_PIPELINES),
    sdxl_spec("sdxl", SDXL, OPENRAIL_PLUS_PLUS),
    inpainting(sdxl_spec("sdxl-inpainting", SDXL_INPAINTING, OPENRAIL_PLUS_PLUS), SDXL_INPAINTING_PIPELINES),
)


def spec_named(name: str) -> ModelSpec | None:
    """The spec of this name, if there is one."""
    return next((spec for spec in MODEL_SPECS if spec.name == name), None)
