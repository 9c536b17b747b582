"""Samplers and schedules by name: which of them fit a network, and what a request may say beside them.

The network's process has the formulas, and reads the same names (models.samplers); the gateway may not import it, and refuses what does
not fit before anything is charged. A test holds both to be the same, pair by pair.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Trajectory = Literal["flow", "diffusion", "diffusion_from_pure_noise"]
"""How a network was trained: flow matching (FLUX), diffusion (Stable Diffusion), or diffusion down to pure noise (zero terminal SNR)."""

SCHEDULES: Mapping[str, tuple[str, ...]] = {
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
"""Our names, and others' for the same."""
AUTOMATIC = "automatic"
"""A1111's name for a sampler's own schedule."""
MOST_STEPS: Mapping[str, int] = {"lcm": 50}
"""Of schedules that have only so many."""

_LEVELS = tuple(name for name in SCHEDULES if name != "lcm")
_STRIDES = ("ddim_uniform", "trailing")
_FLOW = ("normal", "karras", "exponential", "beta")


@dataclass(frozen=True)
class SamplerRow:
    """What is known of a sampler without its formulas.

    Attributes:
        names: others' for the same.
        diffusion: schedules that it walks for a diffusion.
        flow: schedules that it walks for flow matching.
        per_step: evaluations of the network that a step takes, the last one fewer where there are several.
        has_eta: whether the share of fresh noise is the caller's.
        takes_timesteps: whether training steps may be listed for it.
        from_pure_noise: whether it begins where there is nothing but noise.
        own_schedule: the schedule that it has when none is named, as far as that limits its steps.
    """

    names: tuple[str, ...]
    diffusion: tuple[str, ...] = _LEVELS
    flow: tuple[str, ...] = _FLOW
    per_step: int = 1
    has_eta: bool = False
    takes_timesteps: bool = True
    from_pure_noise: bool = True
    own_schedule: str | None = None

    def schedules(self, trajectory: Trajectory) -> tuple[str, ...]:
        """Those that it walks for such a network; none where it does not fit."""
        if trajectory == "flow":
            return self.flow
        return self.diffusion if self.from_pure_noise or trajectory == "diffusion" else ()

    def takes(self, field: str, trajectory: Trajectory) -> bool:
        """Whether it reads `eta`, `sigmas` or `timesteps` for such a network."""
        return {
            "eta": self.has_eta,
            "sigmas": "karras" in self.schedules(trajectory),
            "timesteps": self.takes_timesteps and trajectory != "flow",
        }[field] and bool(self.schedules(trajectory))


SAMPLERS: Mapping[str, SamplerRow] = {
    "euler": SamplerRow(("Euler", "k_euler", "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler")),
    "euler_a": SamplerRow(("Euler a", "euler_ancestral", "k_euler_a", "EulerAncestralDiscreteScheduler"), has_eta=True),
    "heun": SamplerRow(("Heun", "k_heun", "HeunDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"), per_step=2),
    "ddpm": SamplerRow(("DDPM", "DDPMScheduler"), flow=(), has_eta=True),
    "ddim": SamplerRow(("DDIM", "DDIMScheduler"), flow=(), has_eta=True),
    "plms": SamplerRow(
        ("PLMS", "PNDM", "PNDMScheduler"), _STRIDES, flow=(), takes_timesteps=False, from_pure_noise=False
    ),
    "lms": SamplerRow(("LMS", "k_lms", "LMSDiscreteScheduler")),
    "dpm2": SamplerRow(("DPM2", "dpm_2", "k_dpm_2", "KDPM2DiscreteScheduler"), per_step=2),
    "dpm2_a": SamplerRow(
        ("DPM2 a", "dpm_2_ancestral", "k_dpm_2_a", "KDPM2AncestralDiscreteScheduler"), flow=(), per_step=2, has_eta=True
    ),
    "dpmpp_2s_a": SamplerRow(("DPM++ 2S a", "dpmpp_2s_ancestral"), per_step=2, has_eta=True),
    "dpmpp_2m": SamplerRow(("DPM++ 2M", "DPMSolverMultistepScheduler")),
    "dpmpp_2m_sde": SamplerRow(("DPM++ 2M SDE", "dpmpp_2m_sde_gpu"), has_eta=True),
    "dpmpp_2m_sde_heun": SamplerRow(("DPM++ 2M SDE Heun", "dpmpp_2m_sde_heun_gpu"), has_eta=True),
    "dpmpp_3m": SamplerRow(("DPM++ 3M",)),
    "dpmpp_3m_sde": SamplerRow(("DPM++ 3M SDE", "dpmpp_3m_sde_gpu"), has_eta=True),
    "dpmpp_sde": SamplerRow(("DPM++ SDE", "dpmpp_sde_gpu", "DPMSolverSDEScheduler"), per_step=2, has_eta=True),
    "unipc": SamplerRow(("UniPC", "uni_pc", "uni_pc_bh2", "UniPCMultistepScheduler")),
    "deis": SamplerRow(("DEIS", "DEISMultistepScheduler")),
    "lcm": SamplerRow(("LCM", "LCMScheduler", "FlowMatchLCMScheduler"), (*_LEVELS, "lcm"), own_schedule="lcm"),
    "tcd": SamplerRow(("TCD", "TCDScheduler"), ("lcm", "trailing"), flow=(), has_eta=True, own_schedule="lcm"),
}
"""By our names."""
ALONE = "euler"
"""Walks a schedule or a list that comes without a sampler, where the network's own does not."""


def fitting(trajectory: Trajectory, field: str | None = None) -> tuple[str, ...]:
    """Samplers of such a network; those that read `field` where one is given."""
    rows = ((name, row) for name, row in SAMPLERS.items() if row.schedules(trajectory))
    return tuple(name for name, row in rows if field is None or row.takes(field, trajectory))


def parted(name: str) -> tuple[str | None, str | None]:
    """Our names of the sampler, and of the schedule that may stand behind it; None for what is not known, or is not there."""
    plain = plain_name(name)
    if plain in _SAMPLERS:
        return _SAMPLERS[plain], None
    for ending, schedule in _SCHEDULES.items():
        if plain.endswith(ending) and plain.removesuffix(ending) in _SAMPLERS:
            return _SAMPLERS[plain.removesuffix(ending)], schedule
    return None, None


def schedule_named(name: str) -> str | None:
    """Our name of a schedule, or AUTOMATIC; None where it is not known."""
    plain = plain_name(name)
    return AUTOMATIC if plain == AUTOMATIC else _SCHEDULES.get(plain)


def plain_name(name: str) -> str:
    """What remains of a name where case, spaces, dashes and underscores do not matter."""
    return "".join(character for character in name.casefold().replace("+", "p") if character.isalnum())


def evaluations(sampler: str | None, steps: int) -> int:
    """Looks of the network that a run takes by a sampler of ours; the network's own is taken to have one a step."""
    row = SAMPLERS.get(sampler or "")
    per_step = 1 if row is None else row.per_step
    return per_step * steps - (per_step - 1)


def _by_plain(names: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, str]:
    return {plain_name(other): name for name, others in names for other in (name, *others)}


_SAMPLERS = _by_plain((name, row.names) for name, row in SAMPLERS.items())
_SCHEDULES = _by_plain(SCHEDULES.items())
