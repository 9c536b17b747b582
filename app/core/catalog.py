"""The catalogue: one row for each public name, its limits and defaults, and the network that it runs on.

Adding a variant is a row. Prices are kept elsewhere (app.metering), weights too (models.specs, by the network's name).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.core.errors import ConfigurationError, NotFound
from app.core.licences import APACHE, CLOSED, FLUX_NON_COMMERCIAL, Licence
from app.core.spec import OutputFormat

Body = Literal["klein", "flux2", "flex"]

FLUX2_MIN_SIDE = 64
FLUX2_MAX_PIXELS = 2048 * 2048


@dataclass(frozen=True)
class StepLimits:
    """Denoising steps: what an absent value means, and what is accepted."""

    default: int
    min: int
    max: int


@dataclass(frozen=True)
class GuidanceLimits:
    """Guidance scale: what an absent value means, and what is accepted."""

    default: float
    min: float
    max: float


@dataclass(frozen=True)
class CatalogRow:
    """A public name.

    `body` names the request schema, `network` the ModelSpec that runs (None: no public weights, served only through an alias).
    Sides are pixels, rounded to `multiple`. `adjustable`: the body also takes steps, guidance and negative_prompt.
    """

    name: str
    body: Body
    network: str | None
    native_width: int
    native_height: int
    min_side: int
    max_side: int
    max_pixels: int
    multiple: int
    steps: StepLimits
    guidance: GuidanceLimits
    default_format: OutputFormat
    licence: Licence
    adjustable: bool

    def accepts(self, width: int, height: int) -> bool:
        """Whether both sides and their product are within the limits."""
        sides_fit = all(self.min_side <= side <= self.max_side for side in (width, height))
        return sides_fit and width * height <= self.max_pixels


def _flux2(
    name: str,
    *,
    body: Body,
    network: str | None,
    steps: StepLimits,
    guidance: GuidanceLimits,
    licence: Licence,
    adjustable: bool = False,
) -> CatalogRow:
    return CatalogRow(
        name=name,
        body=body,
        network=network,
        native_width=1024,
        native_height=1024,
        min_side=FLUX2_MIN_SIDE,
        max_side=FLUX2_MAX_PIXELS // FLUX2_MIN_SIDE,
        max_pixels=FLUX2_MAX_PIXELS,
        multiple=16,
        steps=steps,
        guidance=guidance,
        default_format="jpeg",
        licence=licence,
        adjustable=adjustable,
    )


_DISTILLED = StepLimits(default=4, min=1, max=50)
_NO_GUIDANCE = GuidanceLimits(default=1.0, min=1.0, max=1.0)
_HIDDEN_STEPS = StepLimits(default=50, min=1, max=50)
_HIDDEN_GUIDANCE = GuidanceLimits(default=4.0, min=1.0, max=10.0)

CATALOG: tuple[CatalogRow, ...] = (
    CatalogRow(
        name="flux-nano",
        body="klein",
        network="flux-nano",
        native_width=128,
        native_height=128,
        min_side=64,
        max_side=384,
        max_pixels=384 * 384,
        multiple=16,
        steps=StepLimits(default=16, min=1, max=50),
        guidance=GuidanceLimits(default=3.0, min=1.0, max=20.0),
        default_format="jpeg",
        licence=APACHE,
        adjustable=True,
    ),
    _flux2(
        "flux-2-klein-4b",
        body="klein",
        network="flux-2-klein-4b",
        steps=_DISTILLED,
        guidance=_NO_GUIDANCE,
        licence=APACHE,
    ),
    _flux2(
        "flux-2-klein-9b",
        body="klein",
        network="flux-2-klein-9b",
        steps=_DISTILLED,
        guidance=_NO_GUIDANCE,
        licence=FLUX_NON_COMMERCIAL,
    ),
    _flux2(
        "flux-2-klein-9b-preview",
        body="klein",
        network=None,
        steps=_DISTILLED,
        guidance=_NO_GUIDANCE,
        licence=CLOSED,
    ),
    _flux2(
        "flux-2-dev",
        body="flux2",
        network="flux-2-dev",
        steps=StepLimits(default=28, min=1, max=50),
        guidance=GuidanceLimits(default=4.0, min=1.0, max=10.0),
        licence=FLUX_NON_COMMERCIAL,
        adjustable=True,
    ),
    _flux2(
        "flux-2-flex",
        body="flex",
        network=None,
        steps=StepLimits(default=50, min=1, max=50),
        guidance=GuidanceLimits(default=5.0, min=1.5, max=10.0),
        licence=CLOSED,
    ),
    _flux2("flux-2-pro", body="flux2", network=None, steps=_HIDDEN_STEPS, guidance=_HIDDEN_GUIDANCE, licence=CLOSED),
    _flux2(
        "flux-2-pro-preview",
        body="flux2",
        network=None,
        steps=_HIDDEN_STEPS,
        guidance=_HIDDEN_GUIDANCE,
        licence=CLOSED,
    ),
    _flux2("flux-2-max", body="flux2", network=None, steps=_HIDDEN_STEPS, guidance=_HIDDEN_GUIDANCE, licence=CLOSED),
)


@dataclass(frozen=True)
class Resolved:
    """A public name and what serves it: `row` has its route, body and price; `runs` the network's native size and defaults."""

    row: CatalogRow
    runs: CatalogRow

    @property
    def network(self) -> str | None:
        """The ModelSpec that runs; None where nothing can."""
        return self.runs.network

    def accepts(self, width: int, height: int) -> bool:
        """A size is fine when the public name or the network that stands behind it takes it."""
        return self.row.accepts(width, height) or self.runs.accepts(width, height)


class Catalog:
    """The rows by name, with the operator's aliases applied."""

    def __init__(self, rows: Sequence[CatalogRow] = CATALOG, aliases: Mapping[str, str] | None = None) -> None:
        self.rows = tuple(rows)
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
        return Resolved(row=row, runs=self.by_name(self.aliases.get(public_name, public_name)))

    def _check_alias(self, alias: str, target: str) -> None:
        for name in (alias, target):
            if name not in self._by_name:
                raise ConfigurationError(
                    f"alias {alias!r} -> {target!r}: there is no model {name!r}; known: {', '.join(sorted(self._by_name))}"
                )
        if self._by_name[target].network is None:
            raise ConfigurationError(f"alias {alias!r} -> {target!r}: {target!r} has no weights to run on")
