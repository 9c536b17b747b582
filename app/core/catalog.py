"""The catalogue: one row for each public name, its limits and defaults, and the network that it runs on.

Adding a variant is a row. Prices are kept elsewhere (app.metering), weights too (models.specs, by the network's name).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.core.catalog_row import CatalogRow, GuidanceLimits, SizeLimits, StepLimits, Takes
from app.core.control_rows import BESIDE_ROWS, ControlKind, ControlRow
from app.core.errors import ConfigurationError, NotFound
from app.core.licences import (
    APACHE,
    CLOSED,
    FLUX1_NON_COMMERCIAL,
    FLUX_NON_COMMERCIAL,
    OPENRAIL,
    OPENRAIL_PLUS_PLUS,
)

_REDUX = "flux-redux-dev"
_NO_DEPTH = "this server has no depth estimator; send the depth map itself as preprocessed_image"

_TO_4_MP = SizeLimits(1024, 1024, min_side=64, max_side=2048 * 2048 // 64, max_pixels=2048 * 2048, multiple=16)
_BFL_FLUX1 = SizeLimits(1024, 768, min_side=256, max_side=1440, max_pixels=1440 * 1440, multiple=32, rounds=False)
_ULTRA = replace(_TO_4_MP, native_width=2720, native_height=1536)
_NANO = SizeLimits(128, 128, min_side=64, max_side=384, max_pixels=384 * 384, multiple=16)

_FOUR_STEPS = StepLimits(default=4, min=1, max=50)
_28_STEPS = StepLimits(default=28, min=1, max=50)
_50_STEPS = StepLimits(default=50, min=1, max=50)
_DIFFUSION_STEPS = StepLimits(default=50, min=1, max=100)
_BFL_TOOL_STEPS = StepLimits(default=50, min=15, max=50)
_NO_GUIDANCE = GuidanceLimits(default=1.0, min=1.0, max=1.0)
_HIDDEN_GUIDANCE = GuidanceLimits(default=4.0, min=1.0, max=10.0)
_BASE_GUIDANCE = GuidanceLimits(default=4.0, min=1.0, max=20.0)
_BFL_FILL_GUIDANCE = GuidanceLimits(default=60.0, min=1.5, max=100.0)
_BFL_CONTROL_GUIDANCE = GuidanceLimits(default=30.0, min=1.0, max=100.0)

_FLUX2 = Takes({"reference": 8, "image": 1, "mask": 1}, min_side=64, max_reference_ratio=8)
_FLUX2_BASE = replace(_FLUX2, negative_prompt="guidance")
_FLUX1 = Takes(
    {"image": 1, "mask": 1, "image_prompt": 1, "controlnet": 4}, negative_prompt="true_cfg", image_prompter=_REDUX,
    control_family="flux-1",
)  # fmt: skip
_BFL_FLUX1_TAKES = Takes({"image_prompt": 1}, image_prompter=_REDUX)
_KONTEXT = Takes({"reference": 1}, negative_prompt="true_cfg")
_BFL_KONTEXT = Takes({"reference": 4})
_FILL = Takes({"image": 1, "mask": 1}, needs=("image",))
_BFL_FILL = replace(_FILL, min_side=256)
_CANNY = Takes({"control": 1, "control_source": 1}, needs=("control", "control_source"))
_DIFFUSION = Takes(
    {"image": 1, "mask": 1, "image_prompt": 4, "controlnet": 4}, negative_prompt="guidance",
    image_prompter="ip-adapter-sd-1.5", control_family="sd-1.5", clip_skip=11,
)  # fmt: skip
_INPAINTING = replace(_DIFFUSION, needs=("image",))
_SDXL_TAKES, _SDXL_INPAINTING = (
    replace(takes, image_prompter="ip-adapter-sdxl", control_family="sdxl", clip_skip=10)
    for takes in (_DIFFUSION, _INPAINTING)
)
_DEPTH = Takes({"control": 1}, needs=("control",), instead={"control_source": _NO_DEPTH})

_KLEIN = CatalogRow(
    name="flux-2-klein-4b",
    body="klein",
    network="flux-2-klein-4b",
    size=_TO_4_MP,
    steps=_FOUR_STEPS,
    guidance=_NO_GUIDANCE,
    licence=APACHE,
    takes=_FLUX2,
)
_PRO_2 = replace(
    _KLEIN,
    name="flux-2-pro",
    body="flux2",
    network=None,
    steps=_50_STEPS,
    guidance=_HIDDEN_GUIDANCE,
    licence=CLOSED,
)
_DEV = CatalogRow(
    name="flux-dev",
    body="flux1-dev",
    network="flux-dev",
    size=_BFL_FLUX1,
    steps=_28_STEPS,
    guidance=GuidanceLimits(default=3.0, min=1.5, max=5.0),
    licence=FLUX1_NON_COMMERCIAL,
    takes=_FLUX1,
)
_PRO_1 = replace(
    _DEV,
    name="flux-pro",
    body="flux1-pro",
    network=None,
    steps=StepLimits(default=40, min=1, max=50),
    guidance=GuidanceLimits(default=2.5, min=1.5, max=5.0),
    licence=CLOSED,
    takes=_BFL_FLUX1_TAKES,
)
_OWN_FLUX1 = replace(_DEV, size=_TO_4_MP, guidance=GuidanceLimits(default=3.5, min=1.0, max=20.0))
_KONTEXT_PRO = replace(
    _PRO_1, name="flux-kontext-pro", body="kontext", size=_TO_4_MP, steps=_28_STEPS, takes=_BFL_KONTEXT,
    sizing="aspect_ratio", default_format="png",
)  # fmt: skip
_FILL_PRO = replace(
    _PRO_1, name="flux-pro-1.0-fill", body="fill", size=_TO_4_MP, steps=_BFL_TOOL_STEPS, guidance=_BFL_FILL_GUIDANCE,
    takes=_BFL_FILL, sizing="input",
)  # fmt: skip
_CANNY_PRO = replace(
    _FILL_PRO, name="flux-pro-1.0-canny", body="canny", guidance=_BFL_CONTROL_GUIDANCE, takes=_CANNY
)  # fmt: skip
_FILL_DEV = replace(
    _FILL_PRO, name="flux-fill-dev", network="flux-fill-dev", steps=_50_STEPS, licence=FLUX1_NON_COMMERCIAL,
    guidance=GuidanceLimits(default=30.0, min=1.0, max=100.0), takes=_FILL,
)  # fmt: skip
_CANNY_DEV = replace(
    _FILL_DEV, name="flux-canny-dev", body="canny-sides", network="flux-canny-dev", guidance=_BFL_CONTROL_GUIDANCE,
    takes=_CANNY,
)  # fmt: skip
_SD = CatalogRow(
    name="sd-1.5",
    body="diffusion",
    network="sd-1.5",
    size=SizeLimits(512, 512, min_side=64, max_side=2048, max_pixels=1024 * 1024, multiple=8),
    steps=_DIFFUSION_STEPS,
    guidance=GuidanceLimits(default=7.5, min=1.0, max=30.0),
    licence=OPENRAIL,
    takes=_DIFFUSION,
    max_sequence_length=77,
    trajectory="diffusion",
)
_SDXL = replace(
    _SD, name="sdxl", network="sdxl", licence=OPENRAIL_PLUS_PLUS, takes=_SDXL_TAKES,
    guidance=GuidanceLimits(default=5.0, min=1.0, max=30.0),
    size=SizeLimits(1024, 1024, min_side=64, max_side=4096, max_pixels=2048 * 2048, multiple=8),
)  # fmt: skip

CATALOG: tuple[CatalogRow, ...] = (
    replace(
        _KLEIN, name="flux-nano", body="klein-dials", network="flux-nano", size=_NANO, takes=_FLUX2_BASE,
        steps=StepLimits(default=16, min=1, max=50), guidance=GuidanceLimits(default=3.0, min=1.0, max=20.0),
    ),
    _KLEIN,
    replace(
        _KLEIN, name="flux-2-klein-4b-base", body="klein-dials", network="flux-2-klein-4b-base", takes=_FLUX2_BASE,
        steps=_50_STEPS, guidance=_BASE_GUIDANCE,
    ),
    replace(_KLEIN, name="flux-2-klein-9b", network="flux-2-klein-9b", licence=FLUX_NON_COMMERCIAL),
    replace(
        _KLEIN, name="flux-2-klein-9b-base", body="klein-dials", network="flux-2-klein-9b-base", takes=_FLUX2_BASE,
        steps=_50_STEPS, guidance=_BASE_GUIDANCE, licence=FLUX_NON_COMMERCIAL,
    ),
    replace(_KLEIN, name="flux-2-klein-9b-preview", network=None, licence=CLOSED),
    replace(
        _PRO_2, name="flux-2-dev", body="flux2-dials", network="flux-2-dev", steps=_28_STEPS, licence=FLUX_NON_COMMERCIAL
    ),
    replace(_PRO_2, name="flux-2-flex", body="flex", guidance=GuidanceLimits(default=5.0, min=1.5, max=10.0)),
    _PRO_2,
    replace(_PRO_2, name="flux-2-pro-preview"),
    replace(_PRO_2, name="flux-2-max"),
    _DEV,
    replace(
        _OWN_FLUX1, name="flux-schnell", body="flux1-schnell", network="flux-schnell", steps=_FOUR_STEPS,
        guidance=_NO_GUIDANCE, licence=APACHE, max_sequence_length=256,
    ),
    replace(
        _OWN_FLUX1, name="flux-krea-dev", network="flux-krea-dev",
        guidance=GuidanceLimits(default=4.5, min=1.0, max=20.0),
    ),
    _PRO_1,
    replace(_PRO_1, name="flux-pro-1.1", body="flux1"),
    replace(_PRO_1, name="flux-pro-1.1-ultra", body="ultra", size=_ULTRA, sizing="aspect_ratio"),
    replace(
        _KONTEXT_PRO, name="flux-kontext-dev", body="kontext-dials", network="flux-kontext-dev",
        guidance=GuidanceLimits(default=2.5, min=1.0, max=20.0), licence=FLUX1_NON_COMMERCIAL, takes=_KONTEXT,
    ),
    _KONTEXT_PRO,
    replace(_KONTEXT_PRO, name="flux-kontext-max"),
    _FILL_DEV,
    _FILL_PRO,
    replace(_FILL_PRO, name="flux-pro-1.0-expand", body="expand"),
    _CANNY_DEV,
    _CANNY_PRO,
    replace(
        _CANNY_DEV, name="flux-depth-dev", body="depth-sides", network="flux-depth-dev", takes=_DEPTH,
        guidance=GuidanceLimits(default=10.0, min=1.0, max=100.0),
    ),
    replace(_CANNY_PRO, name="flux-pro-1.0-depth", body="depth", takes=_DEPTH),
    _SD,
    replace(
        _SD, name="sd-1.5-inpainting", body="diffusion-fill", network="sd-1.5-inpainting", takes=_INPAINTING, sizing="input"
    ),
    _SDXL,
    replace(
        _SDXL, name="sdxl-inpainting", body="diffusion-fill", network="sdxl-inpainting", takes=_SDXL_INPAINTING,
        sizing="input",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Resolved:
    """A public name and what serves it: `row` has its route, body and price; `runs` the network's native size and defaults.

    `controls` are all ControlNets and image adapters that are known, by name.
    """

    row: CatalogRow
    runs: CatalogRow
    controls: Mapping[str, ControlRow] = field(default_factory=dict[str, ControlRow])

    @property
    def network(self) -> str | None:
        """The ModelSpec that runs; None where nothing can."""
        return self.runs.network

    def beside(self, kind: ControlKind) -> list[str]:
        """Names of this kind of network that go with the one that runs."""
        family = self.runs.takes.control_family
        return [row.name for row in self.controls.values() if row.is_a(kind) and row.family == family]

    def accepts(self, width: int, height: int) -> bool:
        """A size is fine when the public name or the network that stands behind it takes it."""
        return self.row.accepts(width, height) or self.runs.accepts(width, height)


class Catalog:
    """The rows by name, with the operator's aliases applied."""

    def __init__(
        self,
        rows: Sequence[CatalogRow] = CATALOG,
        aliases: Mapping[str, str] | None = None,
        controls: Sequence[ControlRow] = BESIDE_ROWS,
    ) -> None:
        self.rows = tuple(rows)
        self.controls = {control.name: control for control in controls}
        self.aliases = dict(aliases or {})
        self._by_name = {row.name: row for row in self.rows}
        for alias, target in self.aliases.items():
            self._check_alias(alias, target)

    def by_name(self, name: str) -> CatalogRow:
        """Raises NotFound for a name that is not public."""
        row = self._by_name.get(name)
        if row is None:
            raise NotFound(f"there is no model {name!r}", field="model", value=name)
        return row

    def resolve(self, public_name: str) -> Resolved:
        """The row of a public name and the row of the network that runs it."""
        row = self.by_name(public_name)
        return Resolved(row, self.by_name(self.aliases.get(public_name, public_name)), self.controls)

    def _check_alias(self, alias: str, target: str) -> None:
        for name in (alias, target):
            if name not in self._by_name:
                raise ConfigurationError(
                    f"alias {alias!r} -> {target!r}: there is no model {name!r}; known: {', '.join(sorted(self._by_name))}"
                )
        if self._by_name[target].network is None:
            raise ConfigurationError(f"alias {alias!r} -> {target!r}: {target!r} has no weights to run on")
