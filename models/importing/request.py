"""What is to be imported, from where and as what."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.specs import ModelSpec

OPTIONS: Mapping[str, str] = {
    "vae": "--vae",
    "text_encoder": "--text-encoder",
    "text_encoder_2": "--text-encoder-2",
    "tokenizer": "--tokenizer",
    "tokenizer_2": "--tokenizer-2",
    "image_encoder": "--image-encoder",
}
"""How a component is given by itself, by component."""


@dataclass(frozen=True)
class Request:
    """One import.

    Attributes:
        source: a folder, a file, or hf:ORG/REPO[@REVISION][:FILE].
        name: of the folder that is made.
        into: where it is made.
        like: network whose rules these weights follow, when their name is not that of a published network.
        base: folder that gives what the source lacks.
        swaps: other components that take the place of the source's, by subfolder.
        licence: of the weights, by name.
        is_accepted: whether the operator accepts it.
        replace: whether a folder of that name may go.
        hub: where what comes from a hub is kept.
    """

    source: str
    name: str
    into: Path
    like: str | None = None
    base: Path | None = None
    swaps: Mapping[str, Path] = field(default_factory=dict[str, Path])
    licence: str = ""
    is_accepted: bool = False
    replace: bool = False
    hub: Path = Path()


@dataclass(frozen=True)
class Target:
    """What the folder that is made must be.

    Attributes:
        pipelines: classes that its index may name, the one that is written first.
        components: class names that a component may have, by subfolder.
        denoiser: the component that a source without the others stands for.
        spec: of the network; None for one that draws nothing itself.
        has_published_sizes: whether the network is a published one and must have its sizes.
        check: accounts for every name and shape of a folder that draws nothing itself; None for one that does.
        beside: components that lie in a folder of their name beside a source that is one file.
        complete: writes what no source need have into a folder that is put together; None for nothing.
        completed: the components that it writes.
        left_out: of the layout's components, those that this network lacks.
    """

    pipelines: tuple[str, ...]
    components: Mapping[str, tuple[str, ...]]
    denoiser: str
    spec: ModelSpec | None
    has_published_sizes: bool
    check: "Callable[[Path, Request], None] | None" = None
    beside: tuple[str, ...] = ()
    complete: Callable[[Path], None] | None = None
    completed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def as_refiner(self) -> "Target":
        """SDXL's refiner: one text encoder, the second, and a picture to begin with."""
        first = ("text_encoder", "tokenizer")
        components = {name: classes for name, classes in self.components.items() if name not in first}
        return replace(self, pipelines=self.pipelines[1:] or self.pipelines, components=components, left_out=first)
