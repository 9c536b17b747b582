"""GenerationSpec: the one request that every dialect is translated into, and the contract between gateway and worker."""

from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field

SPEC_VERSION = 4
MAX_SEED = 2**63 - 1
CONTROL_FORWARDS = 0.4
"""What a ControlNet costs, in forwards of the network beside it (workers.engine.row has the same)."""

OutputFormat = Literal["png", "jpeg", "webp"]
PromptSyntax = Literal["plain", "a1111"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)

Role = Literal["reference", "image", "mask", "control", "control_source", "image_prompt", "controlnet"]


class _Value(BaseModel, defer_build=True):
    """Parts of a spec are as strict as the spec itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class InputImage(_Value):
    """A picture of the request: what it is for, where its bytes lie, and what its header says of them."""

    role: Role
    """"reference": read beside the prompt, in order (FLUX.2, Kontext). "image": the picture to change (image to image,
    inpainting, fill, outpainting); with a mask on FLUX.2 it is the first reference too. "mask": white = change, black = keep.
    "control": ready edges or depth. "control_source": the picture whose edges are to be found. "image_prompt": seen by Redux.
    "controlnet": what the spec's `controls` of the same place follows."""
    key: str
    """In the object store, as the caller sent it; no other task uses it."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the stored bytes, in hexadecimal."""
    content_type: str
    """image/png, image/jpeg or image/webp."""
    width: int = Field(gt=0)
    """Pixels, as the picture is seen: after its EXIF orientation."""
    height: int = Field(gt=0)
    """Pixels, as the picture is seen: after its EXIF orientation."""


class CannyThresholds(_Value):
    """Gradients between which Canny's edges begin and go on, 0 to 500."""

    low: int = Field(ge=0)
    high: int = Field(ge=0)


class Control(_Value):
    """One ControlNet beside the network that draws. Its picture is the spec's "controlnet" of the same place."""

    network: str
    """Name of the ModelSpec or of the operator's row that it was imported as."""
    scale: float = Field(default=1.0, ge=0, le=2, allow_inf_nan=False)
    """Strength of what it adds; 1 = as it was trained."""
    start: float = Field(default=0.0, ge=0, lt=1, allow_inf_nan=False)
    """Fraction of the steps after which it begins."""
    end: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    """Fraction of the steps after which it has ended; above `start`."""
    mode: int | None = Field(default=None, ge=0)
    """What the picture shows, as a union network counts kinds; None for a network of one kind."""


GuidanceRule = Literal["cfg", "cfg_zero_star", "apg"]


class Guiding(_Value):
    """How guidance acts, beside its strength (models.pipeline.guiding)."""

    rule: GuidanceRule = "cfg"
    """How the picture is moved away from the negative prompt."""
    rescale: float = Field(default=0.0, ge=0, le=1, allow_inf_nan=False)
    """How far the prediction's deviation is brought back to that of the prompt's own."""
    start: float = Field(default=0.0, ge=0, lt=1, allow_inf_nan=False)
    """Fraction of the steps after which it begins."""
    end: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    """Fraction of the steps after which it has ended; above `start`."""
    schedule: tuple[float, ...] = ()
    """Strength of every step in the place of the spec's `guidance`."""
    zero_steps: int = Field(default=0, ge=0)
    """First steps that change nothing."""
    parallel: float = Field(default=0.0, allow_inf_nan=False)
    """apg: weight of what lies along the prompt's picture."""
    most: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """apg: largest length of the difference; 0 = any."""
    momentum: float = Field(default=0.0, allow_inf_nan=False)
    """apg: weight of earlier differences."""
    pag_scale: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Strength of perturbed attention guidance; 0 = none."""
    pag_layers: tuple[str, ...] = ("mid_block",)
    """Blocks whose self-attention it perturbs."""
    pag_adaptive_scale: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """What pag_scale loses with each of 1000 steps of training."""

    def further_forwards(self, steps: int) -> int:
        """Forwards of so many steps beyond those for the prompt and the negative prompt."""
        return int(self.end * steps) - int(self.start * steps) if self.pag_scale else 0


class Margins(_Value):
    """Pixels to draw anew around the picture. The spec's width and height have them in."""

    top: int = Field(ge=0)
    bottom: int = Field(ge=0)
    left: int = Field(ge=0)
    right: int = Field(ge=0)


