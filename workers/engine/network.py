"""Network: what the engine asks of a loaded network, and the one that models.pipeline runs.

A network is immutable: every call returns new tensors and changes none that it was given.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

from models.latents import latent_grid
from models.pipeline.components import Components, TextFeatures
from models.pipeline.conditions import Start, num_reference_tokens, run_passes, start
from models.pipeline.controls import NO_CONTROLS, Controls, check_controls
from models.pipeline.denoising import StepInput, advance
from models.pipeline.drawing import decode, encode_request
from models.pipeline.image_prompts import NO_PROMPTERS, Prompters, prompter_of
from models.pipeline.prompts import Encode, check_prompts
from models.pipeline.reading import NO_EMBEDDINGS, PLAINLY, Embeddings, Reading
from models.pipeline.remembering import parted
from models.pipeline.request import DrawRequest, check_request
from models.vae.preview import Projection, fitted, outlook
from workers.engine.row import Denoising


class Run(NamedTuple):
    """What a request will take, known before anything is computed."""

    num_steps: int
    num_passes: int
    """Forwards of the step that takes most of them."""
    reference_pixels: int
    num_controls: int = 0
    """ControlNets beside every forward."""
    passes: tuple[int, ...] = ()
    """Forwards of each step, where they differ."""


class Network(Protocol):
    """A network and its encoders, ready on the device."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str:
        """Changes when any weight does."""
        ...

    def run_of(self, asked: DrawRequest) -> Run:
        """Raises SamplingError for what this network cannot do."""
        ...

    def encode(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        """A prompt's features."""
        ...

    def start(self, asked: DrawRequest, encode: Encode) -> Start:
        """Everything that a request needs before its first step; `encode` may remember what self.encode returned."""
        ...

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        """Each row's latents after its next step; a row's result does not depend on its company."""
        ...

    def preview(self, row: Denoising, width: int, height: int) -> NDArray[uint8]:
        """What a row between two steps looks like, small, HWC, on the host; row.before_LC is there."""
        ...

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[uint8]:
        """RGB pixels, HWC, on the host."""
        ...


class PipelineNetwork:
    """A folder's components, run by models.pipeline. A row's picture equals models.pipeline.drawing.draw's, bit for bit."""

    def __init__(
        self,
        name: str,
        components: Components,
        prompters: Prompters = NO_PROMPTERS,
        controls: Controls = NO_CONTROLS,
        embeddings: Embeddings = NO_EMBEDDINGS,
    ) -> None:
        """
        Args:
            name: of the network.
            components: of its folder.
            prompters: what reads picture prompts in this worker, whether it fits this network or not; weights as for controls.
            controls: ControlNets of this worker, whether they fit this network or not; their weights must be there when a row begins.
            embeddings: learnt words of this worker, whether they fit this network or not.
        """
        self.name = name
        self.revision = components.revision
        self._components = components
        self._prompters = prompters
        self._controls = controls
        self._embeddings = embeddings

    def run_of(self, asked: DrawRequest) -> Run:
        check_request(self._components.spec, asked)
        check_prompts(self._components, asked, self._embeddings)
        check_controls(self._components, asked, self._controls)
        prompter_of(self._components, asked, self._prompters)
        passes = run_passes(self._components, asked)
        return Run(
            len(passes),
            max(passes),
            num_reference_tokens(self._components, asked) * self._components.pixels_per_position**2,
            len(asked.inputs.controls),
            passes if len(set(passes)) > 1 else (),
        )

    def encode(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        return self._components.encode_text(text, max_length, reading)

    def start(self, asked: DrawRequest, encode: Encode) -> Start:
        prompter = prompter_of(self._components, asked, self._prompters)
        texts = encode_request(self._components, asked, prompter, encode, self._embeddings)
        return start(self._components, asked, *texts, self._controls)

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        moved = advance(self._components, [StepInput(row.latents_LC, row.conditions, row.step) for row in rows])
        if self._components.device.type == "cuda":
            torch.cuda.synchronize(self._components.device)  # so that who times this call times the step
        return moved

    def preview(self, row: Denoising, width: int, height: int) -> NDArray[uint8]:
        clean_LC = self._outlook(row)
        return (
            self._projection.pixels(clean_LC, *latent_grid(width, height, self._components.pixels_per_position))
            .cpu()
            .numpy()
        )

    def _outlook(self, row: Denoising) -> Tensor:
        """The picture that the network predicted last."""
        walk, times = row.conditions.walk, row.conditions.times
        latents_LC, _ = parted(row.latents_LC, row.conditions, row.step)
        if walk is not None:
            return walk.picture(latents_LC)
        assert row.before_LC is not None
        before_LC, _ = parted(row.before_LC, row.conditions, row.step - 1)
        return outlook(before_LC, latents_LC, float(times[row.step - 1]), float(times[row.step]))

    @cached_property
    def _projection(self) -> Projection:
        """Fitted when the first preview is wanted: one encoding of a few pictures."""
        components = self._components
        return fitted(lambda image_BCHW: components.encode_picture(image_BCHW, None), components.pixels_per_position)

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[uint8]:
        return decode(self._components, latents_LC, width, height)
