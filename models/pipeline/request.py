"""DrawRequest: one picture to draw, and the checks that need no weights."""

from dataclasses import dataclass, replace

from PIL import Image

from models.errors import UnsupportedInput
from models.pipeline.guiding import NOTHING_SAID, Guiding
from models.pipeline.reading import PromptSyntax
from models.samplers import guidance as rules
from models.samplers.asked import Asked
from models.specs import Channels, GenerationDefaults, Guidance, ModelSpec

MAX_CONTROLS = 4
MAX_CONTROL_SCALE = 2.0


@dataclass(frozen=True)
class EdgeThresholds:
    """Hysteresis thresholds of Canny's edge detector, 0 to 500 each."""

    low: int = 50
    high: int = 200


@dataclass(frozen=True)
class Margins:
    """Pixels to add at each side of a picture."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


@dataclass(frozen=True)
class SizeConditioning:
    """What SDXL is told of the picture it draws, as it was told of those it learnt from (Podell et al. 2023, arXiv:2307.01952, 2.2).

    Attributes:
        original_size: width and height that it had before it was brought to its size; None for its own.
        crop: top and left of the part that was cut out of it.
        target_size: width and height of that part; None for its own.
        aesthetic_score: that the refiner is told, 1 to 10.
        negative_aesthetic_score: the same for the negative prompt.
    """

    original_size: tuple[int, int] | None = None
    crop: tuple[int, int] = (0, 0)
    target_size: tuple[int, int] | None = None
    aesthetic_score: float = 6.0
    negative_aesthetic_score: float = 2.5

    @property
    def negative(self) -> "SizeConditioning":
        """What the branch of the negative prompt is told."""
        return replace(self, aesthetic_score=self.negative_aesthetic_score)

    def numbers(self, width: int, height: int, *, is_scored: bool) -> tuple[float, ...]:
        """The numbers that a network reads.

        Args:
            width: pixels of the picture.
            height: pixels of the picture.
            is_scored: whether it is told an aesthetic score in the place of the target size.
        """
        original_width, original_height = self.original_size or (width, height)
        target_width, target_height = self.target_size or (width, height)
        last = (self.aesthetic_score,) if is_scored else (target_height, target_width)
        return (original_height, original_width, *self.crop, *last)


NATURAL_SIZE = SizeConditioning()


@dataclass(frozen=True, eq=False)
class Control:
    """A ControlNet that steers the picture.

    Attributes:
        network: its name.
        image: what is to be followed, ready for this network: edges, depth, a pose; brought to the size that is drawn.
        scale: strength of what it adds, 0 to MAX_CONTROL_SCALE; 1 is as it was trained.
        start: fraction of the steps after which it begins.
        end: fraction of the steps after which it has ended.
        mode: what the picture shows, as a union network of FLUX.1 counts kinds; None for networks of one kind.
    """

    network: str
    image: Image.Image
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: int | None = None

    def scales(self, num_steps: int) -> tuple[float, ...]:
        """Its strength at each step: 0 in those that do not lie wholly between start and end."""
        return tuple(
            self.scale if step / num_steps >= self.start and (step + 1) / num_steps <= self.end else 0.0
            for step in range(num_steps)
        )


@dataclass(frozen=True, eq=False)
class PictureInputs:
    """The pictures of a request; which of them a network takes, its ModelSpec says.

    Attributes:
        image: the picture to change: to start from, to fill, or to extend.
        mask: white where `image` is to change; None takes the transparent part of `image`, if it has one.
        margins: how far `image` is extended beyond its sides.
        references: pictures to look at, in order.
        control: edges or depth, ready to be followed.
        control_source: a picture whose edges are to be followed.
        edges: how those edges are found.
        image_prompts: pictures that stand for words.
        controls: ControlNets, all of which act at once, each with its picture.
    """

    image: Image.Image | None = None
    mask: Image.Image | None = None
    margins: Margins | None = None
    references: tuple[Image.Image, ...] = ()
    control: Image.Image | None = None
    control_source: Image.Image | None = None
    edges: EdgeThresholds = EdgeThresholds()
    image_prompts: tuple[Image.Image, ...] = ()
    controls: tuple[Control, ...] = ()


NO_PICTURES = PictureInputs()


@dataclass(frozen=True, eq=False)
class DrawRequest:
    """One picture to draw.

    Attributes:
        prompt: what to draw.
        negative_prompt: what to steer away from; None for nothing.
        seed: of everything random, 0 to models.noise.MAX_SEED.
        width: pixels.
        height: pixels.
        num_steps: steps of the whole schedule; with strength below 1 only the last of them are run.
        guidance: guidance strength.
        true_cfg_scale: strength of a second, classifier-free guidance; above 1 and with a negative prompt only.
        strength: how far `image` is noised, in (0, 1]; None, here and below, takes the network's default.
        max_sequence_length: tokens of the prompt, padding included.
        image_prompter: name of what reads picture prompts; None for the network's own.
        image_prompt_strength: weight of what is seen in picture prompts, 0 to 1.
        sampler: name of the sampler; None for the network's own.
        schedule: name of the schedule; None for the one that goes with the sampler.
        eta: share of the noise that each step draws anew, in [0, 1]; None for the sampler's own.
        sigmas: levels of noise in the place of a schedule, num_steps of them; models.samplers.asked says more.
        timesteps: training steps in the place of a schedule, num_steps of them.
        inputs: pictures.
        size: what SDXL is told of the picture's size.
        prompt_syntax: whether brackets in prompts are text, or emphasis.
        clip_skip: layers at the end of the text encoders that are left out; 1 is what AUTOMATIC1111 calls 2.
        embeddings: names of learnt words that its prompts may use.
        guiding: how guidance acts, beside its strength.
    """

    prompt: str
    seed: int
    width: int
    height: int
    num_steps: int
    guidance: float
    negative_prompt: str | None = None
    true_cfg_scale: float = 1.0
    strength: float | None = None
    max_sequence_length: int | None = None
    image_prompter: str | None = None
    image_prompt_strength: float = 1.0
    sampler: str | None = None
    schedule: str | None = None
    eta: float | None = None
    sigmas: tuple[float, ...] | None = None
    timesteps: tuple[int, ...] | None = None
    inputs: PictureInputs = NO_PICTURES
    size: SizeConditioning = NATURAL_SIZE
    prompt_syntax: PromptSyntax = "plain"
    clip_skip: int = 0
    embeddings: tuple[str, ...] = ()
    guiding: Guiding = NOTHING_SAID

    @property
    def asked(self) -> Asked:
        """What it says of the way from noise to picture."""
        return Asked(self.sampler, self.schedule, self.eta, self.sigmas, self.timesteps)


def request_for(
    defaults: GenerationDefaults,
    prompt: str,
    *,
    negative_prompt: str | None = None,
    seed: int = 0,
    width: int | None = None,
    height: int | None = None,
    num_steps: int | None = None,
    guidance: float | None = None,
    true_cfg_scale: float = 1.0,
    strength: float | None = None,
    max_sequence_length: int | None = None,
    image_prompter: str | None = None,
    image_prompt_strength: float = 1.0,
    sampler: str | None = None,
    schedule: str | None = None,
    eta: float | None = None,
    sigmas: tuple[float, ...] | None = None,
    timesteps: tuple[int, ...] | None = None,
    inputs: PictureInputs = NO_PICTURES,
    size: SizeConditioning = NATURAL_SIZE,
    prompt_syntax: PromptSyntax = "plain",
    clip_skip: int = 0,
    embeddings: tuple[str, ...] = (),
    guiding: Guiding = NOTHING_SAID,
) -> DrawRequest:
    """A request in which everything that is None takes the network's default."""
    return DrawRequest(
        prompt=prompt,
        negative_prompt=negative_prompt,
        seed=seed,
        width=width or defaults.width,
        height=height or defaults.height,
        num_steps=num_steps or defaults.num_inference_steps,
        guidance=defaults.guidance_scale if guidance is None else guidance,
        true_cfg_scale=true_cfg_scale,
        strength=strength,
        max_sequence_length=max_sequence_length,
        image_prompter=image_prompter,
        image_prompt_strength=image_prompt_strength,
        sampler=sampler,
        schedule=schedule,
        eta=eta,
        sigmas=sigmas,
        timesteps=timesteps,
        inputs=inputs,
        size=size,
        prompt_syntax=prompt_syntax,
        clip_skip=clip_skip,
        embeddings=embeddings,
        guiding=guiding,
    )


