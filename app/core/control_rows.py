"""What requests name beside a network: ControlNets and image adapters that are published, and the family that each belongs to."""

from dataclasses import dataclass
from typing import Literal

from app.core.licences import APACHE, FLUX1_NON_COMMERCIAL, OPENRAIL, OPENRAIL_PLUS_PLUS, Licence

ControlFamily = Literal["sd-1.5", "sdxl", "flux-1"]
ControlKind = Literal["ControlNet", "image adapter", "embedding"]


@dataclass(frozen=True)
class ControlRow:
    """One network that stands beside others.

    Attributes:
        name: by which requests and imports name it.
        family: of the networks that it fits.
        licence: of its weights.
        kind: what it is for.
        is_pattern: whether nothing has this name but what is imported like it.
        num_modes: of a union network, how many kinds of pictures it tells apart; a request says which.
    """

    name: str
    family: ControlFamily
    licence: Licence
    kind: ControlKind = "ControlNet"
    is_pattern: bool = False
    num_modes: int | None = None

    def is_a(self, kind: ControlKind) -> bool:
        """Whether requests may name it as one of this kind."""
        return self.kind == kind and not self.is_pattern


def _rows(family: ControlFamily, licence: Licence, *follows: str) -> tuple[ControlRow, ...]:
    return tuple(ControlRow(f"controlnet-{what}-{family}", family, licence) for what in follows)


CONTROL_ROWS: tuple[ControlRow, ...] = (
    *_rows("sd-1.5", OPENRAIL, "canny", "depth", "lineart", "openpose", "scribble", "softedge", "tile"),
    *_rows("sdxl", OPENRAIL_PLUS_PLUS, "canny", "depth", "openpose"),
    *_rows("flux-1", FLUX1_NON_COMMERCIAL, "canny", "depth"),
    ControlRow("controlnet-union-flux-1", "flux-1", FLUX1_NON_COMMERCIAL, num_modes=10),
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
EMBEDDING_ROWS = (
    ControlRow("embedding-sd-1.5", "sd-1.5", OPENRAIL, "embedding", is_pattern=True),
    ControlRow("embedding-sdxl", "sdxl", OPENRAIL_PLUS_PLUS, "embedding", is_pattern=True),
)
"""What learnt words (textual inversion) are imported like. models.importing.embeddings has the same names."""
BESIDE_ROWS = (*CONTROL_ROWS, *ADAPTER_ROWS, *EMBEDDING_ROWS)
