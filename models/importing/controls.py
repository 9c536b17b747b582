"""ControlNets that can be imported: the published ones by name, and what those of an operator's are like."""

from collections.abc import Mapping
from pathlib import Path

from models.checkpoints.control_folder import COMPONENT, CONTROL_COMPONENTS, CONTROL_PIPELINE
from models.control.controlnet import ControlNetParams
from models.control.flux1 import Flux1ControlParams
from models.errors import ShapeMismatch
from models.importing.request import Request, Target
from models.pipeline.loading import load_control
from models.specs import FLUX1_DEV, SD15, SDXL
from models.unet.unet import UnetParams

CONTROLS: Mapping[str, UnetParams | Flux1ControlParams] = {
    **dict.fromkeys(
        (
            f"controlnet-{what}-sd-1.5"
            for what in ("canny", "depth", "lineart", "openpose", "scribble", "softedge", "tile")
        ),
        SD15,
    ),
    **dict.fromkeys((f"controlnet-{what}-sdxl" for what in ("canny", "depth", "openpose")), SDXL),
    **dict.fromkeys((f"controlnet-{what}-flux-1" for what in ("canny", "depth")), Flux1ControlParams()),
    "controlnet-union-flux-1": Flux1ControlParams(num_modes=10),
}
"""The UNet that each is made for, or its own sizes where it stands beside FLUX.1, by name. app.core.control_rows says the same of their
licences and families."""


def control_target(request: Request) -> Target | None:
    """What the folder of a ControlNet must be; None when the request asks for no ControlNet."""
    if (request.like or request.name) not in CONTROLS:
        return None
    return Target((CONTROL_PIPELINE,), CONTROL_COMPONENTS, COMPONENT, None, request.like is None, check_control_network)


def check_control_network(folder: Path, request: Request) -> None:
    """Account for every name and shape of the network, and see that it belongs to the UNet that its name says.

    Raises:
        CheckpointError: it does not.
    """
    params = load_control(folder, "meta").network.control_params
    wanted = CONTROLS[request.like or request.name]
    if isinstance(params, Flux1ControlParams):
        fits = _is_of_flux1(params, wanted, is_published=request.like is None)
    elif isinstance(wanted, Flux1ControlParams):
        fits = False
    else:
        fits = params.fits(wanted) if request.like is None else _is_alike(params, wanted)
    if not fits:
        raise ShapeMismatch(request.source, f"this is not {request.like or request.name}", ["it fits another network"])


def _is_of_flux1(params: Flux1ControlParams, wanted: UnetParams | Flux1ControlParams, *, is_published: bool) -> bool:
    """Whether it tells kinds of pictures apart exactly where it should; a published one has the widths of FLUX.1."""
    if not isinstance(wanted, Flux1ControlParams) or params.num_modes != wanted.num_modes:
        return False
    return not is_published or params.fits(FLUX1_DEV)


def _is_alike(params: ControlNetParams, wanted: UnetParams) -> bool:
    """Whether a ControlNet belongs to a UNet of this family, of whatever sizes."""
    own = params.unet
    return (own.added is None, own.linear_projection) == (wanted.added is None, wanted.linear_projection)
