"""The settings page has a row for every variable, each with its meaning."""

from app.core.config import setting_names
from app.core.settings_page import settings_page


def test_every_variable_has_a_row_and_a_meaning() -> None:
    rows = [line for line in settings_page().splitlines() if line.startswith("| `DARKROOM_")]
    assert sorted(row.split("`")[1] for row in rows) == sorted(setting_names())
    for row in rows:
        assert len(row.split("|")[3].strip()) > 10


def test_a_row_shows_the_default() -> None:
    assert "| `DARKROOM_GATEWAY__PORT` | `8000` | TCP port to listen on" in settings_page()