@dataclass(frozen=True)
class GuidancePlan:
    """What guides a request.

    Attributes:
        embedded: strength that the network reads.
        guidance: rules of what is asked of the network beside.
        negative_prompt: what is steered away from; None for none.
    """

    embedded: float
    guidance: rules.Guidance = rules.UNGUIDED
    negative_prompt: str | None = None


def guidance_plan(spec: ModelSpec, request: DrawRequest) -> GuidancePlan:
    """How this network is guided by this request. A missing negative prompt of a base network is the empty one."""
    scale, negative = _against_negative(spec, request)
    guidance = request.guiding.guidance(scale, has_negative=negative is not None)
    return GuidancePlan(request.guidance, guidance, negative)


def _against_negative(spec: ModelSpec, request: DrawRequest) -> tuple[float, str | None]:
    """How strongly, and what, a picture is moved away from."""
    schedule = request.guiding.schedule
    if spec.guidance is Guidance.CLASSIFIER_FREE:
        acts = max(schedule) > 1 if schedule else request.guidance > 1
        return request.guidance, (request.negative_prompt or "") if acts else None
    if spec.takes_true_cfg and (request.true_cfg_scale > 1 or schedule):
        return request.true_cfg_scale, request.negative_prompt
    return 1.0, None


def check_request(spec: ModelSpec, request: DrawRequest) -> None:
    """Refuse what the network cannot do with a request.

    Raises:
        UnsupportedInput: names the input and the limit.
    """
    inputs = request.inputs
    _check_references(spec, len(inputs.references))
    _check_channels(spec, inputs)
    if inputs.mask is not None and inputs.image is None:
        raise UnsupportedInput("mask: a mask needs the image that it belongs to")
    if inputs.margins is not None and inputs.image is None:
        raise UnsupportedInput("margins: there is no image to extend")
    if request.strength is not None and inputs.image is None:
        raise UnsupportedInput("strength: there is no image to start from")
    if inputs.image_prompts and spec.image_prompter is None and not spec.takes_image_adapters:
        raise UnsupportedInput(f"image_prompt: {spec.name} takes no pictures as prompts")
    if not 0 <= request.image_prompt_strength <= 1:
        raise UnsupportedInput(f"image_prompt_strength is {request.image_prompt_strength}; it must be 0 to 1")
    _check_controls(spec, inputs.controls)
    _check_guiding(spec, request)
    length, most = request.max_sequence_length, spec.text.max_sequence_length
    if length is not None and not 1 <= length <= most:
        raise UnsupportedInput(f"max_sequence_length {length} is not within what {spec.name} reads, 1 to {most} tokens")


