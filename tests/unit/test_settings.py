"""Settings: read from Airflow's variables only, and errors name every option."""

from __future__ import annotations

import pytest

from forensics.errors import ConfigurationError
from forensics.settings import PREFIX, Settings, get_settings, load

REQUIRED = sorted(name for name, field in Settings.model_fields.items() if field.is_required())


def test_an_empty_environment_names_every_required_option() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({})
    for name in REQUIRED:
        assert f"forensics.{name}:" in str(caught.value)
    assert "docs/configuration.md" in caught.value.next_action


@pytest.mark.parametrize("missing", REQUIRED)
def test_one_missing_option_is_the_only_one_named(settings_environment: dict[str, str], missing: str) -> None:
    del settings_environment[PREFIX + missing.upper()]
    with pytest.raises(ConfigurationError) as caught:
        load(settings_environment)
    assert str(caught.value).count("forensics.") == 1
    assert f"forensics.{missing}: " in str(caught.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("forensic_account_id", "22223333444"),
        ("capture_tool_sha256", "A" * 64),
        ("retention_days", "0"),
        ("lock_mode", "governance"),
        ("isolate_from_severity", "INFORMATIONAL"),
        ("poll_seconds", "0"),
        ("memory_timeout_seconds", "soon"),
        ("accept_samples", "perhaps"),
    ],
)
def test_a_wrong_value_is_refused_by_name(settings_environment: dict[str, str], option: str, value: str) -> None:
    settings_environment[PREFIX + option.upper()] = value
    with pytest.raises(ConfigurationError, match=f"forensics.{option}: "):
        load(settings_environment)


def test_unknown_options_and_other_sections_are_left_alone(settings_environment: dict[str, str]) -> None:
    settings_environment |= {f"{PREFIX}LATER": "x", "AIRFLOW__CORE__REGION": "us-east-1"}
    assert load(settings_environment).region == "eu-central-1"


def test_the_process_reads_its_environment_once(settings_environment: dict[str, str]) -> None:
    assert get_settings() is get_settings()
    assert get_settings().case_table == settings_environment[f"{PREFIX}CASE_TABLE"]


def test_every_option_has_a_usable_default_or_is_required(settings_environment: dict[str, str]) -> None:
    settings = load(settings_environment)
    assert settings.lock_mode == "GOVERNANCE"
    assert settings.accept_samples is False
    assert settings.retention_days == 365


@pytest.mark.parametrize(
    ("configured", "base", "used"),
    [
        ("", "https://airflow.example/deployment/", "https://airflow.example/deployment"),
        ("https://mine.example", "https://airflow.example", "https://mine.example"),
        ("", "/path/alone", ""),
        ("", "", ""),
    ],
)
def test_without_an_address_of_its_own_airflows_base_url_is_the_uis(
    settings_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, configured: str, base: str, used: str
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base)
    monkeypatch.setenv("AIRFLOW__FORENSICS__UI_URL", configured)
    get_settings.cache_clear()
    assert get_settings().ui_url == used
    get_settings.cache_clear()
