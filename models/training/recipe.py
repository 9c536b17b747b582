"""The sizes of flux-nano and how long which part of it is trained, as values."""

from dataclasses import dataclass

from models.flow.flux2 import Flux2Params
from models.vae.autoencoder_flux2 import AutoencoderFlux2Params

SIDE = 128
NUM_TOKENS = 12
OUT_LAYERS = (1, 2)
TEXT_SIZE = 128
VOCABULARY_SIZE = 800

# One group a norm: more of them take the mean off so few channels that a background's colour hardly survives.
AUTOENCODER = AutoencoderFlux2Params(
    block_channels=(8, 16, 32, 64), layers_per_block=1, z_channels=8, norm_num_groups=1
)
TRANSFORMER = Flux2Params(
    in_channels=AUTOENCODER.latent_channels,
    context_in_dim=len(OUT_LAYERS) * TEXT_SIZE,
    hidden_size=192,
    num_heads=6,
    depth=2,
    depth_single_blocks=3,
    axes_dim=(4, 12, 12, 4),
    theta=100,
    mlp_ratio=2.0,
    guidance_embed=False,
)


@dataclass(frozen=True)
class Run:
    """One network's training.

    Attributes:
        minutes: how long, unless the command says otherwise; the learning rate falls over this time.
        batch_size: pictures a step.
        matrix_rate: peak learning rate of the matrices inside a transformer's blocks (Muon).
        other_rate: peak learning rate of everything else (AdamW).
        ema_decay: of the averaged weights, which are the ones that are kept.
        warmup_steps: over which the rates rise.
        hold: share of the run after which the rates begin to fall.
        seed: of everything that is drawn.
    """

    minutes: float
    batch_size: int
    matrix_rate: float
    other_rate: float
    ema_decay: float
    warmup_steps: int
    hold: float
    seed: int


AUTOENCODER_RUN = Run(
    minutes=26, batch_size=4, matrix_rate=0.0, other_rate=2e-4, ema_decay=0.99, warmup_steps=30, hold=0.5, seed=1
)
TRANSFORMER_RUN = Run(
    minutes=40, batch_size=32, matrix_rate=3e-3, other_rate=2e-3, ema_decay=0.995, warmup_steps=30, hold=0.4, seed=2
)
DROP_CAPTION = 0.1

# Sampling, as generation.json and the scheduler's config say it; training times are shifted alike.
SHIFT = 3.0
NUM_STEPS = 16
GUIDANCE = 3.0