def _check_controls(spec: ModelSpec, controls: tuple[Control, ...]) -> None:
    if controls and not spec.takes_controlnets:
        raise UnsupportedInput(f"controls: {spec.name} takes no ControlNet")
    if len(controls) > MAX_CONTROLS:
        raise UnsupportedInput(f"controls: {len(controls)} are given; {spec.name} takes at most {MAX_CONTROLS}")
    for control in controls:
        if not 0 <= control.scale <= MAX_CONTROL_SCALE:
            raise UnsupportedInput(f"controls: scale is {control.scale}; it must be 0 to {MAX_CONTROL_SCALE}")
        if not 0 <= control.start < control.end <= 1:
            raise UnsupportedInput(
                f"controls: start {control.start} and end {control.end} must lie in order within 0 and 1"
            )


def _check_guiding(spec: ModelSpec, request: DrawRequest) -> None:
    request.guiding.check(request.num_steps)
    if request.guiding.pag_scale and not spec.takes_perturbation:
        raise UnsupportedInput(f"pag_scale: the attention of {spec.name} cannot be perturbed")


def _check_references(spec: ModelSpec, given: int) -> None:
    if given > spec.references.most:
        takes = f"at most {spec.references.most}" if spec.references.most else "none"
        raise UnsupportedInput(f"references: {given} are given; {spec.name} takes {takes}")


def _check_channels(spec: ModelSpec, inputs: PictureInputs) -> None:
    has_control = inputs.control is not None or inputs.control_source is not None
    if has_control != (spec.channels is Channels.CONTROL):
        raise UnsupportedInput(
            f"control: {spec.name} needs edges or depth to follow"
            if spec.channels is Channels.CONTROL
            else f"control: {spec.name} follows no edges or depth"
        )
    if spec.channels is Channels.MASKED_IMAGE and inputs.image is None:
        raise UnsupportedInput(f"image: {spec.name} needs a picture to fill")
    if spec.channels is Channels.CONTROL and inputs.image is not None:
        raise UnsupportedInput(f"image: {spec.name} draws along edges or depth and changes no picture")
