"""scheduler_config.json of diffusion networks: the noise they were trained on, what they predict, and how steps are laid over it.

Which sampler walks the steps is no property of a network: any of Diffusers' classes is read for what it says of the network.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from models.checkpoints.config import Config
from models.errors import UnsupportedSampler
from models.samplers.curves import Curve, beta, exponential, karras
from models.samplers.grids import End, Ratios
from models.samplers.noise_schedule import Betas, NoiseSchedule
from models.samplers.prediction import Prediction
from models.samplers.spacing import leading, linspace, trailing

PNDM = "PNDMScheduler"
SCHEDULERS: Mapping[str, str] = {
    "EulerDiscreteScheduler": "linspace",
    "EulerAncestralDiscreteScheduler": "linspace",
    "HeunDiscreteScheduler": "linspace",
    "LMSDiscreteScheduler": "linspace",
    "KDPM2DiscreteScheduler": "linspace",
    "KDPM2AncestralDiscreteScheduler": "linspace",
    "DPMSolverMultistepScheduler": "linspace",
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


def read_grid(folder: Path) -> Ratios:
    """Read how the folder's own sampler lays its steps, for Euler's method.

    Raises:
        MalformedConfig: the file is broken, or names something unknown.
        UnsupportedSampler: no diffusion's schedule.
    """
    config = _config(folder)
    offset = config.integer("steps_offset", 0, at_least=0)
    spacings = {"linspace": linspace, "leading": partial(leading, offset=offset), "trailing": trailing}
    name = config.text("timestep_spacing", SCHEDULERS[config.text("_class_name")])
    if name not in spacings:
        raise config.refusal("timestep_spacing", " or ".join(spacings))
    curves = [curve for field, curve in CURVES.items() if config.flag(field, False)]
    final = config.text("final_sigmas_type", End.CLEAN)
    if final not in tuple(End):
        raise config.refusal("final_sigmas_type", " or ".join(End))
    return Ratios(
        spacings[name],
        curve=curves[0] if curves else None,
        spans_training=False,
        has_unit_noise=name == "leading",
        end=End(final),
    )


def _config(folder: Path) -> Config:
    config = Config(folder / "scheduler_config.json")
    if (name := config.text("_class_name", "")) not in SCHEDULERS:
        raise UnsupportedSampler(f"{config.path} names {name!r}; known for diffusion are {', '.join(SCHEDULERS)}")
    return config
