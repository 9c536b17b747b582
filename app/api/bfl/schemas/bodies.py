"""Which schema a catalogue row reads."""

from app.api.bfl.schemas.diffusion import DiffusionFillInputs, DiffusionInputs
from app.api.bfl.schemas.fields import Inputs
from app.api.bfl.schemas.flux1 import (
    DevInputs,
    Flux1Inputs,
    KontextDialsInputs,
    KontextInputs,
    ProInputs,
    SchnellInputs,
    UltraInputs,
)
from app.api.bfl.schemas.flux2 import FlexInputs, Flux2DialsInputs, Flux2Inputs, KleinDialsInputs, KleinInputs
from app.api.bfl.schemas.tools import (
    CannyInputs,
    CannySidesInputs,
    ControlInputs,
    ControlSidesInputs,
    ExpandInputs,
    FillInputs,
)
from app.core.catalog_row import Body, CatalogRow

_BODIES: dict[Body, type[Inputs]] = {
    "klein": KleinInputs,
    "klein-dials": KleinDialsInputs,
    "flux2": Flux2Inputs,
    "flux2-dials": Flux2DialsInputs,
    "flex": FlexInputs,
    "flux1": Flux1Inputs,
    "flux1-pro": ProInputs,
    "flux1-dev": DevInputs,
    "flux1-schnell": SchnellInputs,
    "ultra": UltraInputs,
    "kontext": KontextInputs,
    "kontext-dials": KontextDialsInputs,
    "fill": FillInputs,
    "expand": ExpandInputs,
    "canny": CannyInputs,
    "canny-sides": CannySidesInputs,
    "depth": ControlInputs,
    "depth-sides": ControlSidesInputs,
    "diffusion": DiffusionInputs,
    "diffusion-fill": DiffusionFillInputs,
}


def body_of(row: CatalogRow) -> type[Inputs]:
    """The request schema of a catalogue row."""
    return _BODIES[row.body]
