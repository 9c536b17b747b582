"""ControlNets by name: those that are published, and the family of networks that each can steer."""

from dataclasses import dataclass
from typing import Literal

from app.core.licences import OPENRAIL, OPENRAIL_PLUS_PLUS, Licence

ControlFamily = Literal["sd-1.5", "sdxl"]


@dataclass(frozen=True)
class ControlRow:
    """One ControlNet.

    Attributes:
        name: by which requests and imports name it.
        family: of the networks that it fits.
        licence: of its weights.
    """

    name: str
    family: ControlFamily
    licence: Licence


def _rows(family: ControlFamily, licence: Licence, *follows: str) -> tuple[ControlRow, ...]:
    return tuple(ControlRow(f"controlnet-{what}-{family}", family, licence) for what in follows)


CONTROL_ROWS: tuple[ControlRow, ...] = (
    *_rows("sd-1.5", OPENRAIL, "canny", "depth", "lineart", "openpose", "scribble", "softedge", "tile"),
    *_rows("sdxl", OPENRAIL_PLUS_PLUS, "canny", "depth", "openpose"),
)
"""Those that are published. models.importing.controls has the same names."""
