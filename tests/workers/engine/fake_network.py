"""A network small enough to check by hand, with the same interface as the real one, that can be told to fail."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import NonFiniteImage
from models.flow.transformer import RowConstants
from models.pipeline.components import TextFeatures
from models.pipeline.conditions import Conditions, Start
from models.pipeline.prompts import Encode
from models.pipeline.reading import PLAINLY, Reading
from models.pipeline.request import DrawRequest
from workers.engine.network import Run
from workers.engine.row import Denoising, Request

PIXELS_A_TOKEN = 16
MAX_LENGTH = 24


class FakeNetwork:
    """Pulls the noise towards the mean of the prompt's characters. Prompts may order failures by word.

    `fails-encoding`, `fails-step`, `fails-preview`, `fails-decoding` raise there; `hates-company` raises in a step with neighbours;
    `breaks-device` raises what CUDA raises once it is beyond help.
    """

    def __init__(self, name: str = "fake", revision: str = "r1") -> None:
        self.name = name
        self.revision = revision
        self.encoded: list[str] = []
        self.num_rows_by_call: list[int] = []
        self.on_step: Callable[[], None] = lambda: None

    def run_of(self, asked: DrawRequest) -> Run:
        return Run(asked.num_steps, 2 if asked.guidance > 1 else 1, 0)

    def encode(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        if "fails-encoding" in text:
            raise RuntimeError("the encoder failed")
        self.encoded.append(text)
        return TextFeatures(torch.tensor([[float(ord(character)) for character in text or " "]]).T / 128)

    def start(self, asked: DrawRequest, encode: Encode) -> Start:
        num_tokens = (asked.width // PIXELS_A_TOKEN) * (asked.height // PIXELS_A_TOKEN)
        noise = torch.randn(num_tokens, 3, generator=torch.Generator().manual_seed(asked.seed))
        prompts = [asked.prompt, asked.negative_prompt or ""][: self.run_of(asked).num_passes]
        conditions = Conditions(
            times=torch.linspace(1, 0, asked.num_steps + 1),
            branches=tuple(_constants(encode(prompt, MAX_LENGTH, PLAINLY)) for prompt in prompts),
        )
        return Start(noise, conditions)

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
        return [row.latents_LC + self._dt(row) * self._velocity(row) for row in rows]

    def preview(self, row: Denoising, width: int, height: int) -> NDArray[np.uint8]:
        assert row.before_LC is not None
        if self._mark(row) == "fails-preview":
            raise RuntimeError("no preview")
        return np.full((height // PIXELS_A_TOKEN, width // PIXELS_A_TOKEN, 3), row.step, np.uint8)

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[np.uint8]:
        if not latents_LC.isfinite().all():
            raise NonFiniteImage("the latents are not finite")
        rows, columns = height // PIXELS_A_TOKEN, width // PIXELS_A_TOKEN
        pixels = (latents_LC.clamp(0, 1) * 255).round().to(torch.uint8).reshape(rows, columns, 3).numpy()
        return pixels.repeat(PIXELS_A_TOKEN, axis=0).repeat(PIXELS_A_TOKEN, axis=1)

    def _dt(self, row: Denoising) -> Tensor:
        times = row.conditions.times
        return times[row.step + 1] - times[row.step]

    def _velocity(self, row: Denoising) -> Tensor:
        text, *negative = (one.text_LC.mean() for one in _branches(row))
        target = text if self._mark(row) != "fails-decoding" else torch.nan
        return row.latents_LC - (target - 0.1 * sum(negative))

    def _mark(self, row: Denoising) -> str:
        text = "".join(chr(round(float(code) * 128)) for code in _branches(row)[0].text_LC[:, 0])
        return text.split()[0] if text.split() else ""


def _branches(row: Denoising) -> Sequence[RowConstants]:
    return cast("Sequence[RowConstants]", row.conditions.branches)


def _constants(text: TextFeatures) -> RowConstants:
    nothing = torch.zeros(0)
    return RowConstants(text.tokens_LC, turns_LP=nothing, modulation_TNC=nothing)


def request(name: str = "a", prompt: str = "a red apple", **changes: object) -> Request:
    """A request of 4 steps at 64 by 64 that arrived at second 0; changes are of its drawing or of its place in the queue."""
    drawn: dict[str, object] = {"prompt": prompt, "seed": 7, "width": 64, "height": 64, "num_steps": 4, "guidance": 1.0}
    queued: dict[str, object] = {
        "key": (name, 1),
        "network": "fake",
        "priority": 0,
        "arrived_at_s": 0.0,
        "deadline_at_s": 1e9,
        "expected_s": 1.0,
    }
    names = {field.name for field in fields(DrawRequest)}
    drawn |= {field: value for field, value in changes.items() if field in names}
    queued |= {field: value for field, value in changes.items() if field not in names}
    draw = DrawRequest(**drawn)  # pyright: ignore[reportArgumentType] - the dataclass names its own fields
    return Request(draw=draw, **queued)  # pyright: ignore[reportArgumentType] - likewise
