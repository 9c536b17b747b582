"""Schedules of the published networks, for folders that are put together from files which hold none."""

from models.specs import ModelSpec

_LINE: dict[str, object] = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 4096,
    "max_shift": 1.15,
    "num_train_timesteps": 1000,
}
DYNAMIC = _LINE | {"shift": 3.0, "use_dynamic_shifting": True}
"""FLUX.1 [dev] and its siblings shift by this line; FLUX.2's pipelines bring a formula of their own and read none of its numbers."""
STATIC = _LINE | {"shift": 1.0, "use_dynamic_shifting": False}
"""FLUX.1 [schnell]: times are not shifted."""


DIFFUSION: dict[str, object] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
"""Stable Diffusion's and SDXL's training noise, with the sampler that SDXL was published with."""


def published_schedule(spec: ModelSpec) -> dict[str, object]:
    """The scheduler_config.json that the network was published with."""
    if spec.text.encoder in ("clip", "clip_clip"):
        return DIFFUSION
    is_static = spec.text.encoder == "clip_t5" and spec.is_distilled
    return STATIC if is_static else DYNAMIC
