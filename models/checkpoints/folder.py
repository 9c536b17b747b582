"""A pipeline's folder in Diffusers' layout: which network it holds, its schedule, and its defaults (generation.json)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

from models.checkpoints.config import Config, read_object
from models.checkpoints.diffusion_scheduler import read_layout, read_sampler, read_training
from models.checkpoints.layouts import LAYOUTS, REDUX_COMPONENTS, SCHEDULER, Layout
from models.checkpoints.provenance import PROVENANCE
from models.errors import MissingComponent, UnsupportedSampler
from models.samplers.grids import Grid
from models.samplers.methods import SD_METHODS, SDXL_METHODS, Methods, from_pure_noise
from models.samplers.schedules import FlowSchedule, LinearMu, empirical_mu
from models.samplers.trajectories import DiffusionTrajectory, FlowTrajectory, Trajectory
from models.specs import GenerationDefaults, ModelSpec, spec_named

INDEX, GENERATION = "model_index.json", "generation.json"
REDUX_PIPELINE = "FluxPriorReduxPipeline"
UNSUPPORTED_SCHEDULES = (
    "invert_sigmas",
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "stochastic_sampling",
)


@dataclass(frozen=True)
class Folder:
    """What the small files of a pipeline's folder say."""

    path: Path
    spec: ModelSpec
    trajectory: Trajectory
    defaults: GenerationDefaults


def is_image_prompter(path: Path) -> bool:
    """Whether a folder holds a network that turns pictures into prompts and draws nothing itself."""
    return Config(path / INDEX).text("_class_name", "") == REDUX_PIPELINE


def check_image_prompter(path: Path) -> None:
    """Check the small files of such a folder.

    Raises:
        MissingComponent: a file or subfolder is not there.
        MalformedConfig: a file is broken, or names a class that is not known here.
    """
    index = Config(path / INDEX)
    index.require("_class_name", REDUX_PIPELINE)
    for component, classes in REDUX_COMPONENTS.items():
        check_component(index, component, classes)


def read_folder(path: Path) -> Folder:
    """Read and check everything but the weights.

    Raises:
        MissingComponent: a file or subfolder is not there.
        MalformedConfig: a file is broken, or names a class that is not known here.
        UnsupportedSampler: the scheduler is one that no sampler here implements.
    """
    if not path.is_dir():
        raise MissingComponent(f"{path} is no folder")
    spec = _spec(path)
    trajectory = _TRAJECTORIES[spec.text.encoder](path / "scheduler")
    return Folder(path, spec, trajectory, _defaults(path, spec))


def _spec(path: Path) -> ModelSpec:
    index = Config(path / INDEX)
    layout = _layout(index)
    for component, classes in layout.components.items():
        if not (component in layout.optional and is_left_out(index, component)):
            check_component(index, component, classes)
    says_distilled = index.flag("is_distilled") if index.has("is_distilled") else None
    zeroes_negative = index.flag("force_zeros_for_empty_prompt") if index.has("force_zeros_for_empty_prompt") else None
    index.ignore("_class_name", "is_distilled", "requires_aesthetics_score", *layout.ignored)
    index.finish()
    name, like = path.resolve().name, _like(path)
    named = spec_named(name if like is None else like)
    if named is None:
        return _told(layout.unnamed(name, _is_distilled(path, says_distilled)), zeroes_negative)
    if index.text("_class_name") not in named.pipelines:
        raise index.refusal("_class_name", f"{named.pipelines[0]}, which {named.name} is")
    if says_distilled is not None and named.is_distilled != says_distilled:
        raise index.refusal("is_distilled", f"{str(named.is_distilled).lower()}, which {named.name} is")
    return _told(replace(named, name=name), zeroes_negative)


def _told(spec: ModelSpec, zeroes_negative: bool | None) -> ModelSpec:
    """The spec with what the index says of negative prompts."""
    if zeroes_negative is None:
        return spec
    return replace(spec, text=replace(spec.text, zeroes_missing_negative=zeroes_negative))


def _layout(index: Config) -> Layout:
    layout = LAYOUTS.get(index.text("_class_name", ""))
    if layout is None:
        raise index.refusal("_class_name", f"one of {', '.join(LAYOUTS)}")
    return layout


def _like(path: Path) -> str | None:
    """The network whose rules an operator's own weights follow, as the import wrote it down."""
    if not (path / PROVENANCE).exists():
        return None
    like = read_object(path / PROVENANCE).get("like")
    return like if isinstance(like, str) else None


def _is_distilled(path: Path, says_distilled: bool | None) -> bool:
    """What the index says, else whether the transformer of a FLUX.1 has no input for guidance."""
    if says_distilled is not None:
        return says_distilled
    if not (path / "transformer").is_dir():
        return False
    config = Config(path / "transformer" / "config.json")
    is_flux1 = config.text("_class_name", "") == "FluxTransformer2DModel"
    return is_flux1 and not config.flag("guidance_embeds", False)


