"""Settings: sources, near-misses, what Kubernetes injects, and addresses of databases."""

from pathlib import Path

import pytest

from app.core.config import Group, Settings, check_names, load_settings, setting_names
from app.core.errors import ConfigurationError
from app.core.settings_page import meanings


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)


def test_the_environment_and_arguments_meet_in_a_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKROOM_GATEWAY__PORT", "8123")
    monkeypatch.setenv("DARKROOM_ALIASES", '{"flux-2-pro": "flux-nano"}')
    settings = load_settings(data_dir=tmp_path, gateway={"await_worker": True})
    assert (settings.gateway.port, settings.gateway.await_worker) == (8123, True)
    assert settings.aliases == {"flux-2-pro": "flux-nano"}


def test_the_defaults_follow_the_data_directory(tmp_path: Path) -> None:
    settings = load_settings(data_dir=str(tmp_path))
    assert settings.models_dir == tmp_path / "models"
    assert settings.database.url == f"sqlite+aiosqlite:///{tmp_path}/darkroom.sqlite3"


def test_a_relative_data_directory_is_made_absolute() -> None:
    assert load_settings(data_dir="somewhere").data_dir == Path.cwd() / "somewhere"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://h/d", "postgresql+asyncpg://h/d"),
        ("sqlite:////tmp/x.sqlite3", "sqlite+aiosqlite:////tmp/x.sqlite3"),
    ],
)
def test_a_database_address_gets_its_driver(given: str, used: str) -> None:
    assert load_settings(database={"url": given}).database.url == used


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DARKROOM_GATEWAY__PROT", "DARKROOM_GATEWAY__PORT"),
        ("DARKROOM_DATABSE__URL", "DARKROOM_DATABASE__URL"),
        ("DARKROOM_GATEWAY_PORT", "DARKROOM_GATEWAY__PORT"),
        ("DARKROOM_PORT", "DARKROOM_GATEWAY__PORT"),
        ("DARKROOM_DATADIR", "DARKROOM_DATA_DIR"),
        ("DARKROOM_QUEUE__SOMETHING_ELSE", "DARKROOM_QUEUE__"),
        ("DARKROOM_ALIASE", "DARKROOM_ALIASES"),
    ],
)
def test_a_near_miss_stops_the_start_and_names_the_field(name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is not a setting; did you mean {meant}"):
        check_names({name: "8000"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_SERVICE_HOST", "10.0.0.7"),
        ("DARKROOM_SERVICE_PORT_HTTP", "80"),
        ("DARKROOM_PORT", "tcp://10.0.0.7:80"),
        ("DARKROOM_PORT_80_TCP", "tcp://10.0.0.7:80"),
        ("DARKROOM_PORT_80_TCP_ADDR", "10.0.0.7"),
        ("DARKROOM_GATEWAY_PORT", "tcp://10.0.0.7:80"),
        ("DARKROOM_GATEWAY_SERVICE_PORT", "80"),
        ("DARKROOM_GATEWAY__PORT", "8000"),
    ],
)
def test_fields_and_what_kubernetes_injects_pass_in_silence(name: str, value: str) -> None:
    check_names({name: value})


def test_another_name_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="DARKROOM_MOTTO is not a setting"):
        check_names({"DARKROOM_MOTTO": "fiat lux"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DARKROOM_GATEWAY__PORT", "90000"),
        ("DARKROOM_QUEUE__LEASE_S", "0"),
        ("DARKROOM_LOG__LEVEL", "loud"),
        ("DARKROOM_DATABASE__URL", "mysql://h/d"),
        ("DARKROOM_ALIASES", "flux-nano"),
    ],
)
def test_a_value_out_of_range_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name.split("__")[0] if "ALIASES" not in name else "aliases"):
        load_settings()


def test_a_secret_that_is_too_short_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_SECRETS__KEY_PEPPER", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_every_field_says_what_it_is() -> None:
    kinds = {name: field.annotation for name, field in Settings.model_fields.items()}
    groups = {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Group)}
    single = {leaf: said for leaf, said in meanings(Settings).items() if leaf not in groups}
    assert [leaf for leaf, said in single.items() if not said] == []
    for name, group in groups.items():
        assert [leaf for leaf, said in meanings(group).items() if not said] == [], name
