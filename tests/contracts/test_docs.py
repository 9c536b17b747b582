"""What is documented is there, and what is there is documented."""

import re
from pathlib import Path

import pytest

from app.core.catalog import CATALOG
from app.core.settings_page import settings_page

ROOT = Path(__file__).parents[2]


def test_the_settings_page_is_written_from_the_settings() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_the_readme_names_every_command_of_make() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert targets
    for target in set(targets) - {"help"}:
        assert f"`{target}`" in readme, target


def test_files_that_pages_link_to_exist() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))]
    assert links
    for page, link in links:
        assert "://" in link or (page.parent / link).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("name", ["models.md", "api.md"])
def test_the_pages_on_models_and_routes_list_every_route(name: str) -> None:
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    for row in CATALOG:
        assert f"`/v1/{row.name}`" in page, row.name