def is_left_out(index: Config, component: str) -> bool:
    """Whether an index says that a component is not there."""
    return not index.has(component) or index.is_null_pair(component)


def check_component(index: Config, component: str, classes: tuple[str, ...]) -> None:
    """Check that an index names a component as one of these classes, and that its subfolder is there.

    Raises:
        MissingComponent, MalformedConfig: it does not, or it is not.
    """
    if not index.has(component):
        raise MissingComponent(f"{index.path} names no {component}")
    if index.texts(component)[-1:] not in {(name,) for name in classes}:
        raise index.refusal(component, " or ".join(classes))
    if not (index.path.parent / component).is_dir():
        raise MissingComponent(f"{index.path.parent} has no {component} folder")


def read_schedule(folder: Path, *, is_flux1: bool = False) -> FlowSchedule:
    """Read scheduler_config.json; what it leaves out has Diffusers' default.

    Args:
        folder: with that file.
        is_flux1: whether a dynamic shift follows FLUX.1's line, with this file's numbers, and not FLUX.2's formula.
    """
    config = Config(folder / "scheduler_config.json")
    if (name := config.text("_class_name", "")) != SCHEDULER:
        raise UnsupportedSampler(f"{config.path} names {name!r}; the sampler that is known here is {SCHEDULER}")
    for field in UNSUPPORTED_SCHEDULES:
        if config.flag(field, False):
            raise UnsupportedSampler(f"{config.path}: {field} is true; no sampler here does that")
    config.require("num_train_timesteps", 1000)
    config.require("time_shift_type", "exponential", "linear")
    schedule = FlowSchedule(
        shift=config.number("shift", 1.0),
        use_dynamic_shifting=config.flag("use_dynamic_shifting", False),
        mu=_line(config) if is_flux1 else empirical_mu,
        time_shift_type=cast(Literal["exponential", "linear"], config.text("time_shift_type", "exponential")),
        shift_terminal=config.number("shift_terminal") if config.has("shift_terminal") else None,
    )
    # FLUX.2's pipelines bring their own formula, so Diffusers reads none of the line's numbers for them.
    config.ignore("shift_terminal", "base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")
    config.finish()
    return schedule


def _diffusion(methods: Methods[Grid], folder: Path) -> DiffusionTrajectory:
    training, prediction = read_training(folder)
    fitting = from_pure_noise(methods) if training.zero_terminal_snr else methods
    return DiffusionTrajectory(training, read_layout(folder), prediction, fitting, read_sampler(folder))


HALF_ENCODERS = ("clip", "clip_clip")
"""Architectures of text encoders whose denoisers stay within float16; activations of FLUX's transformers pass 65,504."""
_TRAJECTORIES: Mapping[str, Callable[[Path], Trajectory]] = {
    "clip_t5": lambda folder: FlowTrajectory(read_schedule(folder, is_flux1=True)),
    "qwen3": lambda folder: FlowTrajectory(read_schedule(folder)),
    "mistral3": lambda folder: FlowTrajectory(read_schedule(folder)),
    "clip": partial(_diffusion, SD_METHODS),
    "clip_clip": partial(_diffusion, SDXL_METHODS),
}
"""By the architecture of the text encoder."""


def _line(config: Config) -> LinearMu:
    default = LinearMu()
    return LinearMu(
        base_tokens=config.integer("base_image_seq_len", default.base_tokens),
        max_tokens=config.integer("max_image_seq_len", default.max_tokens),
        base_shift=config.number("base_shift", default.base_shift),
        max_shift=config.number("max_shift", default.max_shift),
    )


def _defaults(path: Path, spec: ModelSpec) -> GenerationDefaults:
    if not (path / GENERATION).exists():
        return spec.defaults
    config, default = Config(path / GENERATION), spec.defaults
    dtype = config.text("dtype", default.dtype)
    if dtype not in ("float32", "bfloat16") and not (dtype == "float16" and spec.text.encoder in HALF_ENCODERS):
        raise config.refusal("dtype", "float32 or bfloat16; float16 for Stable Diffusion and SDXL")
    strength = config.number("strength", default.strength)
    if not 0 < strength <= 1:
        raise config.refusal("strength", "above 0 and at most 1")
    defaults = GenerationDefaults(
        max_sequence_length=config.integer("max_sequence_length", default.max_sequence_length),
        text_encoder_out_layers=config.integers("text_encoder_out_layers", default.text_encoder_out_layers)
        if default.text_encoder_out_layers
        else (),
        num_inference_steps=config.integer("num_inference_steps", default.num_inference_steps),
        guidance_scale=config.number("guidance_scale", default.guidance_scale),
        strength=strength,
        dtype=dtype,
        width=config.integer("width", default.width),
        height=config.integer("height", default.height),
    )
    config.finish()
    return defaults
