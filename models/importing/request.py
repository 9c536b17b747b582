"""What is to be imported, from where and as what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.checkpoints.folder import REDUX_PIPELINE
from models.checkpoints.layouts import LAYOUTS, REDUX_COMPONENTS
from models.importing.errors import ImportRefused
from models.specs import MODEL_SPECS, ModelSpec, spec_named

IMAGE_PROMPTERS = frozenset(spec.image_prompter for spec in MODEL_SPECS if spec.image_prompter is not None)
OPTIONS: Mapping[str, str] = {
    "vae": "--vae",
    "text_encoder": "--text-encoder",
    "text_encoder_2": "--text-encoder-2",
    "tokenizer": "--tokenizer",
    "tokenizer_2": "--tokenizer-2",
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
        spec: of the network; None for one that only turns pictures into prompts.
        has_published_sizes: whether the network is a published one and must have its sizes.
    """

    pipelines: tuple[str, ...]
    components: Mapping[str, tuple[str, ...]]
    denoiser: str
    spec: ModelSpec | None
    has_published_sizes: bool


def target_of(request: Request) -> Target:
    """What a request's name, or the network that it is said to be like, asks for.

    Raises:
        ImportRefused: there is no such network.
    """
    network = request.name if request.like is None else request.like
    if network in IMAGE_PROMPTERS:
        return Target((REDUX_PIPELINE,), REDUX_COMPONENTS, "image_embedder", None, False)
    spec = spec_named(network)
    if spec is None:
        known = ", ".join([*(spec.name for spec in MODEL_SPECS), *sorted(IMAGE_PROMPTERS)])
        raise ImportRefused(
            f"there is no network {network!r}; known are {known}. Weights of your own are --like one of them"
        )
    components = LAYOUTS[spec.pipelines[0]].components
    denoiser = "transformer" if "transformer" in components else "unet"
    return Target(spec.pipelines, components, denoiser, spec, request.like is None)
