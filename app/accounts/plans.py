"""Plans: what an account's work weighs in the queue, how much may be under way, how many images are free, how long results live.

A few ship; `DARKROOM_PLANS` changes them and adds others. An account names its plan; an unknown name is the standard one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from app.core.config import PlanSettings, Settings

STANDARD: Final = "standard"
FREE: Final = "free"
ANONYMOUS: Final = "anonymous"

PAID_CLASS: Final = 0
FREE_CLASS: Final = 1
ANONYMOUS_CLASS: Final = 2


@dataclass(frozen=True)
class Quota:
    """Images without a price: how many in a day and in a month (UTC), of which models (none named: all) and up to which size."""

    images_per_day: int
    images_per_month: int
    models: frozenset[str]
    max_pixels: int

    def covers(self, model: str, num_pixels: int) -> bool:
        """Whether an image of this public name and size may be free at all."""
        return num_pixels <= self.max_pixels and (not self.models or model in self.models)


@dataclass(frozen=True)
class Plan:
    """Lower `priority` goes first; within it, accounts share the workers in proportion to `weight`.

    A task and its pictures live for `retention_s` seconds from its submit.
    """

    name: str
    priority: int
    weight: float
    max_active: int
    quota: Quota | None
    retention_s: float


class Plans:
    """Every plan of this server, by name."""

    def __init__(self, settings: Settings) -> None:
        shipped = _shipped(settings)
        changed = {name: _changed(shipped, name, change) for name, change in settings.plans.items()}
        self.by_name: Mapping[str, Plan] = {**shipped, **changed}

    def of(self, name: str) -> Plan:
        """The plan of this name; the standard one when an operator has taken it out of the settings."""
        return self.by_name.get(name) or self.by_name[STANDARD]


def _shipped(settings: Settings) -> dict[str, Plan]:
    free, active = settings.free, settings.limits.active
    models = frozenset(free.models)
    with_key = Quota(free.images_per_day, free.images_per_month, models, free.max_pixels)
    without = Quota(free.anonymous_images_per_day, free.anonymous_images_per_month, models, free.max_pixels)
    retention_s = settings.results.retention_s
    plans = (
        Plan(STANDARD, PAID_CLASS, 4.0, active, None, retention_s),
        Plan("pro", PAID_CLASS, 16.0, 4 * active, None, retention_s),
        Plan(FREE, FREE_CLASS, 1.0, min(active, free.active), with_key, retention_s),
        Plan(ANONYMOUS, ANONYMOUS_CLASS, 1.0, min(active, free.active), without, retention_s),
    )
    return {plan.name: plan for plan in plans}


def _changed(shipped: Mapping[str, Plan], name: str, change: PlanSettings) -> Plan:
    """The shipped plan of that name, or the standard one for a new name, with what the operator says instead."""
    said = change.model_dump(exclude_none=True)
    return replace(shipped.get(name, shipped[STANDARD]), name=name, **said)
