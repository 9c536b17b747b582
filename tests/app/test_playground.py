"""The playground's page agrees with the catalogue, needs nothing that is not in its folder, and runs nothing inline."""

import re
from pathlib import Path

import app
from app.api.bfl.schemas.bodies import body_of
from app.core.catalog import CATALOG

FOLDER = Path(app.__file__).parent / "playground"
PAGE = (FOLDER / "index.html").read_text()
DRAWN_FROM_A_PROMPT = [row for row in CATALOG if "width" in body_of(row).model_fields and not row.takes.needs]
"""The page sends words and a size, no pictures."""


def test_the_models_to_choose_from_are_those_that_draw_from_a_prompt_and_flux_nano_comes_first() -> None:
    offered = re.findall(r'<option value="([^"]+)"', PAGE)
    assert offered[0] == "flux-nano"
    assert sorted(offered) == sorted(row.name for row in DRAWN_FROM_A_PROMPT)


def test_sizes_are_bounded_as_the_catalogue_bounds_them() -> None:
    for row in DRAWN_FROM_A_PROMPT:
        (largest,) = re.findall(rf'<option value="{row.name}" data-max="(\d+)"', PAGE)
        assert row.accepts(int(largest), row.size.min_side), row.name
        assert row.accepts(row.size.min_side, int(largest)), row.name


def test_every_part_is_in_the_folder() -> None:
    parts = re.findall(r'(?:src|href)="([^"]+)"', PAGE)
    for script in FOLDER.glob("*.js"):
        parts += [name.removeprefix("./") for name in re.findall(r'from "([^"]+)"', script.read_text())]
    assert parts
    assert all((FOLDER / part).is_file() for part in parts)


def test_a_strict_content_security_policy_would_not_hurt_it() -> None:
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bstyle=|\son\w+=|https?://(?!www\.w3\.org)", PAGE)


def test_every_field_has_a_label() -> None:
    fields = re.findall(r"<(?:input|select|textarea)\b", PAGE)
    labelled = re.findall(r"<label[^>]*>\s*[A-Z][^<]*<(?:input|select|textarea)\b", PAGE)
    assert len(labelled) == len(fields) > 0
