"""A network small enough to check by hand, with the same interface as the real one, that can be told to fail."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import NonFiniteImage
from workers.engine.network import Start
from workers.engine.row import Denoising, Request

PIXELS_A_TOKEN = 16


class FakeNetwork:
    """Pulls the noise towards the mean of the prompt's characters. Prompts may order failures by word.

    `fails-encoding`, `fails-step`, `fails-decoding` raise there; `hates-company` raises in a step with neighbours;
    `breaks-device` raises what CUDA raises once it is beyond help.
    """

    def __init__(self, name: str = "fake", revision: str = "r1") -> None:
        self.name = name
        self.revision = revision
        self.encoded: list[str] = []
        self.num_rows_by_call: list[int] = []
        self.on_step: Callable[[], None] = lambda: None

    def num_passes(self, guidance: float) -> int:
        return 2 if guidance > 1 else 1

    def encode(self, text: str) -> Tensor:
        if "fails-encoding" in text:
            raise RuntimeError("the encoder failed")
        self.encoded.append(text)
        return torch.tensor([[float(ord(character)) for character in text or " "]]).T / 128

    def start(self, width: int, height: int, num_steps: int, seed: int) -> Start:
        num_tokens = (width // PIXELS_A_TOKEN) * (height // PIXELS_A_TOKEN)
        noise = torch.randn(num_tokens, 3, generator=torch.Generator().manual_seed(seed))
        return Start(noise, torch.zeros(num_tokens, 4), torch.linspace(1, 0, num_steps + 1))

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        self.on_step()
        self.num_rows_by_call.append(len(rows))
        marks = [self._mark(row) for row in rows]
        if any(mark == "fails-step" for mark in marks):
            raise torch.OutOfMemoryError("no room for this step")
        if "breaks-device" in marks:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
        if len(rows) > 1 and "hates-company" in marks:
            raise RuntimeError("too many rows")
        return [row.latents_LC + (row.times[row.step + 1] - row.times[row.step]) * self._velocity(row) for row in rows]

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[np.uint8]:
        if not latents_LC.isfinite().all():
            raise NonFiniteImage("the latents are not finite")
        rows, columns = height // PIXELS_A_TOKEN, width // PIXELS_A_TOKEN
        pixels = (latents_LC.clamp(0, 1) * 255).round().to(torch.uint8).reshape(rows, columns, 3).numpy()
        return pixels.repeat(PIXELS_A_TOKEN, axis=0).repeat(PIXELS_A_TOKEN, axis=1)

    def _velocity(self, row: Denoising) -> Tensor:
        target = row.context_LC.mean() if self._mark(row) != "fails-decoding" else torch.nan
        pull = target if row.negative_context_LC is None else target - 0.1 * row.negative_context_LC.mean()
        return row.latents_LC - pull

    def _mark(self, row: Denoising) -> str:
        text = "".join(chr(round(float(code) * 128)) for code in row.context_LC[:, 0])
        return text.split()[0] if text.split() else ""


def request(name: str = "a", prompt: str = "a red apple", **changes: object) -> Request:
    """A request of 4 steps at 64 by 64 that arrived at second 0."""
    fields: dict[str, object] = {
        "key": (name, 1),
        "network": "fake",
        "prompt": prompt,
        "negative_prompt": None,
        "seed": 7,
        "width": 64,
        "height": 64,
        "num_steps": 4,
        "guidance": 1.0,
        "priority": 0,
        "arrived_at_s": 0.0,
        "deadline_at_s": 1e9,
        "expected_s": 1.0,
    }
    return Request(**{**fields, **changes})  # pyright: ignore[reportArgumentType] - the dataclass names its own fields
