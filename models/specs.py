"""ModelSpec: what is known of each network beside its weights. What a folder says about itself is read in models.checkpoints.

The weights of a distilled and of a base network have the same shapes, so which of them a file holds is written here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from models.flow.flux2 import Flux2Params


class Guidance(StrEnum):
    """How a network follows the guidance strength of a request."""

    NONE = "none"
    """Distilled: the strength is ignored."""
    EMBEDDED = "embedded"
    """The strength is an input of the network; one forward a step."""
    CLASSIFIER_FREE = "classifier_free"
    """A second forward for the negative prompt when the strength is above 1."""


@dataclass(frozen=True)
class TextPolicy:
    """How a prompt becomes features. Padding is part of the network: another length is another picture.

    Attributes:
        encoder: architecture of the text encoder.
        padding_side: where short prompts are filled up.
        max_sequence_length: tokens of every prompt, padding included.
        out_layers: states of the encoder that make up a token's features.
    """

    encoder: Literal["qwen3", "mistral3"]
    padding_side: Literal["left", "right"]
    max_sequence_length: int
    out_layers: tuple[int, ...]


@dataclass(frozen=True)
class GenerationDefaults:
    """What a request that leaves these out gets.

    Attributes:
        max_sequence_length: tokens of every prompt, padding included.
        text_encoder_out_layers: states of the encoder that make up a token's features.
        num_inference_steps: denoise steps.
        guidance_scale: guidance strength.
        dtype: in which the networks run.
        width: pixels.
        height: pixels.
    """

    max_sequence_length: int
    text_encoder_out_layers: tuple[int, ...]
    num_inference_steps: int
    guidance_scale: float
    dtype: Literal["float32", "bfloat16"]
    width: int
    height: int


@dataclass(frozen=True)
class ModelSpec:
    """One network.

    Attributes:
        name: under which requests name it.
        pipeline: class in model_index.json of its folder.
        params: sizes of the transformer; None when its folder alone knows them.
        text: how prompts are read.
        guidance: what a guidance strength does.
        defaults: what generation.json of the folder may replace.
        size_multiple: of which width and height are multiples, in pixels.
        licence: of the weights.
    """

    name: str
    pipeline: Literal["Flux2KleinPipeline", "Flux2Pipeline"]
    params: Flux2Params | None
    text: TextPolicy
    guidance: Guidance
    defaults: GenerationDefaults
    size_multiple: int
    licence: str

    @property
    def is_distilled(self) -> bool:
        """Whether few steps without guidance suffice."""
        return self.guidance is Guidance.NONE


KLEIN_TEXT = TextPolicy("qwen3", "right", 512, (9, 18, 27))
DEV_TEXT = TextPolicy("mistral3", "left", 512, (10, 20, 30))
KLEIN_4B = Flux2Params(
    context_in_dim=7680, hidden_size=3072, num_heads=24, depth=5, depth_single_blocks=20, guidance_embed=False
)
KLEIN_9B = Flux2Params(
    context_in_dim=12288, hidden_size=4096, num_heads=32, depth=8, depth_single_blocks=24, guidance_embed=False
)
NON_COMMERCIAL = "FLUX Non-Commercial License"


def _defaults(text: TextPolicy, num_steps: int, guidance_scale: float) -> GenerationDefaults:
    return GenerationDefaults(
        max_sequence_length=text.max_sequence_length,
        text_encoder_out_layers=text.out_layers,
        num_inference_steps=num_steps,
        guidance_scale=guidance_scale,
        dtype="bfloat16",
        width=1024,
        height=1024,
    )


def klein_spec(name: str, params: Flux2Params | None, licence: str, *, is_distilled: bool) -> ModelSpec:
    """A network of the klein family: distilled to 4 steps, or its base with classifier-free guidance."""
    return ModelSpec(
        name=name,
        pipeline="Flux2KleinPipeline",
        params=params,
        text=KLEIN_TEXT,
        guidance=Guidance.NONE if is_distilled else Guidance.CLASSIFIER_FREE,
        defaults=_defaults(KLEIN_TEXT, 4, 1.0) if is_distilled else _defaults(KLEIN_TEXT, 50, 4.0),
        size_multiple=16,
        licence=licence,
    )


MODEL_SPECS: tuple[ModelSpec, ...] = (
    klein_spec("flux-nano", None, "Apache-2.0", is_distilled=False),
    klein_spec("flux-2-klein-4b", KLEIN_4B, "Apache-2.0", is_distilled=True),
    klein_spec("flux-2-klein-4b-base", KLEIN_4B, "Apache-2.0", is_distilled=False),
    klein_spec("flux-2-klein-9b", KLEIN_9B, NON_COMMERCIAL, is_distilled=True),
    klein_spec("flux-2-klein-9b-base", KLEIN_9B, NON_COMMERCIAL, is_distilled=False),
    ModelSpec(
        name="flux-2-dev",
        pipeline="Flux2Pipeline",
        params=Flux2Params(),
        text=DEV_TEXT,
        guidance=Guidance.EMBEDDED,
        defaults=_defaults(DEV_TEXT, 50, 4.0),
        size_multiple=16,
        licence=NON_COMMERCIAL,
    ),
)


def spec_named(name: str) -> ModelSpec | None:
    """The spec of this name, if there is one."""
    return next((spec for spec in MODEL_SPECS if spec.name == name), None)
