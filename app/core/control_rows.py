"""What requests name beside a network: ControlNets and image adapters that are published, and the family that each belongs to."""

from dataclasses import dataclass
from typing import Literal

from app.core.licences import APACHE, OPENRAIL, OPENRAIL_PLUS_PLUS, Licence

ControlFamily = Literal["sd-1.5", "sdxl"]
ControlKind = Literal["ControlNet", "image adapter"]


@dataclass(frozen=True)
class ControlRow:
    """One network that stands beside others.

    Attributes:
        name: by which requests and imports name it.
        family: of the networks that it fits.
        licence: of its weights.
        kind: what it is for.
    """

    name: str
    family: ControlFamily
    licence: Licence
    kind: ControlKind = "ControlNet"


def _rows(family: ControlFamily, licence: Licence, *follows: str) -> tuple[ControlRow, ...]:
    return tuple(ControlRow(f"controlnet-{what}-{family}", family, licence) for what in follows)


CONTROL_ROWS: tuple[ControlRow, ...] = (
    *_rows("sd-1.5", OPENRAIL, "canny", "depth", "lineart", "openpose", "scribble", "softedge", "tile"),
    *_rows("sdxl", OPENRAIL_PLUS_PLUS, "canny", "depth", "openpose"),
)
"""ControlNets that are published. models.importing.controls has the same names."""

_ADAPTERS: dict[ControlFamily, tuple[str, ...]] = {
    "sd-1.5": ("ip-adapter", "ip-adapter-light", "ip-adapter-plus", "ip-adapter-plus-face", "ip-adapter-full-face"),
    "sdxl": ("ip-adapter", "ip-adapter-vit-h", "ip-adapter-plus", "ip-adapter-plus-face"),
}
ADAPTER_ROWS: tuple[ControlRow, ...] = tuple(
    ControlRow(f"{name}-{family}", family, APACHE, "image adapter")
    for family, names in _ADAPTERS.items()
    for name in names
)
"""IP-Adapters that are published. models.importing.image_adapters has the same names."""
BESIDE_ROWS = (*CONTROL_ROWS, *ADAPTER_ROWS)
