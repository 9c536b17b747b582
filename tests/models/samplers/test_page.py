"""docs/samplers.md says what the code does."""

from pathlib import Path

from models.samplers.methods import FLOW_METHODS, SD_METHODS
from models.samplers.names import SCHEDULE_NAMES

PAGE = (Path(__file__).parents[3] / "docs" / "samplers.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """The table under a heading, by its first column."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in section.splitlines() if "| `" in line]
    return {name: cells for name, *cells in table}


def test_every_sampler_has_its_row() -> None:
    found = rows("Samplers")
    assert set(found) == set(SD_METHODS)
    for name, method in SD_METHODS.items():
        _, order, evaluations, noise, default, diffusion, flow = found[name]
        assert int(order) == method.sampler.order
        assert int(evaluations[0]) == method.sampler.per_step
        assert method.sampler.eta is None or float(noise) == method.sampler.eta
        assert default == method.default
        assert diffusion == "yes"
        assert (flow == "yes") == (name in FLOW_METHODS)


def test_every_schedule_has_its_row() -> None:
    assert set(rows("Schedules")) == set(SCHEDULE_NAMES)
