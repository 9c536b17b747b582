"""IP-Adapters that can be imported: the published ones by name, and what those of an operator's are like."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from models.checkpoints.adapter_folder import (
    ADAPTER,
    ADAPTER_COMPONENTS,
    ADAPTER_PIPELINE,
    ENCODER,
    PROCESSOR,
)
from models.checkpoints.config import Config, write_object
from models.errors import ShapeMismatch
from models.image_prompt.adapter import ProjectionParams
from models.image_prompt.projection import LinearParams, PatchwiseParams
from models.image_prompt.resampler import ResamplerParams
from models.importing.request import Request, Target
from models.pipeline.loading import load_adapter_prompter
from models.specs import SD15, SDXL
from models.unet.unet import UnetParams
from models.vision.preprocessing import FILE


@dataclass(frozen=True)
class Published:
    """The UNet that an adapter is made for, and how it brings pictures to tokens."""

    unet: UnetParams
    projection: type[ProjectionParams]


IMAGE_ADAPTERS: Mapping[str, Published] = {
    "ip-adapter-sd-1.5": Published(SD15, LinearParams),
    "ip-adapter-light-sd-1.5": Published(SD15, LinearParams),
    "ip-adapter-plus-sd-1.5": Published(SD15, ResamplerParams),
    "ip-adapter-plus-face-sd-1.5": Published(SD15, ResamplerParams),
    "ip-adapter-full-face-sd-1.5": Published(SD15, PatchwiseParams),
    "ip-adapter-sdxl": Published(SDXL, LinearParams),
    "ip-adapter-vit-h-sdxl": Published(SDXL, LinearParams),
    "ip-adapter-plus-sdxl": Published(SDXL, ResamplerParams),
    "ip-adapter-plus-face-sdxl": Published(SDXL, ResamplerParams),
}
"""By name. app.core.image_adapters says the same of their families."""


def adapter_target(request: Request) -> Target | None:
    """What the folder of an adapter must be; None when the request asks for none."""
    if (request.like or request.name) not in IMAGE_ADAPTERS:
        return None
    return Target(
        (ADAPTER_PIPELINE,),
        ADAPTER_COMPONENTS,
        ADAPTER,
        None,
        request.like is None,
        check_adapter,
        beside=(ENCODER, PROCESSOR),
        complete=write_processor,
        completed=(PROCESSOR,),
    )


def write_processor(folder: Path) -> None:
    """Write how pictures are brought to the encoder's size, where the source does not say: as Diffusers does."""
    if (folder / PROCESSOR / FILE).is_file():
        return
    side = Config(folder / ENCODER / "config.json").integer("image_size", 224)
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    settings: dict[str, object] = processor.to_dict()
    write_object(folder / PROCESSOR / FILE, settings | {"image_processor_type": "CLIPImageProcessor"})


def check_adapter(folder: Path, request: Request) -> None:
    """Account for every name and shape of the networks, and see that the adapter belongs to the UNet that its name says.

    Raises:
        CheckpointError: it does not.
    """
    params, wanted = load_adapter_prompter(folder, "meta").adapter.params, IMAGE_ADAPTERS[request.like or request.name]
    if not isinstance(params.projection, wanted.projection):
        said = f"its projection is of the kind {type(params.projection).__name__}, not {wanted.projection.__name__}"
        raise ShapeMismatch(request.source, f"this is not {request.like or request.name}", [said])
    if request.like is None and not params.fits(wanted.unet):
        raise ShapeMismatch(request.source, f"this is not {request.name}", ["it fits another UNet"])
