"""Names of samplers and schedules as people write them (A1111, Civitai, ComfyUI, Diffusers), and what they choose here.

A name may say both: "DPM++ 2M Karras". Case, spaces, dashes and underscores do not matter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic

from models.errors import UnsupportedSampler
from models.samplers.methods import GridT, Method, Methods
from models.samplers.sampler import Sampler

SAMPLER_NAMES: Mapping[str, tuple[str, ...]] = {
    "euler": ("Euler", "k_euler", "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler"),
    "euler_a": ("Euler a", "euler_ancestral", "k_euler_a", "EulerAncestralDiscreteScheduler"),
    "heun": ("Heun", "k_heun", "HeunDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"),
    "ddpm": ("DDPM", "DDPMScheduler"),
    "ddim": ("DDIM", "DDIMScheduler"),
    "plms": ("PLMS", "PNDM", "PNDMScheduler"),
    "lms": ("LMS", "k_lms", "LMSDiscreteScheduler"),
    "dpm2": ("DPM2", "dpm_2", "k_dpm_2", "KDPM2DiscreteScheduler"),
    "dpm2_a": ("DPM2 a", "dpm_2_ancestral", "k_dpm_2_a", "KDPM2AncestralDiscreteScheduler"),
    "dpmpp_2s_a": ("DPM++ 2S a", "dpmpp_2s_ancestral"),
    "dpmpp_2m": ("DPM++ 2M", "DPMSolverMultistepScheduler"),
    "dpmpp_2m_sde": ("DPM++ 2M SDE", "dpmpp_2m_sde_gpu"),
    "dpmpp_2m_sde_heun": ("DPM++ 2M SDE Heun", "dpmpp_2m_sde_heun_gpu"),
    "dpmpp_3m": ("DPM++ 3M",),
    "dpmpp_3m_sde": ("DPM++ 3M SDE", "dpmpp_3m_sde_gpu"),
    "dpmpp_sde": ("DPM++ SDE", "dpmpp_sde_gpu", "DPMSolverSDEScheduler"),
    "unipc": ("UniPC", "uni_pc", "uni_pc_bh2", "UniPCMultistepScheduler"),
    "deis": ("DEIS", "DEISMultistepScheduler"),
    "lcm": ("LCM", "LCMScheduler", "FlowMatchLCMScheduler"),
    "tcd": ("TCD", "TCDScheduler"),
}
"""Our names, and others' for the same; the first is the one that we show."""
SCHEDULE_NAMES: Mapping[str, tuple[str, ...]] = {
    "normal": ("Normal", "Uniform", "linspace"),
    "karras": ("Karras",),
    "exponential": ("Exponential",),
    "beta": ("Beta",),
    "kl_optimal": ("KL Optimal",),
    "sgm_uniform": ("SGM Uniform",),
    "simple": ("Simple",),
    "trailing": ("Trailing", "Turbo"),
    "ddim_uniform": ("DDIM Uniform", "leading"),
    "ays": ("Align Your Steps", "AYS"),
    "lcm": ("LCM steps",),
}
AUTOMATIC = "automatic"
"""A1111's name for a sampler's own schedule."""


@dataclass(frozen=True)
class Choice(Generic[GridT]):
    """A sampler and a schedule that fits it.

    Attributes:
        sampler: the sampler.
        schedule: name of the schedule, one of ours.
        grid: the schedule.
    """

    sampler: Sampler
    schedule: str
    grid: GridT


def choose(methods: Methods[GridT], sampler: str, schedule: str | None = None) -> Choice[GridT]:
    """Find what a request names.

    Args:
        methods: of the network.
        sampler: by any of its names, perhaps with a schedule behind it.
        schedule: by any of its names; None for the sampler's own.

    Raises:
        UnsupportedSampler: a name that is not known, or two that do not fit; says which do.
    """
    method, fused = method_named(methods, sampler)
    if method is None:
        raise UnsupportedSampler(f"sampler {sampler[:80]!r} is not one of this network's: {_listed(methods)}")
    asked = schedule_named(schedule)
    if fused and asked and fused != asked:
        raise UnsupportedSampler(f"sampler {sampler[:80]!r} names another schedule than {schedule!r}")
    return _chosen(method, asked or fused or method.default)


def method_named(methods: Methods[GridT], sampler: str) -> tuple[Method[GridT] | None, str | None]:
    """The method of a sampler by any of its names, and the schedule that stands behind the name; None where there is none."""
    name, fused = _parted(sampler)
    return methods.get(name or ""), fused


def schedule_named(name: str | None) -> str | None:
    """Our name of a schedule by any of its names; None for the sampler's own.

    Raises:
        UnsupportedSampler: it is not known.
    """
    if name is None or _plain(name) == AUTOMATIC:
        return None
    found = _SCHEDULES.get(_plain(name))
    if found is None:
        raise UnsupportedSampler(f"schedule {name[:80]!r} is not known; known are {_listed(SCHEDULE_NAMES)}")
    return found


def names_schedule(sampler: str) -> bool:
    """Whether the name of a sampler says a schedule too."""
    return _parted(sampler)[1] is not None


def _chosen(method: Method[GridT], schedule: str) -> Choice[GridT]:
    grid = method.schedules.get(schedule)
    if grid is None:
        fitting = _listed(method.schedules)
        raise UnsupportedSampler(f"schedule {schedule} does not fit sampler {method.sampler.name}; these do: {fitting}")
    return Choice(method.sampler, schedule, grid)


def _parted(name: str) -> tuple[str | None, str | None]:
    """The sampler and the schedule in a name."""
    plain = _plain(name)
    if plain in _SAMPLERS:
        return _SAMPLERS[plain], None
    parts = [
        (_SAMPLERS[plain.removesuffix(ending)], schedule)
        for ending, schedule in _SCHEDULES.items()
        if plain.endswith(ending) and plain.removesuffix(ending) in _SAMPLERS
    ]
    return parts[0] if parts else (None, None)


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold().replace("+", "p") if character.isalnum())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


_SAMPLERS = {_plain(other): name for name, others in SAMPLER_NAMES.items() for other in (name, *others)}
_SCHEDULES = {_plain(other): name for name, others in SCHEDULE_NAMES.items() for other in (name, *others)}
