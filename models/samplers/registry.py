"""The samplers, by our names."""

from functools import partial

from models.samplers.adams import lms, plms
from models.samplers.consistency import jumps, lcm, tcd
from models.samplers.deis import deis
from models.samplers.dpm2 import dpm2, dpm2_ancestral
from models.samplers.dpmpp import multistep, second_phi
from models.samplers.dpmpp_single import stochastic, two_step_ancestral
from models.samplers.first_order import first_order
from models.samplers.heun import heun
from models.samplers.sampler import Sampler
from models.samplers.unipc import unipc

EULER = Sampler("euler", first_order)
EULER_ANCESTRAL = Sampler("euler_a", first_order, eta=1.0)
HEUN = Sampler("heun", heun, order=2, per_step=2)
DDPM = Sampler("ddpm", first_order, eta=1.0)
DDIM = Sampler("ddim", first_order, eta=0.0)
PLMS = Sampler("plms", plms, order=2)
"""It averages four noises, and is of order 2: the step that they are put into is not linear in time."""
LMS = Sampler("lms", lms, order=4)
DPM2 = Sampler("dpm2", dpm2, order=2, per_step=2)
DPM2_ANCESTRAL = Sampler("dpm2_a", dpm2_ancestral, order=2, per_step=2, eta=1.0)
DPMPP_2S_ANCESTRAL = Sampler("dpmpp_2s_a", two_step_ancestral, order=2, per_step=2, eta=1.0)
DPMPP_2M = Sampler("dpmpp_2m", multistep, order=2)
DPMPP_2M_SDE = Sampler("dpmpp_2m_sde", multistep, order=2, eta=1.0, draws_float32=True)
DPMPP_2M_SDE_HEUN = Sampler(
    "dpmpp_2m_sde_heun", partial(multistep, second=second_phi), order=2, eta=1.0, draws_float32=True
)
DPMPP_3M = Sampler("dpmpp_3m", partial(multistep, order=3), order=2)
DPMPP_3M_SDE = Sampler(
    "dpmpp_3m_sde", partial(multistep, order=3, second=second_phi), order=2, eta=1.0, draws_float32=True
)
"""As published they see three pictures and are of order 2 all the same: models.samplers.dpmpp.third_phi says why."""
DPMPP_SDE = Sampler("dpmpp_sde", stochastic, order=2, per_step=2, eta=1.0, draws_float32=True)
UNIPC = Sampler("unipc", unipc, order=3)
DEIS = Sampler("deis", deis, order=2)
LCM = Sampler("lcm", lcm)
FLOW_LCM = Sampler("lcm", jumps)
TCD = Sampler("tcd", tcd, eta=0.3)

SAMPLERS = (
    EULER,
    EULER_ANCESTRAL,
    HEUN,
    DDPM,
    DDIM,
    PLMS,
    LMS,
    DPM2,
    DPM2_ANCESTRAL,
    DPMPP_2S_ANCESTRAL,
    DPMPP_2M,
    DPMPP_2M_SDE,
    DPMPP_2M_SDE_HEUN,
    DPMPP_3M,
    DPMPP_3M_SDE,
    DPMPP_SDE,
    UNIPC,
    DEIS,
    LCM,
    FLOW_LCM,
    TCD,
)
"""All of them; two are called lcm, one for diffusion and one for flow matching."""
