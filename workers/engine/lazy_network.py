"""LazyNetwork: a network that is known before its weights are there, and while they are away."""

from collections.abc import Callable, Sequence

from numpy import uint8
from numpy.typing import NDArray
from torch import Tensor

from models.errors import CheckpointError
from models.pipeline.components import Components, TextFeatures
from models.pipeline.conditions import Start
from models.pipeline.controls import NO_CONTROLS, Controls
from models.pipeline.image_prompts import NO_PROMPTERS, Prompters
from models.pipeline.prompts import Encode
from models.pipeline.reading import NO_EMBEDDINGS, PLAINLY, Embeddings, Reading
from models.pipeline.request import DrawRequest
from workers.engine.lazy_part import weight_bytes
from workers.engine.network import PipelineNetwork, Run
from workers.engine.row import Denoising


class LazyNetwork:
    """A PipelineNetwork that workers.engine.residency loads and unloads; between the two it can do everything."""

    def __init__(
        self,
        name: str,
        outline: Components,
        load: Callable[[], Components],
        prompters: Prompters = NO_PROMPTERS,
        controls: Controls = NO_CONTROLS,
        embeddings: Embeddings = NO_EMBEDDINGS,
    ) -> None:
        """
        Args:
            name: of the network.
            outline: the same components on the meta device: all is there but the numbers.
            load: returns them on the device.
            prompters: what reads picture prompts in this worker; outlines do until a row begins.
            controls: ControlNets of this worker; likewise.
            embeddings: learnt words of this worker.
        """
        self.name = name
        self.revision = outline.revision
        self.num_bytes = weight_bytes(outline)
        self._outline = PipelineNetwork(name, outline, prompters, controls, embeddings)
        self._load = load
        self._prompters = prompters
        self._controls = controls
        self._embeddings = embeddings
        self._loaded: PipelineNetwork | None = None

    def load(self) -> None:
        """Bring the weights to the device.

        Raises:
            CheckpointError: they cannot be read, or are others than those that the worker found.
        """
        components = self._load()
        if components.revision != self.revision:
            raise CheckpointError(f"the weights of {self.name} have changed since this worker was started")
        self._loaded = PipelineNetwork(self.name, components, self._prompters, self._controls, self._embeddings)

    def unload(self) -> None:
        """Let go of the weights."""
        self._loaded = None

    def run_of(self, asked: DrawRequest) -> Run:
        """Known without weights."""
        return self._outline.run_of(asked)

    def encode(self, text: str, max_length: int, reading: Reading = PLAINLY) -> TextFeatures:
        return self._ready.encode(text, max_length, reading)

    def start(self, asked: DrawRequest, encode: Encode) -> Start:
        return self._ready.start(asked, encode)

    def advance(self, rows: Sequence[Denoising]) -> list[Tensor]:
        return self._ready.advance(rows)

    def preview(self, row: Denoising, width: int, height: int) -> NDArray[uint8]:
        return self._ready.preview(row, width, height)

    def decode(self, latents_LC: Tensor, width: int, height: int) -> NDArray[uint8]:
        return self._ready.decode(latents_LC, width, height)

    @property
    def _ready(self) -> PipelineNetwork:
        assert self._loaded is not None, f"the weights of {self.name} are not loaded"
        return self._loaded
