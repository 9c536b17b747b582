"""scheduler_config.json of diffusion networks: the noise they were trained on, what they predict, how steps are laid over it, and the
sampler that walks them when a request names none."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from models.checkpoints.config import Config
from models.errors import UnsupportedSampler
from models.samplers.curves import Curve, beta, exponential, karras
from models.samplers.grids import End
from models.samplers.layout import Layout, SpacingName
from models.samplers.methods import SD_METHODS
from models.samplers.names import SAMPLER_NAMES
from models.samplers.noise_schedule import Betas, NoiseSchedule
from models.samplers.prediction import Prediction
from models.samplers.registry import DPMPP_2M, DPMPP_2M_SDE, DPMPP_3M, DPMPP_3M_SDE, EULER
from models.samplers.sampler import Sampler

PNDM, MULTISTEP = "PNDMScheduler", "DPMSolverMultistepScheduler"
MULTISTEPS: Mapping[tuple[int, bool], Sampler] = {
    (2, False): DPMPP_2M,
    (2, True): DPMPP_2M_SDE,
    (3, False): DPMPP_3M,
    (3, True): DPMPP_3M_SDE,
}
"""By the order, and whether noise is drawn on the way."""
SPACINGS: tuple[str, ...] = get_args(SpacingName)
SCHEDULERS: Mapping[str, str] = {
    "EulerDiscreteScheduler": "linspace",
    "EulerAncestralDiscreteScheduler": "linspace",
    "HeunDiscreteScheduler": "linspace",
    "LMSDiscreteScheduler": "linspace",
    "KDPM2DiscreteScheduler": "linspace",
    "KDPM2AncestralDiscreteScheduler": "linspace",
    MULTISTEP: "linspace",
    "DPMSolverSinglestepScheduler": "linspace",
    "DPMSolverSDEScheduler": "linspace",
    "UniPCMultistepScheduler": "linspace",
    "DEISMultistepScheduler": "linspace",
    PNDM: "leading",
    "DDIMScheduler": "leading",
    "DDPMScheduler": "leading",
    "LCMScheduler": "leading",
    "TCDScheduler": "leading",
}
"""Diffusers' classes, and the spacing that each has when its file names none."""
CURVES: Mapping[str, Curve] = {
    "use_karras_sigmas": karras,
    "use_exponential_sigmas": exponential,
    "use_beta_sigmas": beta,
}


def read_training(folder: Path) -> tuple[NoiseSchedule, Prediction]:
    """Read what the network was trained on and what it predicts; what the file leaves out has Diffusers' default.

    Raises:
        MalformedConfig: the file is broken.
        UnsupportedSampler: no diffusion's schedule, or one that cannot be.
    """
    config = _config(folder)
    betas, prediction = config.text("beta_schedule", "linear"), config.text("prediction_type", "epsilon")
    if betas not in tuple(Betas):
        raise config.refusal("beta_schedule", " or ".join(Betas))
    if prediction not in (Prediction.EPSILON, Prediction.V, Prediction.SAMPLE):
        raise config.refusal("prediction_type", "epsilon, v_prediction or sample")
    config.require("trained_betas", None)
    config.require("timestep_type", "discrete")
    training = NoiseSchedule(
        betas=Betas(betas),
        beta_start=config.number("beta_start", 0.0001),
        beta_end=config.number("beta_end", 0.02),
        num_train_steps=config.integer("num_train_timesteps", 1000),
        zero_terminal_snr=config.flag("rescale_betas_zero_snr", False),
    )
    if training.zero_terminal_snr and prediction == Prediction.EPSILON:
        raise UnsupportedSampler(
            f"{config.path}: a schedule that ends with pure noise (rescale_betas_zero_snr) needs a network that predicts v "
            "or the picture, not epsilon"
        )
    return training, Prediction(prediction)


def read_layout(folder: Path) -> Layout:
    """Read how the folder asks for steps to be laid.

    Raises:
        MalformedConfig: the file is broken, or names something unknown.
        UnsupportedSampler: no diffusion's schedule.
    """
    config = _config(folder)
    kind = config.text("_class_name")
    spacing = config.text("timestep_spacing", SCHEDULERS[kind])
    if spacing not in SPACINGS:
        raise config.refusal("timestep_spacing", " or ".join(SPACINGS))
    curves = [curve for field, curve in CURVES.items() if config.flag(field, False)]
    final = config.text("final_sigmas_type", End.CLEAN)
    if final not in tuple(End):
        raise config.refusal("final_sigmas_type", " or ".join(End))
    return Layout(
        spacing=cast(SpacingName, spacing),
        steps_offset=config.integer("steps_offset", 0, at_least=0),
        curve=curves[0] if curves else None,
        end=End(final),
        has_alpha_to_one=config.flag("set_alpha_to_one", kind != PNDM),
    )


def read_sampler(folder: Path) -> Sampler:
    """Read which sampler the folder asks for; Euler's method where it asks for one that is not known here.

    Raises:
        MalformedConfig: the file is broken.
        UnsupportedSampler: no diffusion's schedule.
    """
    config = _config(folder)
    kind = config.text("_class_name")
    if kind == MULTISTEP:
        is_stochastic = config.text("algorithm_type", "dpmsolver++").startswith("sde")
        return MULTISTEPS.get((config.integer("solver_order", 2), is_stochastic), EULER)
    name = next((name for name, others in SAMPLER_NAMES.items() if kind in others), EULER.name)
    return SD_METHODS[name].sampler


def _config(folder: Path) -> Config:
    config = Config(folder / "scheduler_config.json")
    if (name := config.text("_class_name", "")) not in SCHEDULERS:
        raise UnsupportedSampler(f"{config.path} names {name!r}; known for diffusion are {', '.join(SCHEDULERS)}")
    return config
