"""Methods: which schedules fit which sampler, for diffusion and for flow matching.

A schedule of diffusion is a grid; one of flow matching is a function of the times that the network's own shift gives.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from torch import Tensor

from models.samplers import align_your_steps, curves, registry, spacing
from models.samplers.grids import End, Grid, Ratios, TrainingSteps
from models.samplers.sampler import Sampler
from models.samplers.schedule import Schedule, flow_schedule

FlowGrid = Callable[[Tensor], Schedule]
GridT = TypeVar("GridT")


@dataclass(frozen=True)
class Method(Generic[GridT]):
    """A sampler, and the schedules that it can walk.

    Attributes:
        sampler: the sampler.
        default: name of the schedule when nobody names one.
        schedules: by name.
        takes_timesteps: whether training steps can be listed for it.
    """

    sampler: Sampler
    default: str
    schedules: Mapping[str, GridT]
    takes_timesteps: bool = True

    @property
    def takes_sigmas(self) -> bool:
        """Whether it walks any levels of noise."""
        return "karras" in self.schedules


Methods = Mapping[str, Method[GridT]]
"""By the sampler's name."""

RATIOS: Mapping[str, Grid] = {
    "normal": Ratios(spacing.linspace),
    "karras": Ratios(spacing.linspace, curves.karras),
    "exponential": Ratios(spacing.linspace, curves.exponential),
    "beta": Ratios(spacing.linspace, curves.beta),
    "kl_optimal": Ratios(spacing.linspace, curves.kl_optimal),
    "sgm_uniform": Ratios(spacing.sgm_uniform),
    "simple": Ratios(spacing.simple),
    "trailing": Ratios(spacing.trailing),
    "ddim_uniform": Ratios(spacing.SD_LEADING, has_unit_noise=True),
}
"""For every sampler that takes any noise levels."""
STRIDES: Mapping[str, Grid] = {
    "ddim_uniform": TrainingSteps(spacing.SD_LEADING, End.LEAST_NOISE, has_fixed_stride=True),
    "trailing": TrainingSteps(spacing.trailing, has_fixed_stride=True),
}
"""Even strides over whole training steps."""
POSTERIOR: Mapping[str, Grid] = {
    "ddim_uniform": TrainingSteps(spacing.leading),
    "trailing": TrainingSteps(spacing.trailing),
}
"""Whole training steps, each to the next."""
DISTILLED: Mapping[str, Grid] = {"lcm": TrainingSteps(spacing.distilled)}
"""The steps of a consistency distillation."""
JUMPS: Mapping[str, Grid] = {
    "lcm": TrainingSteps(spacing.distilled, End.LEAST_NOISE),
    "trailing": TrainingSteps(spacing.trailing, End.LEAST_NOISE),
}
"""For TCD, which steps beside the schedule."""

FLOW_TIMES: Mapping[str, FlowGrid] = {
    "normal": flow_schedule,
    "karras": partial(flow_schedule, curve=curves.karras),
    "exponential": partial(flow_schedule, curve=curves.exponential),
    "beta": partial(flow_schedule, curve=curves.beta),
}
"""The network's own shifted times, or a curve between the first and the last of them."""

NORMAL = (registry.EULER, registry.EULER_ANCESTRAL, registry.HEUN, registry.LMS, registry.UNIPC, registry.DEIS)
KARRAS = (
    registry.DPM2,
    registry.DPM2_ANCESTRAL,
    registry.DPMPP_2S_ANCESTRAL,
    registry.DPMPP_2M,
    registry.DPMPP_2M_SDE,
    registry.DPMPP_2M_SDE_HEUN,
    registry.DPMPP_3M,
    registry.DPMPP_SDE,
)
EXPONENTIAL = (registry.DPMPP_3M_SDE,)
"""Samplers of diffusion that take any noise levels, by the schedule that A1111 gives them."""
FLOW = (
    registry.EULER,
    registry.EULER_ANCESTRAL,
    registry.HEUN,
    registry.LMS,
    registry.DPM2,
    registry.DPMPP_2S_ANCESTRAL,
    registry.DPMPP_2M,
    registry.DPMPP_2M_SDE,
    registry.DPMPP_2M_SDE_HEUN,
    registry.DPMPP_3M,
    registry.DPMPP_3M_SDE,
    registry.DPMPP_SDE,
    registry.UNIPC,
    registry.DEIS,
    registry.FLOW_LCM,
)
"""Samplers of flow matching."""


def _by_name(methods: Iterable[Method[GridT]]) -> Methods[GridT]:
    return {method.sampler.name: method for method in methods}


def diffusion_methods(align: Grid) -> Methods[Grid]:
    """The methods of a diffusion network.

    Args:
        align: Align Your Steps for it.
    """
    levels: Mapping[str, Grid] = {**RATIOS, "ays": align}
    return _by_name(
        [
            *(Method(sampler, "normal", levels) for sampler in NORMAL),
            *(Method(sampler, "karras", levels) for sampler in KARRAS),
            *(Method(sampler, "exponential", levels) for sampler in EXPONENTIAL),
            Method(registry.DDIM, "ddim_uniform", {**levels, **STRIDES}),
            Method(registry.DDPM, "ddim_uniform", {**levels, **POSTERIOR}),
            Method(registry.PLMS, "ddim_uniform", STRIDES, takes_timesteps=False),
            Method(registry.LCM, "lcm", {**levels, **DISTILLED}),
            Method(registry.TCD, "lcm", JUMPS),
        ]
    )


def from_pure_noise(methods: Methods[Grid]) -> Methods[Grid]:
    """Those of a network that was trained down to pure noise (zero terminal SNR): PLMS walks by the noise that is predicted alone,
    which says nothing of the picture there."""
    return {name: method for name, method in methods.items() if method.sampler is not registry.PLMS}


SD_METHODS: Methods[Grid] = diffusion_methods(align_your_steps.SD)
"""For Stable Diffusion 1.5."""
SDXL_METHODS: Methods[Grid] = diffusion_methods(align_your_steps.SDXL)
"""For SDXL."""
FLOW_METHODS: Methods[FlowGrid] = _by_name(
    Method(sampler, "normal", FLOW_TIMES, takes_timesteps=False) for sampler in FLOW
)
"""For FLUX."""
