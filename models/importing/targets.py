"""What the folder of a network must be, by the name under which it is imported."""

from pathlib import Path

from models.checkpoints.folder import REDUX_PIPELINE, is_image_prompter
from models.checkpoints.layouts import LAYOUTS, REDUX_COMPONENTS
from models.importing.controls import CONTROLS, control_target
from models.importing.errors import ImportRefused
from models.importing.image_adapters import IMAGE_ADAPTERS, adapter_target
from models.importing.request import Request, Target
from models.pipeline.loading import load_image_prompter
from models.specs import MODEL_SPECS, spec_named

IMAGE_PROMPTERS = frozenset(spec.image_prompter for spec in MODEL_SPECS if spec.image_prompter is not None)


def target_of(request: Request) -> Target:
    """What a request's name, or the network that it is said to be like, asks for.

    Raises:
        ImportRefused: there is no such network.
    """
    network = request.name if request.like is None else request.like
    if network in IMAGE_PROMPTERS:
        return Target((REDUX_PIPELINE,), REDUX_COMPONENTS, "image_embedder", None, False, _check_prompter)
    if (control := control_target(request)) is not None:
        return control
    if (adapter := adapter_target(request)) is not None:
        return adapter
    spec = spec_named(network)
    if spec is None:
        beside = (*sorted(IMAGE_PROMPTERS), *CONTROLS, *IMAGE_ADAPTERS)
        known = ", ".join([*(spec.name for spec in MODEL_SPECS), *beside])
        raise ImportRefused(
            f"there is no network {network!r}; known are {known}. Weights of your own are --like one of them"
        )
    components = LAYOUTS[spec.pipelines[0]].components
    denoiser = "transformer" if "transformer" in components else "unet"
    return Target(spec.pipelines, components, denoiser, spec, request.like is None)


def _check_prompter(folder: Path, request: Request) -> None:
    if not is_image_prompter(folder):
        raise ImportRefused(f"{request.source} is no {REDUX_PIPELINE}")
    load_image_prompter(folder, "meta")
