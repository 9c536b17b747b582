"""The samplers, by our names."""

from models.samplers.first_order import first_order
from models.samplers.sampler import Sampler

EULER = Sampler("euler", first_order)
EULER_ANCESTRAL = Sampler("euler_a", first_order, eta=1.0)
DDIM = Sampler("ddim", first_order, eta=0.0)
DDPM = Sampler("ddpm", first_order, eta=1.0)

SAMPLERS: tuple[Sampler, ...] = (EULER, EULER_ANCESTRAL, DDIM, DDPM)
