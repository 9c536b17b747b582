"""The settings page has a row for every variable, each with its meaning."""

from app.core.config import setting_names
from app.core.settings_page import settings_table


def test_every_variable_has_a_row_and_a_meaning() -> None:
    rows = settings_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(setting_names())
    for row in rows:
        assert len(row.split("|")[3].strip()) > 10


def test_a_row_shows_the_default() -> None:
    assert "| `DARKROOM_GATEWAY__PORT` | `8000` | TCP port to listen on" in settings_table()
    assert "| `DARKROOM_DATABASE__URL` |  | SQLAlchemy address" in settings_table()
