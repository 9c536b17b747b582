"""Network: what the engine asks of a loaded network, and the one that models.pipeline runs.

A network is immutable: every call returns new tensors and changes none that it was given.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

from models.pipeline import (
    Components,
    DenoiseInput,
    decode,
    encode_prompts,
    initial_noise,
    needs_negative,
    position_ids,
    predict,
    schedule,
)
from models.samplers import euler
from workers.engine.row import Denoising


class Start(NamedTuple):
    """Where a row begins: noise drawn from its own seed, and the times that it will pass, falling from 1 to 0."""

    latents_LC: Tensor
    ids_L4: Tensor
    times: Tensor


class Network(Protocol):
    """A network and its encoders, ready on the device."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str:
        """Changes when any weight does."""
        ...

    def num_passes(self, guidance: float) -> int:
        """Forwards a step takes at this guidance: 2 when the negative prompt counts, else 1."""
        ...

    def encode(self, text: str) -> Tensor:
        """A prompt's embedding, LC."""
        ...

    def start(self, width: int, height: int, num_steps: int, seed: int) -> Start: ...

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        """Each row's latents after its next step; a row's result does not depend on its company."""
        ...

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[uint8]:
        """RGB pixels, HWC, on the host."""
        ...


class PipelineNetwork:
    """A folder's components, run by models.pipeline. A row's picture equals models.pipeline.render's, bit for bit."""

    def __init__(self, name: str, components: Components) -> None:
        self.name = name
        self.revision = components.revision
        self._components = components

    def num_passes(self, guidance: float) -> int:
        return 2 if needs_negative(self._components, guidance) else 1

    def encode(self, text: str) -> Tensor:
        (embedding_LC,) = encode_prompts(self._components, [text])
        return embedding_LC

    def start(self, width: int, height: int, num_steps: int, seed: int) -> Start:
        return Start(
            latents_LC=initial_noise(self._components, width, height, seed),
            ids_L4=position_ids(self._components, width, height),
            times=schedule(self._components, width, height, num_steps),
        )

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        velocities = predict(self._components, [_denoise_input(row) for row in rows])
        moved = [_moved(row, velocity_LC) for row, velocity_LC in zip(rows, velocities, strict=True)]
        if self._components.device.type == "cuda":
            torch.cuda.synchronize(self._components.device)  # so that who times this call times the step
        return moved

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[uint8]:
        return decode(self._components, latents_LC, width, height)


def _denoise_input(row: Denoising) -> DenoiseInput:
    return DenoiseInput(
        latents_LC=row.latents_LC,
        ids_L4=row.ids_L4,
        context_LC=row.context_LC,
        negative_context_LC=row.negative_context_LC,
        t=float(row.times[row.step]),
        guidance=row.guidance,
    )


def _moved(row: Denoising, velocity_LC: Tensor) -> Tensor:
    t_B, t_next_B = row.times[row.step].expand(1), row.times[row.step + 1].expand(1)
    return euler.step(row.latents_LC[None], velocity_LC[None], t_B, t_next_B)[0]
