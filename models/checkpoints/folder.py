"""A pipeline's folder in Diffusers' layout: which network it holds, its schedule, and its defaults (generation.json)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from models.checkpoints.config import Config
from models.errors import MissingComponent, UnsupportedSampler
from models.samplers.schedules import FlowSchedule
from models.specs import GenerationDefaults, ModelSpec, klein_spec, spec_named

INDEX, GENERATION = "model_index.json", "generation.json"
PIPELINE, SCHEDULER = "Flux2KleinPipeline", "FlowMatchEulerDiscreteScheduler"
COMPONENTS = {
    "transformer": ("Flux2Transformer2DModel",),
    "vae": ("AutoencoderKLFlux2",),
    "text_encoder": ("Qwen3ForCausalLM",),
    "tokenizer": ("Qwen2TokenizerFast", "Qwen2Tokenizer"),
    "scheduler": (SCHEDULER,),
}
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
    schedule: FlowSchedule
    defaults: GenerationDefaults


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
    return Folder(path, spec, read_schedule(path / "scheduler"), _defaults(path, spec))


def _spec(path: Path) -> ModelSpec:
    index = Config(path / INDEX)
    index.require("_class_name", PIPELINE)
    if index.text("_class_name", "") != PIPELINE:
        raise index.refusal("_class_name", PIPELINE)
    for component, classes in COMPONENTS.items():
        _check_component(index, component, classes)
    is_distilled = index.flag("is_distilled", False)
    index.finish()
    named = spec_named(path.resolve().name)
    if named is None:
        return klein_spec(path.resolve().name, None, "unknown", is_distilled=is_distilled)
    if named.is_distilled != is_distilled:
        raise index.refusal("is_distilled", f"{str(named.is_distilled).lower()}, which {named.name} is")
    return named


def _check_component(index: Config, component: str, classes: tuple[str, ...]) -> None:
    if not index.has(component):
        raise MissingComponent(f"{index.path} names no {component}")
    if index.texts(component)[-1:] not in {(name,) for name in classes}:
        raise index.refusal(component, " or ".join(classes))
    if not (index.path.parent / component).is_dir():
        raise MissingComponent(f"{index.path.parent} has no {component} folder")


def read_schedule(folder: Path) -> FlowSchedule:
    """Read scheduler_config.json; what it leaves out has Diffusers' default."""
    config = Config(folder / "scheduler_config.json")
    if (name := config.text("_class_name", "")) != SCHEDULER:
        raise UnsupportedSampler(f"{config.path} names {name!r}; the sampler that is known here is {SCHEDULER}")
    for field in UNSUPPORTED_SCHEDULES:
        if config.flag(field, False):
            raise UnsupportedSampler(f"{config.path}: {field} is true; no sampler here does that")
    config.require("num_train_timesteps", 1000)
    config.require("time_shift_type", "exponential", "linear")
    # With dynamic shifting the pipeline's own formula gives the shift, so Diffusers reads none of these for FLUX.2.
    config.ignore("base_shift", "max_shift", "base_image_seq_len", "max_image_seq_len")
    schedule = FlowSchedule(
        shift=config.number("shift", 1.0),
        use_dynamic_shifting=config.flag("use_dynamic_shifting", False),
        time_shift_type=cast(Literal["exponential", "linear"], config.text("time_shift_type", "exponential")),
        shift_terminal=config.number("shift_terminal") if config.has("shift_terminal") else None,
    )
    config.ignore("shift_terminal")
    config.finish()
    return schedule


def _defaults(path: Path, spec: ModelSpec) -> GenerationDefaults:
    if not (path / GENERATION).exists():
        return spec.defaults
    config, default = Config(path / GENERATION), spec.defaults
    dtype = config.text("dtype", default.dtype)
    if dtype not in ("float32", "bfloat16"):
        raise config.refusal("dtype", "float32 or bfloat16")
    defaults = GenerationDefaults(
        max_sequence_length=config.integer("max_sequence_length", default.max_sequence_length),
        text_encoder_out_layers=config.integers("text_encoder_out_layers", default.text_encoder_out_layers),
        num_inference_steps=config.integer("num_inference_steps", default.num_inference_steps),
        guidance_scale=config.number("guidance_scale", default.guidance_scale),
        dtype=dtype,
        width=config.integer("width", default.width),
        height=config.integer("height", default.height),
    )
    config.finish()
    return defaults
