"""A worker whose network computes nothing, for measuring what everything else costs: `python -m tests.benchmarks.idle_network DIR`.

Its pictures say when their first step began and when their last one ended, in seconds of CLOCK_MONOTONIC, which all processes of
a machine share.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.core.config import load_settings
from models.pipeline.components import TextFeatures
from models.pipeline.conditions import Conditions, Start
from models.pipeline.prompts import Encode
from models.pipeline.reading import PLAINLY, Reading
from models.pipeline.request import DrawRequest
from workers.engine.network import Run
from workers.engine.row import Denoising
from workers.networks import LoadedNetworks
from workers.process import serve

NUM_TIMES = 2
NO_WORDS = TextFeatures(torch.zeros(1, 1))


class IdleNetwork:
    """Each row's latents are two times: when its first step began, when its last one ended."""

    name = "flux-nano"
    revision = "idle"

    def run_of(self, asked: DrawRequest) -> Run:
        return Run(asked.num_steps, 1, 0)

    def encode(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        return NO_WORDS

    def start(self, asked: DrawRequest, encode: Encode) -> Start:
        times = torch.linspace(1, 0, asked.num_steps + 1)
        encode(asked.prompt, 1, PLAINLY)
        conditions = Conditions(times, branches=())
        return Start(torch.zeros(1, NUM_TIMES, dtype=torch.float64), conditions)

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        began_s = time.monotonic()
        return [self._moved(row, began_s) for row in rows]

    def preview(self, row: Denoising, width: int, height: int) -> NDArray[np.uint8]:
        raise AssertionError("nobody asked for previews")

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[np.uint8]:
        pixels = np.zeros(height * width * 3, np.uint8)
        told = np.frombuffer(latents_LC.numpy().tobytes(), np.uint8)
        pixels[: told.size] = told
        return pixels.reshape(height, width, 3)

    def _moved(self, row: Denoising, began_s: float) -> Tensor:
        first_s = began_s if row.step == 0 else float(row.latents_LC[0, 0])
        return torch.tensor([[first_s, time.monotonic()]], dtype=torch.float64)


def times_in(pixels_HWC: NDArray[np.uint8]) -> tuple[float, float]:
    """What a picture says: (first step began, last step ended) in seconds."""
    first_s, last_s = np.frombuffer(pixels_HWC.tobytes()[: 8 * NUM_TIMES], np.float64)
    return float(first_s), float(last_s)


def main() -> None:
    networks = LoadedNetworks({IdleNetwork.name: IdleNetwork()})
    serve(load_settings(data_dir=Path(sys.argv[1])), lambda: networks)


if __name__ == "__main__":
    main()
