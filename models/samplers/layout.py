"""Layout: how a folder asks for a run's steps to be laid, and what each sampler makes of it.

Diffusers' schedulers read the same few fields of scheduler_config.json, each family in its own way. A request that names a sampler
and no schedule gets what that scheduler makes of the folder's own file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from models.samplers import spacing
from models.samplers.curves import Curve, karras
from models.samplers.grids import End, Grid, Ratios, TrainingSteps
from models.samplers.sampler import Sampler
from models.samplers.spacing import Spacing

SpacingName = Literal["linspace", "leading", "trailing"]


@dataclass(frozen=True)
class Layout:
    """Fields of scheduler_config.json.

    Attributes:
        spacing: which training steps are visited.
        steps_offset: added to each of a leading spacing.
        curve: levels between the ends instead.
        end: where samplers over ratios end.
        has_alpha_to_one: whether DDIM and PNDM end at the picture, not at the first training step (`set_alpha_to_one`).
    """

    spacing: SpacingName = "leading"
    steps_offset: int = 0
    curve: Curve | None = None
    end: End = End.CLEAN
    has_alpha_to_one: bool = True

    def grid(self, sampler: Sampler) -> Grid:
        """The grid that Diffusers' scheduler of this sampler makes of the layout."""
        return _GRIDS[sampler.name](self)


def _of_lines(layout: Layout, told: Callable[[float], float] = float) -> Grid:
    """k-diffusion's samplers: both ends of training are visited, and a curve runs between the visited ends."""
    spacings = _spacings(layout, spacing.linspace, spacing.leading)
    is_leading = layout.spacing == "leading"
    return Ratios(
        spacings[layout.spacing],
        layout.curve,
        spans_training=False,
        told=told,
        has_unit_noise=is_leading,
        end=layout.end,
    )


def _without_curve(layout: Layout) -> Grid:
    return _of_lines(Layout(layout.spacing, layout.steps_offset, end=End.CLEAN))


def _to_the_picture(layout: Layout) -> Grid:
    return _of_lines(Layout(layout.spacing, layout.steps_offset, layout.curve))


def _rounded(layout: Layout) -> Grid:
    told = round if layout.curve is karras else float
    return _of_lines(Layout(layout.spacing, layout.steps_offset, layout.curve), told)


def _of_solvers(layout: Layout) -> Grid:
    """DPM-Solver and its kin: the picture is the last of the visited steps, a curve runs over all noise, times are whole."""
    spacings = _spacings(layout, spacing.open_linspace, spacing.open_leading)
    told = round if layout.curve is karras else int
    return Ratios(spacings[layout.spacing], layout.curve, told=told, has_unit_noise=True, end=layout.end)


def _to_least_noise(layout: Layout) -> Grid:
    return _of_solvers(Layout(layout.spacing, layout.steps_offset, layout.curve, End.LEAST_NOISE))


def _of_strides(layout: Layout) -> Grid:
    spacings = _spacings(layout, spacing.whole_linspace, spacing.leading)
    end = End.CLEAN if layout.has_alpha_to_one else End.LEAST_NOISE
    return TrainingSteps(spacings[layout.spacing], end, has_fixed_stride=True)


def _of_posterior(layout: Layout) -> Grid:
    return TrainingSteps(_spacings(layout, spacing.whole_linspace, spacing.leading)[layout.spacing])


def _distilled(end: End, layout: Layout) -> Grid:
    return TrainingSteps(spacing.distilled, end)


def _spacings(
    layout: Layout, linspace: Spacing, leading: Callable[..., spacing.Times]
) -> Mapping[SpacingName, Spacing]:
    return {
        "linspace": linspace,
        "leading": partial(leading, offset=layout.steps_offset),
        "trailing": spacing.trailing,
    }


_GRIDS: Mapping[str, Callable[[Layout], Grid]] = {
    "euler": _of_lines,
    "euler_a": _without_curve,
    "heun": _to_the_picture,
    "lms": _to_the_picture,
    "dpm2": _rounded,
    "dpm2_a": _rounded,
    "dpmpp_2s_a": _to_the_picture,
    "dpmpp_sde": _to_the_picture,
    "dpmpp_2m": _of_solvers,
    "dpmpp_2m_sde": _of_solvers,
    "dpmpp_2m_sde_heun": _of_solvers,
    "dpmpp_3m": _of_solvers,
    "dpmpp_3m_sde": _of_solvers,
    "unipc": _of_solvers,
    "deis": _to_least_noise,
    "ddim": _of_strides,
    "plms": _of_strides,
    "ddpm": _of_posterior,
    "lcm": partial(_distilled, End.CLEAN),
    "tcd": partial(_distilled, End.LEAST_NOISE),
}