class GenerationSpec(_Value):
    """One image to make. A worker leaves a row of a newer version queued for a newer worker.

    Version 1 had a prompt alone; it is read as a version 2 without pictures, that as a version 3 without previews, and that as a
    version 4 that leaves everything newer at its default.
    """

    version: Literal[1, 2, 3, 4] = SPEC_VERSION
    model: str
    """Public name that was asked for."""
    network: str
    """Name of the ModelSpec that runs; differs from `model` under an alias."""
    prompt: str
    negative_prompt: str | None = None
    """Where it steers, and what it costs, is the network's: klein base reads it by its guidance, FLUX.1 by `true_cfg_scale`."""
    prompt_syntax: PromptSyntax = "plain"
    """"plain": brackets are text, and what one pass of the text encoder does not hold is not read. "a1111": emphasis, any length."""
    clip_skip: int = Field(default=0, ge=0)
    """Layers of the text encoders that are left out beyond the network's own."""
    embeddings: tuple[str, ...] = ()
    """Learnt words that the prompts may use: names of the operator's rows that they were imported as."""
    seed: int = Field(ge=0, le=MAX_SEED)
    """Seed of this image; image i of a task has the task's seed + i."""
    width: int = Field(gt=0)
    """Pixels of the result."""
    height: int = Field(gt=0)
    """Pixels of the result."""
    steps: int = Field(ge=1)
    guidance: float = Field(ge=0, allow_inf_nan=False)
    true_cfg_scale: float = Field(default=1.0, ge=1, allow_inf_nan=False)
    """Classifier-free guidance on top of the distilled one; 1 = off."""
    guiding: Guiding | None = None
    """How guidance acts, beside its strength; None = classifier-free, in all steps."""
    sampler: str | None = None
    """By any name that models.samplers.names knows, perhaps with a schedule behind it; None = the network's own."""
    schedule: str | None = None
    """Likewise; None = the one that goes with the sampler."""
    eta: float | None = Field(default=None, ge=0, le=1)
    """Share of the noise that each step draws anew; None = the sampler's own."""
    sigmas: tuple[float, ...] | None = None
    """Levels of noise in the place of a schedule, `steps` of them, falling, without the 0 at the end."""
    timesteps: tuple[int, ...] | None = None
    """Training steps in the place of a schedule, `steps` of them, falling."""
    max_sequence_length: int | None = Field(default=None, ge=1)
    """Tokens of the prompt that the text encoder reads; None = the network's own number."""
    inputs: tuple[InputImage, ...] = ()
    """Pictures, in the order in which the network reads those of one role."""
    mask_from_alpha: bool = False
    """What is transparent in the "image" is to be drawn anew; there is no "mask" then."""
    mask_is_transparent: bool = False
    """The "mask" is transparent, not white, where the picture is to be changed."""
    strength: float | None = Field(default=None, gt=0, le=1)
    """How much of the noise the "image" starts from, 1 = all of it; None = the network's own number."""
    canny: CannyThresholds | None = None
    """Beside a "control_source"."""
    margins: Margins | None = None
    """Beside an "image": it is extended, not repainted."""
    image_prompter: str | None = None
    """Name of the ModelSpec that reads an "image_prompt"."""
    image_prompt_strength: float = Field(default=1.0, ge=0, le=1)
    """Weight of the image prompt's tokens."""
    controls: tuple[Control, ...] = ()
    """ControlNets, all of which act at once; as many as there are inputs of the role "controlnet", in their order."""
    output_format: OutputFormat
    output_quality: int | None = Field(default=None, ge=0, le=100)
    """Of JPEG and WebP; None = the worker's own."""
    deterministic: bool = False
    """Run alone, bit-equal every time."""
    safety_tolerance: int = Field(default=2, ge=0, le=6)
    """What the finished picture may show: 0 is strictest, 6 most tolerant."""
    embed_metadata: bool | None = None
    """Whether the file says how it was made; None = as the operator has it."""
    previews: bool = False
    """Somebody watches: small pictures of what the latents have become are sent on the way (app.core.events.base.Preview)."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Every ModelSpec that has to be there for this image, the one that draws first."""
        beside = [self.image_prompter, *(control.network for control in self.controls), *self.embeddings]
        return (self.network, *dict.fromkeys(name for name in beside if name is not None))

    @property
    def control_forwards(self) -> float:
        """What its ControlNets cost beside each forward of the network that draws, in such forwards, on average over the steps."""
        return CONTROL_FORWARDS * sum(control.end - control.start for control in self.controls if control.scale)

    def further_forwards(self, steps: int) -> int:
        """Forwards of so many looks at the network beyond those for the prompt and the negative prompt."""
        return 0 if self.guiding is None else self.guiding.further_forwards(steps)

    @property
    def input_pixels(self) -> int:
        """Pixels of all pictures of the request."""
        return sum(image.width * image.height for image in self.inputs)

    def images(self, role: Role) -> tuple[InputImage, ...]:
        """The pictures of one role, in order."""
        return tuple(image for image in self.inputs if image.role == role)

    def to_json(self) -> str:
        """The text that the generation's row holds."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises pydantic.ValidationError for a newer version or an unknown field."""
        return cls.model_validate_json(text)
