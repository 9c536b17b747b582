"""Plans as shipped and as an operator changes them."""

from pathlib import Path
from typing import Any

import pytest

from app.accounts.plans import ANONYMOUS, FREE, STANDARD, Plans
from app.core.config import load_settings
from app.core.errors import ConfigurationError


def plans(tmp_path: Path, **settings: Any) -> Plans:
    return Plans(load_settings(data_dir=tmp_path, **settings))


def test_paying_accounts_go_first_and_weigh_more(tmp_path: Path) -> None:
    shipped = plans(tmp_path).by_name
    order = [shipped[name] for name in ("pro", STANDARD, FREE, ANONYMOUS)]
    assert [plan.priority for plan in order] == [0, 0, 1, 2]
    assert [plan.weight for plan in order] == sorted((plan.weight for plan in order), reverse=True)
    assert [plan.quota is None for plan in order] == [True, True, False, False]
    assert shipped[STANDARD].max_active == 24


def test_an_operator_changes_a_plan_and_adds_others(tmp_path: Path) -> None:
    own = plans(tmp_path, plans={"free": {"max_active": 2}, "studio": {"weight": 8.0}})
    assert (own.of("free").max_active, own.of("free").priority) == (2, 1)
    assert (own.of("studio").weight, own.of("studio").max_active, own.of("studio").name) == (8.0, 24, "studio")


def test_a_plan_that_is_gone_is_the_standard_one(tmp_path: Path) -> None:
    assert plans(tmp_path).of("studio").name == STANDARD


@pytest.mark.parametrize("change", [{"weight": 0}, {"priority": -1}, {"priority": 3}, {"colour": "red"}])
def test_a_plan_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="DARKROOM_PLANS"):
        plans(tmp_path, plans={"studio": change})


def test_results_live_as_long_as_the_plan_says_else_as_the_setting_does(tmp_path: Path) -> None:
    own = plans(tmp_path, results={"retention_s": 50}, plans={"pro": {"retention_s": 700}, "studio": {"weight": 2}})
    assert {name: own.of(name).retention_s for name in (STANDARD, FREE, "pro", "studio")} == {
        STANDARD: 50,
        FREE: 50,
        "pro": 700,
        "studio": 50,
    }
